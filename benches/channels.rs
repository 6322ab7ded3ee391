//! A value through each of the channels, against tokio's on tokio.

#[path = "workload/contest.rs"]
mod contest;
#[path = "workload/passing.rs"]
mod passing;
#[path = "workload/samples.rs"]
mod samples;
#[path = "workload/yielding.rs"]
mod yielding;

use std::future::Future;
use std::hint::black_box;
use std::io;
use std::time::{Duration, Instant};

use coreloop::Runtime;
use tokio::runtime::LocalRuntime;
use tokio::task::spawn_local;

use crate::contest::Contest;
use crate::passing::{Coreloop, Tokio};

const ROOM: usize = 128;
const RECEIVERS: usize = 10;

/// A piece of work is one value.
fn main() -> io::Result<()> {
    contest::run(&mut [
        Contest {
            name: "mpsc/128",
            operations: 1,
            pieces: 100_000,
            coreloop: on_coreloop(|pieces| {
                let (producer, consumer) = passing::mpsc::<Coreloop>(ROOM, pieces);
                (producer, vec![consumer])
            })?,
            tokio: on_tokio(|pieces| {
                let (producer, consumer) = passing::mpsc::<Tokio>(ROOM, pieces);
                (producer, vec![consumer])
            })?,
        },
        Contest {
            name: "oneshot",
            operations: 1,
            pieces: 100_000,
            coreloop: on_coreloop(|pieces| (async {}, vec![passing::oneshot::<Coreloop>(pieces)]))?,
            tokio: on_tokio(|pieces| (async {}, vec![passing::oneshot::<Tokio>(pieces)]))?,
        },
        Contest {
            name: "broadcast/10",
            operations: 1,
            pieces: 10_000,
            coreloop: on_coreloop(|pieces| passing::broadcast::<Coreloop>(RECEIVERS, pieces))?,
            tokio: on_tokio(|pieces| passing::broadcast::<Tokio>(RECEIVERS, pieces))?,
        },
        Contest {
            name: "watch",
            operations: 1,
            pieces: 30_000,
            coreloop: on_coreloop(|pieces| {
                let task = passing::watch_in_one_task::<Coreloop>(pieces);
                (async {}, vec![task])
            })?,
            tokio: on_tokio(|pieces| {
                let task = passing::watch_in_one_task::<Tokio>(pieces);
                (async {}, vec![task])
            })?,
        },
        Contest {
            name: "watch_and_wake",
            operations: 1,
            pieces: 30_000,
            coreloop: on_coreloop(|pieces| {
                let (producer, consumer) = passing::watch::<Coreloop>(pieces);
                (producer, vec![consumer])
            })?,
            tokio: on_tokio(|pieces| {
                let (producer, consumer) = passing::watch::<Tokio>(pieces);
                (producer, vec![consumer])
            })?,
        },
    ]);
    Ok(())
}

type Work = Box<dyn FnMut(u64) -> Duration>;

fn on_coreloop<P, C>(make: impl Fn(u64) -> (P, Vec<C>) + 'static) -> io::Result<Work>
where
    P: Future<Output = ()> + 'static,
    C: Future<Output = u64> + 'static,
{
    let runtime = Runtime::new()?;
    Ok(Box::new(move |pieces| {
        let (producer, consumers) = make(pieces);
        runtime.block_on(async {
            let start = Instant::now();
            let consumers: Vec<_> = consumers.into_iter().map(coreloop::spawn).collect();
            let producer = coreloop::spawn(producer);
            for consumer in consumers {
                black_box(consumer.await.expect("it does not panic"));
            }
            producer.await.expect("it does not panic");
            start.elapsed()
        })
    }))
}

fn on_tokio<P, C>(make: impl Fn(u64) -> (P, Vec<C>) + 'static) -> io::Result<Work>
where
    P: Future<Output = ()> + 'static,
    C: Future<Output = u64> + 'static,
{
    let runtime = LocalRuntime::new()?;
    Ok(Box::new(move |pieces| {
        let (producer, consumers) = make(pieces);
        runtime.block_on(async {
            let start = Instant::now();
            let consumers: Vec<_> = consumers.into_iter().map(spawn_local).collect();
            let producer = spawn_local(producer);
            for consumer in consumers {
                black_box(consumer.await.expect("it does not panic"));
            }
            producer.await.expect("it does not panic");
            start.elapsed()
        })
    }))
}
