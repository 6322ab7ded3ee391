//! Leasing jobs.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{Consumer, pull};
use async_nats::jetstream::{self, AckKind};
use futures_util::StreamExt;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::buckets::End;
use super::dead::{self, Letter};
use super::delayed;
use super::finish;
use super::leases::{Delivery, Registration};
use super::push::Headers;
use super::ready::Ready;
use super::server::{Server, all, engine};
use crate::engine::{Function, Leased};
use crate::error::Error;

/// How long the server may take to answer a request for messages. A consumer that does not
/// answer is looked up again, and created if it is gone.
const ANSWER: Duration = Duration::from_secs(1);

/// How often a worker without jobs looks for jobs that came back: the server sends no message when
/// a lease ends, or when a delay has passed.
const LOOK: Duration = Duration::from_millis(250);

/// Waits until there may be jobs.
pub(super) async fn wait(server: &Server) {
    // Workers that started together should not ask together.
    let jitter = Duration::from_millis(fastrand::u64(0..=100));
    let _ = timeout(LOOK + jitter, server.wake.notified()).await;
}

/// Leases the jobs that there are, at most `max`, and keeps them for the caller.
pub(super) async fn fetch(server: &Arc<Server>, ready: &Ready, max: usize) -> Result<(), Error> {
    let _only = ready.fetching.lock().await;
    // If that fails, these jobs come back when their leases end.
    let _ = give_back(server, ready.take_stale()).await;
    if !ready.is_empty() {
        // A call whose caller has stopped waiting has leased them.
        return Ok(());
    }
    let mut failure = delayed::move_due(server).await.err();
    // No function is always the last.
    let mut functions = ready.functions.clone();
    fastrand::shuffle(&mut functions);
    let mut jobs = Vec::new();
    let before = Instant::now();
    for function in &functions {
        let room = max.saturating_sub(jobs.len());
        if room == 0 {
            break;
        }
        match fetch_of(server, function, room, ready.lease).await {
            Ok(leased) => jobs.extend(leased),
            Err(error) => failure = Some(error),
        }
    }
    let is_empty = jobs.is_empty();
    if before.elapsed() > ready.lease / 6 {
        // A part of the leases has passed. However slow the server is, the caller gets these jobs: the
        // next fetch would be as slow.
        finish::prolong(server, &jobs).await;
    }
    ready.add(std::time::Instant::now(), jobs);
    match failure {
        Some(error) if is_empty => {
            server.forget_consumers();
            // The caller may try again at once.
            sleep(Duration::from_millis(100)).await;
            Err(error)
        }
        Some(_) => {
            server.forget_consumers();
            Ok(())
        }
        None => Ok(()),
    }
}

/// Gives back the jobs that were leased for callers that have stopped waiting.
pub(super) async fn leave(server: &Arc<Server>, ready: &Ready) -> Result<(), Error> {
    // The fetch that has begun ends first.
    let _only = ready.fetching.lock().await;
    give_back(server, ready.take_all()).await
}

async fn give_back(server: &Arc<Server>, jobs: Vec<Leased>) -> Result<(), Error> {
    let returned = jobs.into_iter().map(|job| {
        let server = Arc::clone(server);
        async move { finish::unstarted(&server, &job).await.map(drop) }
    });
    all(returned).await.into_iter().collect()
}

async fn fetch_of(
    server: &Arc<Server>,
    function: &Function,
    max: usize,
    lease: Duration,
) -> Result<Vec<Leased>, Error> {
    let consumer = server.consumer(function, lease).await?;
    let messages = messages(server, &consumer, max).await?;
    let leased = messages.into_iter().map(|message| {
        let server = Arc::clone(server);
        async move { accept(&server, message).await }
    });
    let mut jobs = Vec::new();
    for accepted in all(leased).await {
        // A job that could not be registered is delivered again when its lease ends.
        jobs.extend(accepted.ok().flatten());
    }
    Ok(jobs)
}

/// Returns the messages that a consumer has now, at most `max`.
pub(super) async fn messages(
    server: &Server,
    consumer: &Consumer<pull::Config>,
    max: usize,
) -> Result<Vec<jetstream::Message>, Error> {
    let mut batch = consumer
        .fetch()
        .max_messages(max)
        .messages()
        .await
        .map_err(engine)?;
    let mut messages = Vec::new();
    let end = Instant::now() + ANSWER;
    loop {
        match timeout_at(end, batch.next()).await {
            Ok(Some(message)) => messages.push(message.map_err(engine)?),
            Ok(None) => return Ok(messages),
            Err(_) => {
                // Servers of 2.9 do not answer if another worker gets the message for which they
                // have accepted the request. The consumer may also be stalled, or gone.
                server.forget_consumers();
                return Ok(messages);
            }
        }
    }
}

/// Registers the lease of a delivered job; `None` if the message is not to be run.
async fn accept(server: &Server, message: jetstream::Message) -> Result<Option<Leased>, Error> {
    let delivery = Delivery::of(&message.info().map_err(engine)?);
    let Some(headers) = Headers::of(&message) else {
        // Another program has published it here.
        message.ack_with(AckKind::Term).await.map_err(engine)?;
        return Ok(None);
    };
    // Invariant 2: a worker that has finished it may have ended before its acknowledgment.
    if delivery.number > 1
        && let Some((end, revision)) = server.end(&headers.id).await?
    {
        if let End::Burying(error) = end {
            let attempts = server.attempts_before(&headers.id, delivery).await?;
            let letter = Letter::new(headers.function, &message.payload, attempts, error);
            dead::store(server, &headers.id, letter, revision).await?;
        }
        message.double_ack().await.map_err(engine)?;
        server.forget_ended(&headers.id).await?;
        return Ok(None);
    }
    let attempt = match server.register_lease(&headers.id, delivery).await? {
        Registration::Attempt(attempt) => attempt,
        Registration::Late => return Ok(None),
        Registration::Obsolete => {
            message.double_ack().await.map_err(engine)?;
            return Ok(None);
        }
    };
    let lease = delivery.lease(message.reply.as_deref().unwrap_or_default());
    Ok(Some(Leased {
        id: headers.id,
        function: headers.function,
        payload: message.payload.to_vec(),
        attempt,
        lease,
    }))
}
