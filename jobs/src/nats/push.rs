//! Storing jobs.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::context::PublishAckFuture;
use async_nats::jetstream::message::PublishMessage;

use super::buckets::sending;
use super::keys::NewId;
use super::names;
use super::server::{Server, all};
use crate::engine::{Function, JobId, NewJob};
use crate::error::Error;

/// The header with the id of a job. The message ids of the server are per message, and a job that
/// was delayed or put back is another message.
const ID: &str = "Coreloop-Job";
const NAME: &str = "Coreloop-Function";
const VERSION: &str = "Coreloop-Version";
/// Of a job that waits for its time: how long it waits, in milliseconds.
const DELAY: &str = "Coreloop-Delay";

/// Stores jobs. The answers of the server are awaited together.
pub(super) async fn push(server: &Arc<Server>, jobs: Vec<NewJob>) -> Result<Vec<JobId>, Error> {
    let keys = jobs.iter().map(|job| {
        let (server, key) = (Arc::clone(server), job.key.clone());
        async move {
            match key {
                Some(key) => NewId::of_key(&server, &key).await,
                None => NewId::random(),
            }
        }
    });
    let new: Result<Vec<_>, _> = all(keys).await.into_iter().collect();
    let mut ids = Vec::with_capacity(jobs.len());
    let mut stored = Vec::with_capacity(jobs.len());
    for (job, new) in jobs.into_iter().zip(new?) {
        // Otherwise it is sent again: the producer of an earlier push may have ended before it
        // has stored the job.
        let has_ended = new.is_known && server.has_ended(&new.id).await?;
        if !has_ended {
            let message = Message {
                id: &new.id,
                function: &job.function,
                payload: job.payload,
                delay: job.delay,
            };
            stored.push(message.send(server, &new.id.0).await?);
        }
        ids.push(new.id);
    }
    for acknowledgment in stored {
        acknowledgment.await.map_err(sending)?;
    }
    server.wake_workers().await;
    Ok(ids)
}

/// A job as a message.
pub(super) struct Message<'a> {
    pub(super) id: &'a JobId,
    pub(super) function: &'a Function,
    pub(super) payload: Vec<u8>,
    pub(super) delay: Duration,
}

impl Message<'_> {
    /// Sends the message. The future that it returns waits until the server has stored it. For a
    /// day, a second message with the same `message_id` is not stored.
    pub(super) async fn send(
        self,
        server: &Server,
        message_id: &str,
    ) -> Result<PublishAckFuture, Error> {
        let subject = if self.delay.is_zero() {
            names::subject(&server.queue, self.function)
        } else {
            names::delayed_subject(&server.queue)
        };
        let mut message = PublishMessage::build()
            .message_id(message_id)
            .header(ID, self.id.0.as_str())
            .header(NAME, names::encode(&self.function.name).as_str())
            .header(VERSION, self.function.version.to_string().as_str())
            .payload(self.payload.into());
        if !self.delay.is_zero() {
            // Rounded up, so that a delay is never read as none.
            let milliseconds = self.delay.as_nanos().div_ceil(1_000_000);
            let milliseconds = u64::try_from(milliseconds).unwrap_or(u64::MAX);
            message = message.header(DELAY, milliseconds.to_string().as_str());
        }
        server
            .context
            .send_publish(subject, message)
            .await
            .map_err(sending)
    }
}

/// What the headers of a message say.
pub(super) struct Headers {
    pub(super) id: JobId,
    pub(super) function: Function,
    pub(super) delay: Duration,
}

impl Headers {
    /// Reads the headers of a message; `None` if it is not a job of this engine.
    pub(super) fn of(message: &jetstream::Message) -> Option<Self> {
        let headers = message.headers.as_ref()?;
        let get = |name: &str| headers.get(name).map(|value| value.as_str().to_owned());
        Some(Self {
            id: JobId(get(ID)?),
            function: Function {
                name: names::decode(&get(NAME)?)?,
                version: get(VERSION)?.parse().ok()?,
            },
            delay: Duration::from_millis(
                get(DELAY).and_then(|text| text.parse().ok()).unwrap_or(0),
            ),
        })
    }
}
