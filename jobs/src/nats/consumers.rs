//! The consumers of a queue, which all workers share.
//!
//! A consumer has one time for the leases of all its deliveries. It is the longest that a worker
//! has asked for: each worker raises it, and none lowers it. The server cannot update a consumer
//! only if it is unchanged, so a worker that raises it at the same time as another may lower it by
//! accident. So each worker looks again when it next leases or renews, and from time to time, and
//! the longest time remains.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::{self, AckPolicy, Consumer, pull};
use async_nats::jetstream::context::ConsumerInfoErrorKind;

use super::names;
use super::server::{Server, engine};
use crate::engine::Function;
use crate::error::Error;

/// How long a delayed job may be in the hands of the worker that moves it.
const MOVING: Duration = Duration::from_secs(10);

/// How often a worker looks at the configuration of a consumer, which others may have changed.
const LOOK: Duration = Duration::from_secs(5);

/// The consumers that this process has created or found, by their names.
#[derive(Debug, Default)]
pub(super) struct Consumers {
    known: Mutex<HashMap<String, Known>>,
}

#[derive(Debug, Clone)]
struct Known {
    consumer: Consumer<pull::Config>,
    lease: Duration,
    seen: Instant,
}

impl Consumers {
    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a consumer whose leases are long enough, and which was looked at lately.
    fn find(&self, name: &str, lease: Duration) -> Option<Consumer<pull::Config>> {
        let known = self.known();
        let known = known.get(name)?;
        let is_right = known.lease >= lease && known.seen.elapsed() < LOOK;
        is_right.then(|| known.consumer.clone())
    }

    /// Adds a consumer that was looked at just now.
    pub(super) fn know(&self, name: String, consumer: Consumer<pull::Config>, lease: Duration) {
        let known = Known {
            consumer,
            lease,
            seen: Instant::now(),
        };
        self.known().insert(name, known);
    }
}

impl Server {
    /// Returns the consumer of a function, whose leases take this long or longer.
    pub(super) async fn consumer(
        &self,
        function: &Function,
        lease: Duration,
    ) -> Result<Consumer<pull::Config>, Error> {
        let subject = names::subject(&self.queue, function);
        self.consumer_of(names::consumer(function), subject, lease)
            .await
    }

    /// Returns the consumer of the jobs that wait for their time.
    pub(super) async fn delayed(&self) -> Result<Consumer<pull::Config>, Error> {
        let name = names::DELAYED_CONSUMER.to_owned();
        self.consumer_of(name, names::delayed_subject(&self.queue), MOVING)
            .await
    }

    async fn consumer_of(
        &self,
        name: String,
        subject: String,
        lease: Duration,
    ) -> Result<Consumer<pull::Config>, Error> {
        if let Some(consumer) = self.consumers.find(&name, lease) {
            return Ok(consumer);
        }
        let config = |lease| pull::Config {
            durable_name: Some(name.clone()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: lease,
            // Invariant 3.
            max_deliver: -1,
            max_ack_pending: -1,
            filter_subject: subject,
            ..pull::Config::default()
        };
        let info = match self.stream.consumer_info(&name).await {
            Ok(info) => info,
            Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => {
                return self.set_consumer(config(lease)).await;
            }
            Err(error) => return Err(engine(error)),
        };
        let longest = info.config.ack_wait.max(lease);
        if !is_right(&info.config, lease) {
            return self.set_consumer(config(longest)).await;
        }
        let consumer = Consumer::new(config(longest), info, self.context.clone());
        self.consumers.know(name, consumer.clone(), longest);
        Ok(consumer)
    }

    /// Creates or changes a consumer. The next call looks at it again, so it is not known yet.
    async fn set_consumer(&self, config: pull::Config) -> Result<Consumer<pull::Config>, Error> {
        self.stream.create_consumer(config).await.map_err(engine)
    }

    /// Forgets all consumers, so that each is looked up again, and created if it is gone: the
    /// server has lost one, or one does not answer.
    pub(super) fn forget_consumers(&self) {
        self.consumers.known().clear();
    }
}

/// Returns whether a consumer has leases of at least this time, and no limits.
fn is_right(config: &consumer::Config, lease: Duration) -> bool {
    config.ack_wait >= lease && config.max_deliver <= 0 && config.max_ack_pending <= 0
}
