//! Renewing and ending leases.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::AckKind;

use super::server::{Server, all, engine};
use crate::engine::{Fence, JobId, Leased, Outcome};
use crate::error::Error;

/// Renews leases for the time of their consumer, which is at least `lease`.
pub(super) async fn renew(
    server: &Arc<Server>,
    jobs: Vec<Leased>,
    lease: Duration,
) -> Result<Vec<Fence>, Error> {
    let functions: HashSet<_> = jobs.iter().map(|job| &job.function).collect();
    for function in functions {
        // Raises the time again if another worker has lowered it by accident. The renewals below
        // say whether the server answers.
        let _ = server.consumer(function, lease).await;
    }
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

/// Returns a job that has not started to the queue. Its delivery does not count as an attempt.
pub(super) async fn unstarted(server: &Server, job: &Leased) -> Result<Fence, Error> {
    let fence = server.fence(job).await?;
    if fence != Fence::Held {
        return Ok(fence);
    }
    let stored = server.leases.entry(&job.id.0).await.map_err(engine)?;
    let Some((entry, lease)) = stored.and_then(|entry| {
        let lease = Registered::parse(&entry.value)?;
        Some((entry, lease))
    }) else {
        return Ok(Fence::Gone);
    };
    let uncounted = Registered {
        unstarted: lease.unstarted + 1,
        ..lease
    };
    let value = uncounted.to_string().into();
    // Not if another delivery was registered meanwhile.
    let update = server.leases.update(&job.id.0, value, entry.revision);
    if update.await.is_err() {
        return server.fence(job).await;
    }
    acknowledge(server, job, AckKind::Nak(None)).await?;
    server.wake_workers().await;
    Ok(Fence::Held)
}

/// Sends an acknowledgment of a delivery, and waits until the server has read it.
pub(super) async fn acknowledge(server: &Server, job: &Leased, kind: AckKind) -> Result<(), Error> {
    let subject = Delivery::of(job).map_or("", |delivery| delivery.subject);
    let answer = server.client.request(subject.to_owned(), kind.into()).await;
    answer.map(drop).map_err(engine)
}

/// A delivery of a job: its number, and the subject to which it is acknowledged. Both are in the
/// name of the lease.
pub(super) struct Delivery<'a> {
    pub(super) number: u32,
    pub(super) subject: &'a str,
}

impl<'a> Delivery<'a> {
    fn of(job: &'a Leased) -> Option<Self> {
        let (number, subject) = job.lease.split_once(' ')?;
        let number = number.parse().ok()?;
        Some(Self { number, subject })
    }
}

impl fmt::Display for Delivery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.subject)
    }
}

/// What is stored of the last delivery of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Registered {
    /// Its number.
    delivery: u32,
    /// How many deliveries do not count as attempts.
    unstarted: u32,
}

impl Registered {
    fn parse(value: &[u8]) -> Option<Self> {
        let (delivery, unstarted) = std::str::from_utf8(value).ok()?.split_once(' ')?;
        Some(Self {
            delivery: delivery.parse().ok()?,
            unstarted: unstarted.parse().ok()?,
        })
    }
}

impl fmt::Display for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.delivery, self.unstarted)
    }
}

impl Server {
    /// Stores the number of a delivery (invariant 1). Returns the number of the attempt.
    pub(super) async fn register_lease(&self, id: &JobId, delivery: u32) -> Result<u32, Error> {
        let before = if delivery > 1 {
            self.registered(id).await?
        } else {
            None
        };
        let lease = Registered {
            delivery,
            unstarted: before.map_or(0, |lease| lease.unstarted),
        };
        let stored = self.leases.put(&id.0, lease.to_string().into()).await;
        stored.map_err(engine)?;
        Ok(delivery.saturating_sub(lease.unstarted).max(1))
    }

    async fn registered(&self, id: &JobId) -> Result<Option<Registered>, Error> {
        let stored = self.leases.get(&id.0).await.map_err(engine)?;
        Ok(stored.and_then(|value| Registered::parse(&value)))
    }

    /// Returns whether a lease is valid.
    pub(super) async fn fence(&self, job: &Leased) -> Result<Fence, Error> {
        if self.outcome(&job.id).await?.is_some() {
            return Ok(Fence::Gone);
        }
        let last = self.registered(&job.id).await?;
        let last = last.map_or(0, |lease| lease.delivery);
        let mine = Delivery::of(job).map_or(0, |delivery| delivery.number);
        Ok(if last > mine {
            Fence::Taken
        } else {
            Fence::Held
        })
    }

    /// Removes the entry of a job that has ended. If that fails, the entry ends with its time.
    pub(super) async fn forget_lease(&self, id: &JobId) {
        let _ = self.leases.purge(&id.0).await;
    }
}
