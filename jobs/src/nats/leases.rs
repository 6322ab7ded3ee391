//! The bucket of leases: which delivery of each job is the valid one (invariant 1).

use std::fmt;
use std::time::SystemTime;

use async_nats::jetstream::kv::{Entry, UpdateErrorKind};
use async_nats::jetstream::message::Info;

use super::buckets::remove;
use super::server::{A_DAY, Server, engine};
use crate::engine::{Fence, JobId, Leased};
use crate::error::Error;

/// A delivery of the message of a job. A later one is larger: a job that was put back is another
/// message, whose place in the stream is a larger number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Delivery {
    /// The place of the message in the stream.
    sequence: u64,
    /// How often the message has been delivered.
    pub(super) number: u32,
}

impl Delivery {
    pub(super) fn of(info: &Info<'_>) -> Self {
        Self {
            sequence: info.stream_sequence,
            number: u32::try_from(info.delivered).unwrap_or(u32::MAX),
        }
    }

    /// Returns the name of the lease that begins with this delivery. `subject` is where it is
    /// acknowledged.
    pub(super) fn lease(self, subject: &str) -> String {
        format!("{} {} {subject}", self.sequence, self.number)
    }
}

/// Reads the name of the lease of a job: its delivery, and where that is acknowledged.
pub(super) fn parse(job: &Leased) -> Option<(Delivery, &str)> {
    let mut parts = job.lease.splitn(3, ' ');
    let delivery = Delivery {
        sequence: parts.next()?.parse().ok()?,
        number: parts.next()?.parse().ok()?,
    };
    Some((delivery, parts.next()?))
}

/// What is stored of the last delivery of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Registered {
    delivery: Delivery,
    /// How many deliveries of the message do not count as attempts.
    unstarted: u32,
    /// Whether this delivery is one of them: its worker has given the job back.
    is_given_back: bool,
}

impl Registered {
    fn parse(value: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(value).ok()?.split(' ');
        Some(Self {
            delivery: Delivery {
                sequence: parts.next()?.parse().ok()?,
                number: parts.next()?.parse().ok()?,
            },
            unstarted: parts.next()?.parse().ok()?,
            is_given_back: parts.next()? == "1",
        })
    }

    /// Returns how often the job was attempted, with a delivery of this number.
    fn attempt(&self, number: u32) -> u32 {
        number.saturating_sub(self.unstarted).max(1)
    }
}

impl fmt::Display for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Delivery { sequence, number } = self.delivery;
        let is_given_back = u8::from(self.is_given_back);
        write!(f, "{sequence} {number} {} {is_given_back}", self.unstarted)
    }
}

/// The entry of a job in the bucket.
struct Stored {
    revision: u64,
    created: SystemTime,
    value: Option<Registered>,
}

impl From<Entry> for Stored {
    fn from(entry: Entry) -> Self {
        Self {
            revision: entry.revision,
            created: entry.created.into(),
            value: Registered::parse(&entry.value),
        }
    }
}

/// What the bucket says to a delivery.
pub(super) enum Registration {
    /// It is the last one, and the attempt of this number.
    Attempt(u32),
    /// A later delivery of the message is registered.
    Late,
    /// The job was put back as another message, which is registered.
    Obsolete,
}

impl Server {
    /// Stores a delivery, unless a later one is stored.
    pub(super) async fn register_lease(
        &self,
        id: &JobId,
        delivery: Delivery,
    ) -> Result<Registration, Error> {
        let mut stored = if delivery.number > 1 {
            self.stored(id).await?
        } else {
            None
        };
        loop {
            let last = stored.as_ref().and_then(|stored| stored.value);
            if let Some(last) = last
                && last.delivery > delivery
            {
                let is_obsolete = last.delivery.sequence > delivery.sequence;
                return Ok(if is_obsolete {
                    Registration::Obsolete
                } else {
                    Registration::Late
                });
            }
            let of_this = last.filter(|last| last.delivery.sequence == delivery.sequence);
            let lease = Registered {
                delivery,
                unstarted: of_this.map_or(0, |last| last.unstarted),
                is_given_back: false,
            };
            let revision = stored.map_or(0, |stored| stored.revision);
            if self.update_lease(id, &lease, revision).await? {
                return Ok(Registration::Attempt(lease.attempt(delivery.number)));
            }
            stored = self.stored(id).await?;
        }
    }

