//! Channels: nanoseconds per value through each kind.
//!
//! All channels run on coreloop's loop, so that only the channels differ. tokio's channels
//! also run on tokio's loop, in the row `tokio at home`.

use std::future::Future;
use std::io;
use std::time::{Duration, Instant};

use clap::Args;
use coreloop::Runtime;
use tokio::runtime::LocalRuntime;

use crate::child::limit_time;
use crate::passing::{self, Broadcast, Coreloop, Mpsc, Oneshot, Tokio, Watch};
use crate::report::{self, Place};
use crate::samples::Samples;

const MPSC_BOUND: f64 = 0.6;
const ONESHOT_BOUND: f64 = 0.9;
const BROADCAST_BOUND: f64 = 0.5;
const WATCH_BOUND: f64 = 0.5;

/// The capacity of a bounded channel.
const ROOM: usize = 128;
/// The number of receivers of a broadcast.
const RECEIVERS: usize = 10;

#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// How many values pass in one turn.
    #[arg(long, default_value_t = 100_000)]
    values: u64,
    /// How many turns each channel gets.
    #[arg(long, default_value_t = 15)]
    turns: usize,
    /// Measures only channels whose name contains this text.
    #[arg(long, default_value = "")]
    only: String,
    /// Measures only crates whose name contains this text.
    #[arg(long, default_value = "")]
    of: String,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            values: 100_000,
            turns: 15,
            only: String::new(),
            of: String::new(),
        }
    }
}

/// Passes a number of values and returns the time that it took.
type Pass = Box<dyn Fn(&Loops, u64) -> Duration>;

/// The name of a crate, and the work with its channel.
type Row = (&'static str, Pass);

struct Loops {
    coreloop: Runtime,
    tokio: LocalRuntime,
}

pub(crate) fn measure(options: &Options) -> io::Result<()> {
    limit_time(300);
    let loops = Loops {
        coreloop: Runtime::new()?,
        tokio: LocalRuntime::new()?,
    };
    let contests: [(&str, f64, Vec<Row>); 5] = [
        ("mpsc (128), one producer", MPSC_BOUND, mpsc()),
        ("oneshot made, sent, received", ONESHOT_BOUND, oneshot()),
        ("broadcast to 10 that wait", BROADCAST_BOUND, broadcast()),
        ("watch change and read", WATCH_BOUND, watch_in_one_task()),
        ("watch change, wake, read", WATCH_BOUND, watch()),
    ];
    for (title, bound, rows) in contests {
        if !title.contains(&options.only) {
            continue;
        }
        println!("\n{title}, ns per value, {} turns", options.turns);
        let rows: Vec<_> = rows
            .into_iter()
            .filter(|(name, _)| name.contains(&options.of))
            .collect();
        let mut samples = vec![Samples::default(); rows.len()];
        for _ in 0..options.turns {
            for ((_, pass), samples) in rows.iter().zip(&mut samples) {
                let time = pass(&loops, options.values);
                samples.push(time.as_secs_f64() * 1e9 / options.values as f64);
            }
        }
        let names = rows.iter().map(|(name, _)| *name);
        let table: Vec<_> = names.clone().zip(samples).collect();
        let place = Place {
            part: "channels",
            case: title,
        };
        report::minima(place, "ns", &table);
        let peers: Vec<_> = names.filter(|name| *name != "coreloop").collect();
        report::against(title, &table, &peers, bound);
    }
    Ok(())
}

fn mpsc() -> Vec<Row> {
    fn row<C: Mpsc + 'static>(name: &'static str) -> Row
    where
        C::Sender: 'static,
        C::Receiver: 'static,
    {
        let pass = |loops: &Loops, values| {
            let (producer, consumer) = passing::mpsc::<C>(ROOM, values);
            on_coreloop(loops, producer, vec![consumer])
        };
        (name, Box::new(pass))
    }
    let at_home = |loops: &Loops, values| {
        let (producer, consumer) = passing::mpsc::<Tokio>(ROOM, values);
        on_tokio(loops, producer, vec![consumer])
    };
    vec![
        row::<Coreloop>("coreloop"),
        row::<Tokio>("tokio"),
        ("tokio at home", Box::new(at_home)),
        row::<AsyncChannel>("async-channel"),
        row::<AsyncUnsync>("async-unsync"),
        row::<LocalSync>("local-sync"),
    ]
}

fn oneshot() -> Vec<Row> {
    fn row<C: Oneshot + 'static>(name: &'static str) -> Row {
        let pass = |loops: &Loops, values| {
            on_coreloop(loops, async {}, vec![passing::oneshot::<C>(values)])
        };
        (name, Box::new(pass))
    }
    let at_home =
        |loops: &Loops, values| on_tokio(loops, async {}, vec![passing::oneshot::<Tokio>(values)]);
    vec![
        row::<Coreloop>("coreloop"),
        row::<Tokio>("tokio"),
        ("tokio at home", Box::new(at_home)),
        row::<AsyncUnsync>("async-unsync"),
        row::<LocalSync>("local-sync"),
    ]
}

