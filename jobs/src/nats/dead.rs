//! The dead letters.

use std::time::Duration;

use async_nats::jetstream::AckKind;
use async_nats::jetstream::kv::{CreateErrorKind, Entry, Operation};
use async_nats::jetstream::stream::DirectGetErrorKind;
use serde::{Deserialize, Serialize};

use super::buckets::{codec, remove, sending};
use super::finish::acknowledge;
use super::push::Message;
use super::server::{Server, engine};
use crate::engine::{Dead, Fence, Function, JobId, Leased, Outcome};
use crate::error::{Error, Kind};

/// The entry of a dead letter.
#[derive(Serialize, Deserialize)]
struct Letter {
    function: Function,
    #[serde(with = "crate::bytes")]
    payload: Vec<u8>,
    attempts: u32,
    error: String,
    /// Whether the arguments were too long to be kept with the error.
    #[serde(default)]
    is_without_payload: bool,
}

/// Moves a job to the dead letters.
///
/// The outcome is stored first, so that only one of two workers stores the letter. The message is
/// removed last: if the worker dies in between, the next delivery finds the outcome, and
/// [`complete`] stores the letter.
pub(super) async fn bury(server: &Server, job: &Leased, error: String) -> Result<Fence, Error> {
    let (fence, revision) = server.fence_at(job).await?;
    if fence != Fence::Held {
        return Ok(fence);
    }
    let mut text = error;
    let mut created = create_dead(server, &job.id, &text).await;
    if created.as_ref().is_err_and(Error::is_codec) {
        text = "the text of the last error is too long for the server".to_owned();
        created = create_dead(server, &job.id, &text).await;
    }
    if !created? {
        // Another worker has buried or finished it meanwhile.
        return Ok(Fence::Gone);
    }
    let letter = Letter {
        function: job.function.clone(),
        payload: job.payload.clone(),
        attempts: job.attempt,
        error: text,
        is_without_payload: false,
    };
    store(server, &job.id, letter, Existing::Replace).await?;
    let _ = acknowledge(server, job, AckKind::Term).await;
    server.forget_lease(&job.id, revision).await;
    Ok(Fence::Held)
}

async fn create_dead(server: &Server, id: &JobId, error: &str) -> Result<bool, Error> {
    let outcome = Outcome::Dead(error.to_owned());
    server.create_outcome(id, &outcome).await
}

/// Stores the letter of a job whose outcome says that it is dead, unless it is stored.
pub(super) async fn complete(
    server: &Server,
    job: (&JobId, Function, Vec<u8>),
    attempts: u32,
    error: String,
) -> Result<(), Error> {
    let (id, function, payload) = job;
    let letter = Letter {
        function,
        payload,
        attempts,
        error,
        is_without_payload: false,
    };
    store(server, id, letter, Existing::Keep).await
}

/// What happens to a letter that exists.
#[derive(Clone, Copy)]
enum Existing {
    Replace,
    Keep,
}

/// Stores a letter. If it is too long with its error, it is stored without the arguments: a job
/// that cannot be buried would be delivered for ever.
async fn store(
    server: &Server,
    id: &JobId,
    mut letter: Letter,
    existing: Existing,
) -> Result<(), Error> {
    match send(server, id, &letter, existing).await {
        Err(error) if error.is_codec() => {
            letter.payload = Vec::new();
            letter.is_without_payload = true;
            letter.error += " (the arguments were not kept: with this text they are too long)";
            send(server, id, &letter, existing).await
        }
        sent => sent,
    }
}

async fn send(
    server: &Server,
    id: &JobId,
    letter: &Letter,
    existing: Existing,
) -> Result<(), Error> {
    let bytes = rmp_serde::to_vec_named(letter).map_err(|error| codec(&error))?;
    match existing {
        Existing::Replace => {
            let stored = server.dead.put(&id.0, bytes.into()).await;
            stored.map(drop).map_err(sending)
        }
        Existing::Keep => match server.dead.create(&id.0, bytes.into()).await {
            Err(error) if error.kind() != CreateErrorKind::AlreadyExists => Err(sending(error)),
            _ => Ok(()),
        },
    }
}

/// Returns the oldest dead letters. They are read one after the other in the order of their
/// deaths, and no more than `max`.
pub(super) async fn list(server: &Server, max: usize) -> Result<Vec<Dead>, Error> {
    let prefix = &server.dead.prefix;
    let mut letters = Vec::new();
    let mut next = 1;
    while letters.len() < max {
        let stream = &server.dead.stream;
        let read = stream.direct_get_next_for_subject(format!("{prefix}>"), Some(next));
        let message = match read.await {
            Ok(message) => message,
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => break,
            Err(error) => return Err(engine(error)),
        };
        next = message.sequence + 1;
        let id = message.subject.strip_prefix(prefix.as_str());
        let letter = decode(&message.payload)?;
        letters.push(Dead {
            id: JobId(id.unwrap_or_default().to_owned()),
            function: letter.function,
            attempts: letter.attempts,
            error: letter.error,
        });
    }
    Ok(letters)
}

/// Counts the dead letters.
pub(super) async fn count(server: &Server) -> Result<u64, Error> {
    let info = server.dead.stream.get_info().await.map_err(engine)?;
    Ok(info.state.messages)
}

/// Puts a dead letter back in the queue.
pub(super) async fn requeue(server: &Server, id: &JobId) -> Result<bool, Error> {
    let Some(entry) = entry(server, &id.0).await? else {
        return Ok(false);
    };
    let letter = decode(&entry.value)?;
    if letter.is_without_payload {
        let text = "the arguments of this dead letter were too long to be kept";
        return Err(Error::new(Kind::Codec, text));
    }
    // Before the job can run: its outcome would not be stored beside another.
    // One that is not dead comes from an earlier call that was interrupted.
    let is_dead = matches!(server.outcome(id).await?, Some(Outcome::Dead(_)));
    let outcome = server.outcomes.entry(&id.0).await.map_err(engine)?;
    if let Some(outcome) = outcome.filter(|_| is_dead) {
        remove(&server.outcomes, &id.0, outcome.revision).await?;
    }
    let message = Message {
        id,
        function: &letter.function,
        payload: letter.payload,
        delay: Duration::ZERO,
    };
    // The id of the message: if this is interrupted and repeated, the job is stored once.
    let message_id = format!("{id}/requeued/{}", entry.revision);
    let stored = message.send(server, &message_id).await?;
    stored.await.map_err(sending)?;
    remove(&server.dead, &id.0, entry.revision).await?;
    server.wake_workers().await;
    Ok(true)
}

/// Removes a dead letter.
pub(super) async fn discard(server: &Server, id: &JobId) -> Result<bool, Error> {
    if entry(server, &id.0).await?.is_none() {
        return Ok(false);
    }
    server.dead.purge(&id.0).await.map_err(engine)?;
    Ok(true)
}

/// Returns the entry of a dead letter; `None` if there is none, or it was removed.
async fn entry(server: &Server, id: &str) -> Result<Option<Entry>, Error> {
    let entry = server.dead.entry(id).await.map_err(engine)?;
    Ok(entry.filter(|entry| entry.operation == Operation::Put))
}

fn decode(bytes: &[u8]) -> Result<Letter, Error> {
    rmp_serde::from_slice(bytes).map_err(|error| codec(&error))
}
