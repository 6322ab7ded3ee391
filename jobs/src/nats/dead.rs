//! The dead letters.

use std::time::Duration;

use async_nats::jetstream::AckKind;
use async_nats::jetstream::kv::{Entry, Operation};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use super::buckets::{codec, remove};
use super::finish::acknowledge;
use super::push::Message;
use super::server::{Server, engine};
use crate::engine::{Dead, Fence, Function, JobId, Leased, Outcome};
use crate::error::Error;

/// The entry of a dead letter.
#[derive(Serialize, Deserialize)]
struct Letter {
    function: Function,
    #[serde(with = "crate::bytes")]
    payload: Vec<u8>,
    attempts: u32,
    error: String,
}

/// Moves a job to the dead letters.
pub(super) async fn bury(server: &Server, job: &Leased, error: String) -> Result<Fence, Error> {
    let (fence, revision) = server.fence_at(job).await?;
    if fence != Fence::Held {
        return Ok(fence);
    }
    let letter = Letter {
        function: job.function.clone(),
        payload: job.payload.clone(),
        attempts: job.attempt,
        error: error.clone(),
    };
    let bytes = rmp_serde::to_vec_named(&letter).map_err(|error| codec(&error))?;
    server
        .dead
        .put(&job.id.0, bytes.into())
        .await
        .map_err(engine)?;
    if !server
        .create_outcome(&job.id, &Outcome::Dead(error))
        .await?
    {
        // Another worker has finished it meanwhile.
        server.dead.purge(&job.id.0).await.map_err(engine)?;
        return Ok(Fence::Gone);
    }
    let _ = acknowledge(server, job, AckKind::Term).await;
    server.forget_lease(&job.id, revision).await;
    Ok(Fence::Held)
}

/// Returns the oldest dead letters.
pub(super) async fn list(server: &Server, max: usize) -> Result<Vec<Dead>, Error> {
    let mut entries = Vec::new();
    let mut keys = server.dead.keys().await.map_err(engine)?;
    while let Some(key) = keys.next().await {
        if let Some(entry) = entry(server, &key.map_err(engine)?).await? {
            entries.push(entry);
        }
    }
    entries.sort_by_key(|entry| entry.revision);
    let letters = entries.into_iter().take(max);
    letters
        .map(|entry| {
            let letter = decode(&entry)?;
            Ok(Dead {
                id: JobId(entry.key),
                function: letter.function,
                attempts: letter.attempts,
                error: letter.error,
            })
        })
        .collect()
}

/// Counts the dead letters.
pub(super) async fn count(server: &Server) -> Result<u64, Error> {
    let mut keys = server.dead.keys().await.map_err(engine)?;
    let mut count = 0;
    while let Some(key) = keys.next().await {
        key.map_err(engine)?;
        count += 1;
    }
    Ok(count)
}

/// Puts a dead letter back in the queue.
pub(super) async fn requeue(server: &Server, id: &JobId) -> Result<bool, Error> {
    let Some(entry) = entry(server, &id.0).await? else {
        return Ok(false);
    };
    let letter = decode(&entry)?;
    // Before the job can run: its outcome would not be stored beside another.
    if let Some(outcome) = server.outcomes.entry(&id.0).await.map_err(engine)? {
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
    stored.await.map_err(engine)?;
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

fn decode(entry: &Entry) -> Result<Letter, Error> {
    rmp_serde::from_slice(&entry.value).map_err(|error| codec(&error))
}
