//! [`Server`], the stream and the buckets of a queue, on the thread of the connection.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::jetstream::consumer::{self, AckPolicy, Consumer, pull};
use async_nats::jetstream::stream::{self, DiscardPolicy, RetentionPolicy, StorageType, Stream};
use async_nats::jetstream::{self, Context, kv};
use futures_util::StreamExt;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::names;
use crate::engine::{Counts, Function};
use crate::error::{Error, Kind};

/// How long outcomes and keys are kept.
pub(super) const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a lease is known. It is stored again at each delivery.
const LEASES: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long the server may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// How long a delayed job may be in the hands of the worker that moves it.
const MOVING: Duration = Duration::from_secs(10);

/// The stream and the buckets of a queue.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) queue: String,
    pub(super) client: async_nats::Client,
    pub(super) context: Context,
    pub(super) stream: Stream<()>,
    /// The outcomes of jobs, each under the id of its job.
    pub(super) outcomes: kv::Store,
    /// The number of the last delivery of each job, under its id (invariant 1).
    pub(super) leases: kv::Store,
    pub(super) dead: kv::Store,
    consumers: Mutex<HashMap<String, Known>>,
    /// Notified when a producer has stored jobs.
    pub(super) wake: Arc<Notify>,
}

/// A consumer that this process has created or found.
#[derive(Debug, Clone)]
struct Known {
    consumer: Consumer<pull::Config>,
    lease: Duration,
}

impl Server {
    /// Connects, and creates what is missing.
    pub(super) async fn connect(url: String, queue: String) -> Result<Self, Error> {
        let client = async_nats::ConnectOptions::new()
            .request_timeout(Some(ANSWER))
            .connect(url)
            .await
            .map_err(|error| Error::new(Kind::Engine, format!("NATS: {error}")))?;
        let context = jetstream::new(client.clone());
        let config = stream::Config {
            name: names::stream(&queue),
            subjects: vec![names::all_subjects(&queue)],
            retention: RetentionPolicy::WorkQueue,
            storage: StorageType::File,
            duplicate_window: A_DAY,
            ..stream::Config::default()
        };
        context.get_or_create_stream(config).await.map_err(engine)?;
        let stream = context
            .get_stream_no_info(names::stream(&queue))
            .await
            .map_err(engine)?;
        let outcomes = bucket(&context, &queue, "outcomes", A_DAY).await?;
        let leases = bucket(&context, &queue, "leases", LEASES).await?;
        let dead = bucket(&context, &queue, "dead", Duration::ZERO).await?;
        let wake = Arc::new(Notify::new());
        let mut wakes = client
            .subscribe(names::wake_subject(&queue))
            .await
            .map_err(engine)?;
        let notify = Arc::clone(&wake);
        // It ends with the runtime of the thread.
        tokio::spawn(async move {
            while wakes.next().await.is_some() {
                notify.notify_one();
            }
        });
        Ok(Self {
            queue,
            client,
            context,
            stream,
            outcomes,
            leases,
            dead,
            consumers: Mutex::default(),
            wake,
        })
    }

    /// Returns the consumer of a function, whose leases take this long.
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
        let known = lock(&self.consumers).get(&name).cloned();
        if let Some(known) = known
            && known.lease == lease
        {
            return Ok(known.consumer);
        }
        let config = pull::Config {
            durable_name: Some(name.clone()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: lease,
            // Invariant 3.
            max_deliver: -1,
            max_ack_pending: -1,
            filter_subject: subject,
            ..pull::Config::default()
        };
        // This changes the lease of a consumer that exists.
        let consumer = self.stream.create_consumer(config).await.map_err(engine)?;
        let known = Known {
            consumer: consumer.clone(),
            lease,
        };
        lock(&self.consumers).insert(name, known);
        Ok(consumer)
    }

    /// Forgets all consumers, so that each is looked up again, and created if it is gone: the
    /// server has lost one, or one does not answer.
    pub(super) fn forget_consumers(&self) {
        lock(&self.consumers).clear();
    }

    /// Wakes idle workers. The message may be lost, because they also look by themselves.
    pub(super) async fn wake_workers(&self) {
        let subject = names::wake_subject(&self.queue);
        let _ = self.client.publish(subject, "".into()).await;
    }

    pub(super) async fn counts(&self) -> Result<Counts, Error> {
        let mut counts = Counts::default();
        let info = self.stream.get_info().await.map_err(engine)?;
        let mut waiting = info.state.messages;
        let mut consumers = self.stream.consumers();
        while let Some(consumer) = consumers.next().await {
            let info: consumer::Info = consumer.map_err(engine)?;
            let pending = u64::try_from(info.num_ack_pending).unwrap_or(0);
            if info.name == names::DELAYED_CONSUMER {
                counts.delayed = pending + info.num_pending;
                waiting = waiting.saturating_sub(counts.delayed);
            } else {
                counts.leased += pending;
                waiting = waiting.saturating_sub(pending);
            }
        }
        counts.waiting = waiting;
        counts.dead = super::dead::count(self).await?;
        Ok(counts)
    }
}

/// Creates a bucket unless it exists.
///
/// The client's own way asks first for the account, whose answer it cannot read from servers
/// before 2.10. So this creates the stream of the bucket, as the client would.
async fn bucket(
    context: &Context,
    queue: &str,
    what: &str,
    max_age: Duration,
) -> Result<kv::Store, Error> {
    let name = names::bucket(queue, what);
    let config = stream::Config {
        name: format!("KV_{name}"),
        subjects: vec![format!("$KV.{name}.>")],
        max_messages_per_subject: 1,
        max_age,
        storage: StorageType::File,
        discard: DiscardPolicy::New,
        allow_rollup: true,
        deny_delete: true,
        allow_direct: true,
        num_replicas: 1,
        ..stream::Config::default()
    };
    context.get_or_create_stream(config).await.map_err(engine)?;
    context.get_key_value(name).await.map_err(engine)
}

/// Runs futures at the same time, and returns their results in order.
pub(super) async fn all<T: Send + 'static>(
    futures: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let mut set = JoinSet::new();
    for (index, future) in futures.into_iter().enumerate() {
        set.spawn(async move { (index, future.await) });
    }
    let mut results = set.join_all().await;
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Turns an error of the client into one of the queue.
pub(super) fn engine(error: impl std::fmt::Display) -> Error {
    Error::new(Kind::Engine, format!("NATS: {error}"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