fn broadcast() -> Vec<Row> {
    fn row<C: Broadcast + 'static>(name: &'static str) -> Row
    where
        C::Sender: 'static,
        C::Receiver: 'static,
    {
        let pass = |loops: &Loops, values| {
            let (producer, consumers) = passing::broadcast::<C>(RECEIVERS, values);
            on_coreloop(loops, producer, consumers)
        };
        (name, Box::new(pass))
    }
    let at_home = |loops: &Loops, values| {
        let (producer, consumers) = passing::broadcast::<Tokio>(RECEIVERS, values);
        on_tokio(loops, producer, consumers)
    };
    vec![
        row::<Coreloop>("coreloop"),
        row::<Tokio>("tokio"),
        ("tokio at home", Box::new(at_home)),
    ]
}

fn watch_in_one_task() -> Vec<Row> {
    fn row<C: Watch + 'static>(name: &'static str) -> Row {
        let pass = |loops: &Loops, values| {
            let task = passing::watch_in_one_task::<C>(values);
            on_coreloop(loops, async {}, vec![task])
        };
        (name, Box::new(pass))
    }
    let at_home = |loops: &Loops, values| {
        let task = passing::watch_in_one_task::<Tokio>(values);
        on_tokio(loops, async {}, vec![task])
    };
    vec![
        row::<Coreloop>("coreloop"),
        row::<Tokio>("tokio"),
        ("tokio at home", Box::new(at_home)),
    ]
}

fn watch() -> Vec<Row> {
    fn row<C: Watch + 'static>(name: &'static str) -> Row
    where
        C::Sender: 'static,
        C::Receiver: 'static,
    {
        let pass = |loops: &Loops, values| {
            let (producer, consumer) = passing::watch::<C>(values);
            on_coreloop(loops, producer, vec![consumer])
        };
        (name, Box::new(pass))
    }
    let at_home = |loops: &Loops, values| {
        let (producer, consumer) = passing::watch::<Tokio>(values);
        on_tokio(loops, producer, vec![consumer])
    };
    vec![
        row::<Coreloop>("coreloop"),
        row::<Tokio>("tokio"),
        ("tokio at home", Box::new(at_home)),
    ]
}

fn on_coreloop<F>(
    loops: &Loops,
    producer: impl Future<Output = ()> + 'static,
    consumers: Vec<F>,
) -> Duration
where
    F: Future<Output = u64> + 'static,
{
    loops.coreloop.block_on(async {
        let start = Instant::now();
        let consumers: Vec<_> = consumers.into_iter().map(coreloop::spawn).collect();
        let producer = coreloop::spawn(producer);
        for consumer in consumers {
            std::hint::black_box(consumer.await.expect("it does not panic"));
        }
        producer.await.expect("it does not panic");
        start.elapsed()
    })
}

fn on_tokio<F>(
    loops: &Loops,
    producer: impl Future<Output = ()> + 'static,
    consumers: Vec<F>,
) -> Duration
where
    F: Future<Output = u64> + 'static,
{
    loops.tokio.block_on(async {
        let start = Instant::now();
        let spawn = tokio::task::spawn_local;
        let consumers: Vec<_> = consumers.into_iter().map(spawn).collect();
        let producer = tokio::task::spawn_local(producer);
        for consumer in consumers {
            std::hint::black_box(consumer.await.expect("it does not panic"));
        }
        producer.await.expect("it does not panic");
        start.elapsed()
    })
}

struct AsyncChannel;

impl Mpsc for AsyncChannel {
    type Sender = async_channel::Sender<u64>;
    type Receiver = async_channel::Receiver<u64>;

    fn channel(bound: usize) -> (Self::Sender, Self::Receiver) {
        async_channel::bounded(bound)
    }

    async fn send(sender: &Self::Sender, value: u64) {
        sender.send(value).await.expect("the receiver is there");
    }

    async fn receive(receiver: &mut Self::Receiver) -> Option<u64> {
        receiver.recv().await.ok()
    }
}

struct AsyncUnsync;

impl Mpsc for AsyncUnsync {
    type Sender = async_unsync::bounded::Sender<u64>;
    type Receiver = async_unsync::bounded::Receiver<u64>;

    fn channel(bound: usize) -> (Self::Sender, Self::Receiver) {
        async_unsync::bounded::channel(bound).into_split()
    }

    async fn send(sender: &Self::Sender, value: u64) {
        sender.send(value).await.expect("the receiver is there");
    }

    async fn receive(receiver: &mut Self::Receiver) -> Option<u64> {
        receiver.recv().await
    }
}

impl Oneshot for AsyncUnsync {
    async fn pass(value: u64) -> u64 {
        let (sender, receiver) = async_unsync::oneshot::channel().into_split();
        sender.send(value).expect("the receiver is there");
        receiver.await.expect("the value was sent")
    }
}

struct LocalSync;

impl Mpsc for LocalSync {
    type Sender = local_sync::mpsc::bounded::Tx<u64>;
    type Receiver = local_sync::mpsc::bounded::Rx<u64>;

    fn channel(bound: usize) -> (Self::Sender, Self::Receiver) {
        local_sync::mpsc::bounded::channel(bound)
    }

    async fn send(sender: &Self::Sender, value: u64) {
        sender.send(value).await.expect("the receiver is there");
    }

    async fn receive(receiver: &mut Self::Receiver) -> Option<u64> {
        receiver.recv().await
    }
}

impl Oneshot for LocalSync {
    async fn pass(value: u64) -> u64 {
        let (sender, receiver) = local_sync::oneshot::channel();
        sender.send(value).expect("the receiver is there");
        receiver.await.expect("the value was sent")
    }
}
