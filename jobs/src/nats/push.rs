//! Storing jobs.

use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::context::PublishAckFuture;
use async_nats::jetstream::message::PublishMessage;
use sha2::{Digest, Sha256};

use super::buckets::sending;
use super::names;
use super::server::Server;
use crate::engine::{Function, JobId, NewJob};
use crate::error::{Error, Kind};

/// The header with the id of a job. The message ids of the server are per message, and a job that
/// was delayed or put back is another message.
const ID: &str = "Coreloop-Job";
const NAME: &str = "Coreloop-Function";
const VERSION: &str = "Coreloop-Version";
/// Of a job that waits for its time: how long it waits, in milliseconds.
const DELAY: &str = "Coreloop-Delay";

/// The longest key that is a part of the id of its job. The hash of a longer one is.
const MAX_KEY: usize = 128;

/// Stores jobs. The answers of the server are awaited together.
pub(super) async fn push(server: &Server, jobs: Vec<NewJob>) -> Result<Vec<JobId>, Error> {
    let mut ids = Vec::with_capacity(jobs.len());
    let mut stored = Vec::with_capacity(jobs.len());
    for job in jobs {
        let id = JobId(match &job.key {
            Some(key) => format!("key-{}", key_part(key)),
            None => new_id()?,
        });
        // The server knows the ids of the messages of a day, but after a restart it knows only
        // the messages that it still has.
        let is_done = job.key.is_some() && server.outcome(&id).await?.is_some();
        if !is_done {
            let message = Message {
                id: &id,
                function: &job.function,
                payload: job.payload,
                delay: job.delay,
            };
            stored.push(message.send(server, &id.0).await?);
        }
        ids.push(id);
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

fn key_part(key: &str) -> String {
    if key.len() <= MAX_KEY {
        return names::encode(key);
    }
    hexadecimal(&Sha256::digest(key.as_bytes()))
}

fn new_id() -> Result<String, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::new(Kind::Engine, format!("no random numbers: {error}")))?;
    Ok(hexadecimal(&bytes))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
