//! The dead letters.

use std::time::Duration;

use async_nats::jetstream::AckKind;
use async_nats::jetstream::kv::{Entry, Operation};
use async_nats::jetstream::stream::DirectGetErrorKind;
use serde::{Deserialize, Serialize};

use super::buckets::{End, codec, remove, sending};
use super::finish::acknowledge;
use super::push::Message;
use super::server::{Server, engine};
use crate::engine::{Dead, Fence, Function, JobId, Leased};
use crate::error::{Error, Kind};

/// The entry of a dead letter.
#[derive(Serialize, Deserialize)]
pub(super) struct Letter {
    function: Function,
    #[serde(with = "crate::bytes")]
    payload: Vec<u8>,
    attempts: u32,
    error: String,
    /// Whether the arguments were too long to be kept with the error.
    #[serde(default)]
    is_without_payload: bool,
}

impl Letter {
    pub(super) fn new(function: Function, payload: &[u8], attempts: u32, error: String) -> Self {
        Self {
            function,
            payload: payload.to_vec(),
            attempts,
            error,
            is_without_payload: false,
        }
    }
}

/// Moves a job to the dead letters.
///
/// The end of the job is stored first, so that only one of two workers stores the letter. The
/// message is removed last: if the worker dies in between, the next delivery finds the end, and
/// the worker that gets it stores the letter.
pub(super) async fn bury(server: &Server, job: &Leased, error: String) -> Result<Fence, Error> {
    let (fence, revision) = server.fence_at(job).await?;
    if fence != Fence::Held {
        return Ok(fence);
    }
    let mut text = error;
    let mut created = server
        .create_end(&job.id, &End::Burying(text.clone()))
        .await;
    if created.as_ref().is_err_and(Error::is_codec) {
        text = "the text of the last error is too long for the server".to_owned();
        created = server
            .create_end(&job.id, &End::Burying(text.clone()))
            .await;
    }
    let Some(end) = created? else {
        // Another worker has buried or finished it meanwhile.
        return Ok(Fence::Gone);
    };
    let letter = Letter::new(job.function.clone(), &job.payload, job.attempt, text);
    store(server, &job.id, letter, end).await?;
    let _ = acknowledge(server, job, AckKind::Term).await;
    server.forget_lease(&job.id, revision).await;
    Ok(Fence::Held)
}

/// Stores the letter of a job whose end has this revision, and then that it is stored. If it is too
/// long with its error, it is stored without the arguments: a job that cannot be buried would be
/// delivered for ever.
pub(super) async fn store(
    server: &Server,
    id: &JobId,
    mut letter: Letter,
    end: u64,
) -> Result<(), Error> {
    let error = letter.error.clone();
    match send(server, id, &letter).await {
        Err(error) if error.is_codec() => {
            letter.payload = Vec::new();
            letter.is_without_payload = true;
            letter.error += " (the arguments were not kept: with this text they are too long)";
            send(server, id, &letter).await?;
        }
        sent => sent?,
    }
    server.set_dead(id, error, end).await
}

async fn send(server: &Server, id: &JobId, letter: &Letter) -> Result<(), Error> {
    let bytes = rmp_serde::to_vec_named(letter).map_err(|error| codec(&error))?;
    let stored = server.dead.put(&id.0, bytes.into()).await;
    stored.map(drop).map_err(sending)
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
        if message.headers.get("KV-Operation").is_some() {
            // Another program has removed a letter, and the client leaves such a marker.
            continue;
        }
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
    if let Some((End::Dead(_) | End::Burying(_), revision)) = server.end(id).await? {
        remove(&server.outcomes, &id.0, revision).await?;
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
    let Some(entry) = entry(server, &id.0).await? else {
        return Ok(false);
    };
    // Otherwise the next delivery would store the letter of a worker that has died again.
    if let Some((End::Burying(error), revision)) = server.end(id).await? {
        server.set_dead(id, error, revision).await?;
    }
    remove(&server.dead, &id.0, entry.revision).await?;
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
