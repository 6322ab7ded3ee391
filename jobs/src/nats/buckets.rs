//! The outcomes of jobs, and how entries of buckets are removed.

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::kv::{CreateErrorKind, Operation, Store, UpdateErrorKind};
use async_nats::jetstream::{self, ErrorCode};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use super::server::{Server, engine};
use crate::engine::{JobId, Outcome};
use crate::error::{Error, Kind};

/// What is stored of the end of a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum End {
    Done(#[serde(with = "crate::bytes")] Vec<u8>),
    /// The text of the last error. The dead letter is stored, or was put back or discarded.
    Dead(String),
    /// The job is dead, and its letter may not be stored yet. Nothing else can become of it, and
    /// those who wait for the outcome wait until it is [`Dead`](Self::Dead).
    Burying(String),
}

impl Server {
    /// Returns the end of a job, if it has ended, and the revision of the entry.
    pub(super) async fn end(&self, id: &JobId) -> Result<Option<(End, u64)>, Error> {
        let entry = self.outcomes.entry(&id.0).await.map_err(engine)?;
        match entry.filter(|entry| entry.operation == Operation::Put) {
            Some(entry) => Ok(Some((decode(&entry.value)?, entry.revision))),
            None => Ok(None),
        }
    }

    /// Returns whether a job has ended.
    pub(super) async fn has_ended(&self, id: &JobId) -> Result<bool, Error> {
        Ok(self.end(id).await?.is_some())
    }

    /// Stores the end of a job, and returns the revision of the entry; `None` if there is one
    /// already.
    pub(super) async fn create_end(&self, id: &JobId, end: &End) -> Result<Option<u64>, Error> {
        let bytes = rmp_serde::to_vec_named(end).map_err(|error| codec(&error))?;
        match self.outcomes.create(&id.0, bytes.into()).await {
            Ok(revision) => Ok(Some(revision)),
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(sending(error)),
        }
    }

    /// Stores that the letter of a dead job is stored, unless another worker has done so.
    pub(super) async fn set_dead(
        &self,
        id: &JobId,
        error: String,
        revision: u64,
    ) -> Result<(), Error> {
        let end = End::Dead(error);
        let bytes = rmp_serde::to_vec_named(&end).map_err(|error| codec(&error))?;
        match self.outcomes.update(&id.0, bytes.into(), revision).await {
            Err(error) if error.kind() != UpdateErrorKind::WrongLastRevision => Err(sending(error)),
            _ => Ok(()),
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
            match decode(&entry.value)? {
                End::Done(result) => return Ok(Outcome::Done(result)),
                End::Dead(error) => return Ok(Outcome::Dead(error)),
                End::Burying(_) => {}
            }
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

fn decode(bytes: &[u8]) -> Result<End, Error> {
    rmp_serde::from_slice(bytes).map_err(|error| codec(&error))
}

pub(super) fn codec(error: &dyn std::fmt::Display) -> Error {
    Error::new(Kind::Codec, format!("an entry of the queue: {error}"))
}
