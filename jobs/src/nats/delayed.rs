//! Jobs that wait for their time.
//!
//! Each worker moves the ones that are due to the subjects of their functions. A message that is
//! delivered before its time is refused with the time that is left, so that the server delivers
//! it again then. Nothing but the message says how long it has waited, so that the delay may be
//! longer than entries of buckets are kept, and continues when a worker dies.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_nats::jetstream::{self, AckKind};

use super::lease;
use super::push::{Headers, Message};
use super::server::{A_DAY, Server, all, engine};
use crate::error::Error;

/// How many jobs are moved at a time.
const BATCH: usize = 64;

/// The key of an entry that is written to read the clock of the server. It is not the id of a job.
const CLOCK: &str = "clock";

/// Moves the jobs that are due.
pub(super) async fn move_due(server: &Arc<Server>) -> Result<(), Error> {
    let consumer = server.delayed().await?;
    let messages = lease::messages(server, &consumer, BATCH).await?;
    if messages.is_empty() {
        return Ok(());
    }
    let now = now(server).await?;
    let moves = messages.into_iter().map(|message| {
        let server = Arc::clone(server);
        async move { move_one(&server, message, now).await }
    });
    all(moves).await.into_iter().collect()
}

/// Returns the time of the server, a moment ago (invariant 4). Servers of 2.9 say it only of what
/// they have stored.
async fn now(server: &Server) -> Result<SystemTime, Error> {
    let leases = &server.leases;
    leases.put(CLOCK, "".into()).await.map_err(engine)?;
    let entry = leases.entry(CLOCK).await.map_err(engine)?;
    let entry = entry.ok_or_else(|| engine("the entry with the time is gone"))?;
    Ok(entry.created.into())
}

async fn move_one(
    server: &Server,
    message: jetstream::Message,
    now: SystemTime,
) -> Result<(), Error> {
    let Some(headers) = Headers::of(&message) else {
        return message.ack_with(AckKind::Term).await.map_err(engine);
    };
    let published = SystemTime::from(message.info().map_err(engine)?.published);
    let waited = now.duration_since(published).unwrap_or_default();
    if let Some(left) = time_left(headers.delay, waited) {
        let refusal = AckKind::Nak(Some(left));
        return message.double_ack_with(refusal).await.map_err(engine);
    }
    // A second push with its key may have stored it again after it had been moved, if the server
    // was restarted in between.
    if server.has_ended(&headers.id).await? {
        return message.double_ack().await.map_err(engine);
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
    message.double_ack().await.map_err(engine)
}

/// Returns after which time to look again; `None` if the job is due. The server counts nanoseconds
/// in 64 bits, so the time is never longer than a day.
fn time_left(delay: Duration, waited: Duration) -> Option<Duration> {
    let left = delay.checked_sub(waited)?;
    (!left.is_zero()).then_some(left.min(A_DAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_of_a_month_ends_after_a_month() {
        let month = A_DAY * 30;
        assert_eq!(time_left(month, Duration::ZERO), Some(A_DAY));
        assert_eq!(time_left(month, A_DAY * 8), Some(A_DAY));
        let second = Duration::from_secs(1);
        assert_eq!(time_left(month, month - second), Some(second));
        assert_eq!(time_left(month, month), None);
        assert_eq!(time_left(month, month + A_DAY), None);
        assert_eq!(time_left(Duration::MAX, month), Some(A_DAY));
    }
}
