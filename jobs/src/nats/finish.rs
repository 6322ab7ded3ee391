//! Renewing and ending leases.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::AckKind;
use futures_util::future::join;

use super::buckets::End;
use super::leases::parse;
use super::server::{Server, all, engine};
use crate::engine::{Fence, Leased};
use crate::error::Error;

/// The longest delay that the server can count, in nanoseconds of 63 bits.
const LONGEST: Duration = Duration::from_nanos(i64::MAX.unsigned_abs());

/// Renews leases for the time of their consumer, which is at least `lease`.
pub(super) async fn renew(
    server: &Arc<Server>,
    jobs: Vec<Leased>,
    lease: Duration,
) -> Result<Vec<Fence>, Error> {
    let functions: HashSet<_> = jobs.iter().map(|job| job.function.clone()).collect();
    // Raises the time again if another worker has lowered it by accident. The renewals, which do
    // not wait for it, say whether the server answers.
    let raised = functions.into_iter().map(|function| {
        let server = Arc::clone(server);
        async move { server.consumer(&function, lease).await.map(drop) }
    });
    let raised = all(raised);
    let renewed = jobs.into_iter().map(|job| {
        let server = Arc::clone(server);
        async move {
            let fence = server.fence_and_refresh(&job).await?;
            if fence == Fence::Held {
                acknowledge(&server, &job, AckKind::Progress).await?;
            }
            Ok(fence)
        }
    });
    let (_, renewed) = join(raised, all(renewed)).await;
    renewed.into_iter().collect()
}

/// Begins the time of leases again, of jobs that are registered for this worker just now. If that
/// fails, they end with their time.
pub(super) async fn prolong(server: &Arc<Server>, jobs: &[Leased]) {
    let prolonged = jobs.iter().cloned().map(|job| {
        let server = Arc::clone(server);
        async move { acknowledge(&server, &job, AckKind::Progress).await }
    });
    let _ = all(prolonged).await;
}

/// Stores outcomes and removes the jobs.
pub(super) async fn finish(
    server: &Arc<Server>,
    jobs: Vec<(Leased, Vec<u8>)>,
) -> Result<Vec<Fence>, Error> {
    let finished = jobs.into_iter().map(|(job, result)| {
        let server = Arc::clone(server);
        async move { finish_one(&server, &job, result).await }
    });
    all(finished).await.into_iter().collect()
}

async fn finish_one(server: &Server, job: &Leased, result: Vec<u8>) -> Result<Fence, Error> {
    let (fence, revision) = server.fence_at(job).await?;
    if fence != Fence::Held {
        return Ok(fence);
    }
    let created = server.create_end(&job.id, &End::Done(result)).await?;
    if created.is_none() {
        // The letter of a job that another worker is burying may need the message.
        return Ok(Fence::Gone);
    }
    // Without it, the next delivery finds the outcome.
    let _ = acknowledge(server, job, AckKind::Ack).await;
    server.forget_lease(&job.id, revision).await;
    Ok(Fence::Held)
}

/// Returns a job to the queue after a time, which the server counts.
pub(super) async fn retry(server: &Server, job: &Leased, delay: Duration) -> Result<Fence, Error> {
    let fence = server.fence(job).await?;
    if fence == Fence::Held {
        let delay = Some(delay.min(LONGEST)).filter(|delay| !delay.is_zero());
        acknowledge(server, job, AckKind::Nak(delay)).await?;
        server.wake_workers().await;
    }
    Ok(fence)
}

/// Returns a job that has not started to the queue. Its delivery does not count as an attempt.
pub(super) async fn unstarted(server: &Server, job: &Leased) -> Result<Fence, Error> {
    let fence = server.uncount(job).await?;
    if fence == Fence::Held {
        acknowledge(server, job, AckKind::Nak(None)).await?;
        server.wake_workers().await;
    }
    Ok(fence)
}

/// Sends an acknowledgment of a delivery, and waits until the server has read it.
pub(super) async fn acknowledge(server: &Server, job: &Leased, kind: AckKind) -> Result<(), Error> {
    let subject = parse(job).map_or("", |(_, subject)| subject);
    let answer = server.client.request(subject.to_owned(), kind.into()).await;
    answer.map(drop).map_err(engine)
}
