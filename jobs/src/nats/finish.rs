//! Renewing and ending leases.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::AckKind;

use super::server::{Server, all, engine};
use crate::engine::{Fence, JobId, Leased, Outcome};
use crate::error::Error;

/// Renews leases for the time of their consumer.
pub(super) async fn renew(server: &Arc<Server>, jobs: Vec<Leased>) -> Result<Vec<Fence>, Error> {
    let renewed = jobs.into_iter().map(|job| {
        let server = Arc::clone(server);
        async move {
            let fence = server.fence(&job).await?;
            if fence == Fence::Held {
                acknowledge(&server, &job, AckKind::Progress).await?;
            }
            Ok(fence)
        }
    });
    all(renewed).await.into_iter().collect()
}

/// Stores outcomes and removes the jobs.
pub(super) async fn finish(
    server: &Arc<Server>,
    jobs: Vec<(Leased, Outcome)>,
) -> Result<Vec<Fence>, Error> {
    let finished = jobs.into_iter().map(|(job, outcome)| {
        let server = Arc::clone(server);
        async move { finish_one(&server, &job, &outcome).await }
    });
    all(finished).await.into_iter().collect()
}

async fn finish_one(server: &Server, job: &Leased, outcome: &Outcome) -> Result<Fence, Error> {
    let fence = server.fence(job).await?;
    if fence != Fence::Held {
        return Ok(fence);
    }
    let is_first = server.create_outcome(&job.id, outcome).await?;
    // Without it, the next delivery finds the outcome.
    let _ = acknowledge(server, job, AckKind::Ack).await;
    server.forget_lease(&job.id).await;
    Ok(if is_first { Fence::Held } else { Fence::Gone })
}

/// Returns a job to the queue after a time, which the server counts.
pub(super) async fn retry(server: &Server, job: &Leased, delay: Duration) -> Result<Fence, Error> {
    let fence = server.fence(job).await?;
    if fence == Fence::Held {
        let delay = Some(delay).filter(|delay| !delay.is_zero());
        acknowledge(server, job, AckKind::Nak(delay)).await?;
        server.wake_workers().await;
    }
    Ok(fence)
}

/// Sends an acknowledgment of a delivery, and waits until the server has read it.
pub(super) async fn acknowledge(server: &Server, job: &Leased, kind: AckKind) -> Result<(), Error> {
    let answer = server.client.request(job.lease.clone(), kind.into()).await;
    answer.map(drop).map_err(engine)
}

impl Server {
    /// Stores the number of a delivery (invariant 1).
    pub(super) async fn register_lease(&self, id: &JobId, attempt: u32) -> Result<(), Error> {
        let value = attempt.to_string();
        self.leases
            .put(&id.0, value.into())
            .await
            .map(drop)
            .map_err(engine)
    }

    /// Returns whether a lease is valid.
    pub(super) async fn fence(&self, job: &Leased) -> Result<Fence, Error> {
        if self.outcome(&job.id).await?.is_some() {
            return Ok(Fence::Gone);
        }
        let stored = self.leases.get(&job.id.0).await.map_err(engine)?;
        let attempt = stored
            .and_then(|value| std::str::from_utf8(&value).ok()?.parse::<u32>().ok())
            .unwrap_or(0);
        if attempt > job.attempt {
            return Ok(Fence::Taken);
        }
        Ok(Fence::Held)
    }

    /// Removes the entry of a job that has ended. If that fails, the entry ends with its time.
    pub(super) async fn forget_lease(&self, id: &JobId) {
        let _ = self.leases.purge(&id.0).await;
    }
}
