//! Jobs that wait for their time.
//!
//! Each worker moves the ones that are due to the subjects of their functions. The server counts
//! the delay: at the first delivery the message is refused with that delay, and it is moved when
//! it is delivered again. If a worker dies in between, the delay begins again; a job is never
//! early.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::{self, AckKind};

use super::lease;
use super::push::{Headers, Message};
use super::server::{Server, all, engine};
use crate::error::Error;

/// How many jobs are moved at a time.
const BATCH: usize = 64;

/// Moves the jobs that are due.
pub(super) async fn move_due(server: &Arc<Server>) -> Result<(), Error> {
    let consumer = server.delayed().await?;
    let messages = lease::messages(server, &consumer, BATCH).await?;
    let moves = messages.into_iter().map(|message| {
        let server = Arc::clone(server);
        async move { move_one(&server, message).await }
    });
    all(moves).await.into_iter().collect()
}

async fn move_one(server: &Server, message: jetstream::Message) -> Result<(), Error> {
    let Some(headers) = Headers::of(&message) else {
        return message.ack_with(AckKind::Term).await.map_err(engine);
    };
    let mark = format!("delayed-{}", headers.id);
    let has_waited = server.leases.get(&mark).await.map_err(engine)?.is_some();
    if !has_waited {
        let refusal = AckKind::Nak(Some(headers.delay));
        message.double_ack_with(refusal).await.map_err(engine)?;
        // Only now: a job without the mark is not moved.
        server.leases.put(&mark, "".into()).await.map_err(engine)?;
        return Ok(());
    }
    let due = Message {
        id: &headers.id,
        function: &headers.function,
        payload: message.payload.to_vec(),
        delay: Duration::ZERO,
    };
    // The id of the message: two workers that move it at the same time store it once.
    let stored = due.send(server, &format!("{}/due", headers.id)).await?;
    stored.await.map_err(engine)?;
    message.double_ack().await.map_err(engine)?;
    let _ = server.leases.purge(&mark).await;
    Ok(())
}