    /// Returns how often a job was attempted before this delivery.
    pub(super) async fn attempts_before(
        &self,
        id: &JobId,
        delivery: Delivery,
    ) -> Result<u32, Error> {
        let before = delivery.number.saturating_sub(1);
        let stored = self.stored(id).await?.and_then(|stored| stored.value);
        let last = stored.filter(|last| last.delivery.sequence == delivery.sequence);
        Ok(last.map_or(before, |last| last.attempt(before)))
    }

    /// Does not count a delivery as an attempt. This is done once for each delivery.
    pub(super) async fn uncount(&self, job: &Leased) -> Result<Fence, Error> {
        loop {
            let stored = self.stored(&job.id).await?;
            if self.has_ended(&job.id).await? {
                return Ok(Fence::Gone);
            }
            let mine = parse(job).map(|(delivery, _)| delivery);
            let Some((revision, lease)) = stored.and_then(|stored| {
                let lease = stored.value?;
                (Some(lease.delivery) == mine).then_some((stored.revision, lease))
            }) else {
                return Ok(Fence::Taken);
            };
            let uncounted = Registered {
                unstarted: lease.unstarted + 1,
                is_given_back: true,
                ..lease
            };
            // An earlier call may have counted, and its answer was lost.
            if lease.is_given_back || self.update_lease(&job.id, &uncounted, revision).await? {
                return Ok(Fence::Held);
            }
            // Another delivery was registered meanwhile, or the entry was refreshed.
        }
    }

    /// Returns whether a lease is valid.
    pub(super) async fn fence(&self, job: &Leased) -> Result<Fence, Error> {
        self.fence_at(job).await.map(|(fence, _)| fence)
    }

    /// Returns whether a lease is valid, and the revision of its entry.
    pub(super) async fn fence_at(&self, job: &Leased) -> Result<(Fence, u64), Error> {
        let (fence, stored) = self.look(job).await?;
        Ok((fence, stored.map_or(0, |stored| stored.revision)))
    }

    /// Returns whether a lease is valid, and the entry of its job.
    async fn look(&self, job: &Leased) -> Result<(Fence, Option<Stored>), Error> {
        // The entry first: it is removed after the outcome was stored.
        let stored = self.stored(&job.id).await?;
        if self.has_ended(&job.id).await? {
            return Ok((Fence::Gone, stored));
        }
        let mine = parse(job).map(|(delivery, _)| delivery);
        let last = stored.as_ref().and_then(|stored| stored.value);
        let is_mine = last.is_some_and(|last| Some(last.delivery) == mine && !last.is_given_back);
        let fence = if is_mine { Fence::Held } else { Fence::Taken };
        Ok((fence, stored))
    }

    /// Returns whether a lease is valid. The entry of one that is held for days is stored again,
    /// because entries end.
    pub(super) async fn fence_and_refresh(&self, job: &Leased) -> Result<Fence, Error> {
        let (fence, stored) = self.look(job).await?;
        if fence == Fence::Held
            && let Some(stored) = stored
            && let Some(lease) = stored.value
            && stored.created.elapsed().is_ok_and(|age| age > A_DAY)
        {
            // Nothing is changed if another delivery was registered meanwhile.
            self.update_lease(&job.id, &lease, stored.revision).await?;
        }
        Ok(fence)
    }

    /// Removes the entry of a job that has ended, if it still has this revision. If that fails,
    /// the entry ends with its time.
    pub(super) async fn forget_lease(&self, id: &JobId, revision: u64) {
        let _ = remove(&self.leases, &id.0, revision).await;
    }

    /// Removes the entry of a job that had ended before this delivery.
    pub(super) async fn forget_ended(&self, id: &JobId) -> Result<(), Error> {
        if let Some(stored) = self.stored(id).await? {
            self.forget_lease(id, stored.revision).await;
        }
        Ok(())
    }

    async fn stored(&self, id: &JobId) -> Result<Option<Stored>, Error> {
        let entry = self.leases.entry(&id.0).await.map_err(engine)?;
        Ok(entry.map(Stored::from))
    }

    /// Stores the entry of a job. Returns `false` if its revision is another one.
    async fn update_lease(
        &self,
        id: &JobId,
        lease: &Registered,
        revision: u64,
    ) -> Result<bool, Error> {
        let value = lease.to_string().into();
        match self.leases.update(&id.0, value, revision).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => Ok(false),
            Err(error) => Err(engine(error)),
        }
    }
}
