//! [`Server`], the stream and the buckets of a queue, on the thread of the connection.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer;
use async_nats::jetstream::stream::{self, DiscardPolicy, RetentionPolicy, StorageType, Stream};
use async_nats::jetstream::{self, Context, kv};
use futures_util::StreamExt;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::consumers::Consumers;
use super::names;
use crate::engine::Counts;
use crate::error::{Error, Kind};

/// How long outcomes and keys are kept.
pub(super) const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a lease is known. It is stored again at each delivery.
const LEASES: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long the server may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

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
    /// The ids of jobs that were pushed with keys, under their keys (invariant 6).
    pub(super) keys: kv::Store,
    pub(super) dead: kv::Store,
    pub(super) consumers: Consumers,
    /// Notified when a producer has stored jobs.
    pub(super) wake: Arc<Notify>,
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
        let keys = bucket(&context, &queue, "keys", A_DAY).await?;
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
            keys,
            dead,
            consumers: Consumers::default(),
            wake,
        })
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
