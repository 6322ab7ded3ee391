//! The outcomes of jobs, and how entries of buckets are removed.

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::kv::{CreateErrorKind, Operation, Store};
use async_nats::jetstream::{self, ErrorCode};
use futures_util::StreamExt;

use super::server::{Server, engine};
use crate::engine::{JobId, Outcome};
use crate::error::{Error, Kind};

impl Server {
    /// Returns the outcome of a job, if there is one.
    pub(super) async fn outcome(&self, id: &JobId) -> Result<Option<Outcome>, Error> {
        match self.outcomes.get(&id.0).await.map_err(engine)? {
            Some(bytes) => decode(&bytes).map(Some),
            None => Ok(None),
        }
    }

    /// Stores the outcome of a job. Returns `false` if there is one already.
    pub(super) async fn create_outcome(
        &self,
        id: &JobId,
        outcome: &Outcome,
    ) -> Result<bool, Error> {
        let bytes = rmp_serde::to_vec_named(outcome).map_err(|error| codec(&error))?;
        match self.outcomes.create(&id.0, bytes.into()).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(sending(error)),
        }
    }
}

/// Waits for the outcome of a job.
pub(super) async fn outcome(server: &Server, id: &JobId) -> Result<Outcome, Error> {
    // The history is the value that is there now.
    let mut watch = server
        .outcomes
        .watch_with_history(&id.0)
        .await
        .map_err(engine)?;
    while let Some(entry) = watch.next().await {
        let entry = entry.map_err(engine)?;
        if entry.operation == Operation::Put {
            return decode(&entry.value);
        }
    }
    Err(Error::new(
        Kind::Engine,
        "NATS: the server has ended the watch of an outcome",
    ))
}

/// Removes an entry that has at most this revision. No marker stays behind, as one does when the
/// client purges an entry.
pub(super) async fn remove(bucket: &Store, key: &str, revision: u64) -> Result<(), Error> {
    let subject = format!("{}{key}", bucket.prefix);
    // The server removes what came before this sequence.
    let purge = bucket.stream.purge().filter(subject).sequence(revision + 1);
    purge.await.map(drop).map_err(engine)
}

/// Turns an error of a message that was sent into one of the queue. If the message was too long, the
/// kind says that sending it again does not help.
pub(super) fn sending(error: impl std::error::Error + 'static) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(error) = cause {
        // The client compares the length with what the server accepts, and the server with the
        // limit of the stream.
        let is_too_long = error
            .downcast_ref::<PublishError>()
            .is_some_and(|error| error.kind() == PublishErrorKind::MaxPayloadExceeded)
            || error
                .downcast_ref::<jetstream::Error>()
                .is_some_and(|error| {
                    error.error_code() == ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM
                });
        if is_too_long {
            return Error::new(Kind::Codec, format!("NATS: {error}"));
        }
        cause = error.source();
    }
    engine(error)
}

fn decode(bytes: &[u8]) -> Result<Outcome, Error> {
    rmp_serde::from_slice(bytes).map_err(|error| codec(&error))
}

pub(super) fn codec(error: &dyn std::fmt::Display) -> Error {
    Error::new(Kind::Codec, format!("an entry of the queue: {error}"))
}
