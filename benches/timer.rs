//! Setting and cancelling a timer among a thousand, and ten thousand tasks that
//! sleep, against tokio.
//!
//! Of the sleeping tasks this shows the time, which is that of the longest
//! sleep; what they cost the processor the binary `timers` of `benches/peers` measures.

#[path = "workload/contest.rs"]
mod contest;
#[path = "workload/samples.rs"]
mod samples;
#[path = "workload/timing.rs"]
mod timing;
#[path = "workload/yielding.rs"]
mod yielding;

use std::io;
use std::time::{Duration, Instant};

use coreloop::Runtime;
use tokio::runtime::LocalRuntime;

use crate::contest::Contest;
use crate::timing::{overshoots, set_and_cancel, sleep_in_tasks};

const LIVE: u64 = 1000;
const TASKS: u64 = 10_000;
const SHORT: Duration = Duration::from_micros(100);

fn main() -> io::Result<()> {
    contest::run(&mut [set_and_cancel_one()?, sleep_in_many()?, sleep_shortly()?]);
    Ok(())
}

/// A piece of work is one timer that is set, and one that is cancelled.
fn set_and_cancel_one() -> io::Result<Contest> {
    let coreloop = Runtime::new()?;
    let tokio = LocalRuntime::new()?;
    Ok(Contest {
        name: "set_and_cancel/1000_live",
        operations: 1,
        pieces: 50_000,
        coreloop: Box::new(move |pieces| {
            coreloop.block_on(set_and_cancel(LIVE, pieces, coreloop::time::sleep))
        }),
        tokio: Box::new(move |pieces| {
            tokio.block_on(set_and_cancel(LIVE, pieces, tokio::time::sleep))
        }),
    })
}

/// A piece of work is all tasks.
fn sleep_in_many() -> io::Result<Contest> {
    let coreloop = Runtime::new()?;
    let tokio = LocalRuntime::new()?;
    Ok(Contest {
        name: "sleep_in_tasks/10000",
        operations: TASKS,
        pieces: 1,
        coreloop: Box::new(move |pieces| {
            let start = Instant::now();
            for _ in 0..pieces {
                let sleep = coreloop::time::sleep;
                coreloop.block_on(sleep_in_tasks(TASKS, sleep, coreloop::spawn));
            }
            start.elapsed()
        }),
        tokio: Box::new(move |pieces| {
            let start = Instant::now();
            for _ in 0..pieces {
                let (sleep, spawn) = (tokio::time::sleep, tokio::task::spawn_local);
                tokio.block_on(sleep_in_tasks(TASKS, sleep, spawn));
            }
            start.elapsed()
        }),
    })
}

/// A piece of work is a sleep of 100 µs on an idle loop; the figure is by how
/// much it is too long.
fn sleep_shortly() -> io::Result<Contest> {
    let coreloop = Runtime::new()?;
    let tokio = LocalRuntime::new()?;
    Ok(Contest {
        name: "overshoot/100us",
        operations: 1,
        pieces: 20,
        coreloop: Box::new(move |pieces| {
            let sleeps = overshoots(SHORT, count(pieces), coreloop::time::sleep);
            coreloop.block_on(sleeps).iter().sum()
        }),
        tokio: Box::new(move |pieces| {
            let sleeps = overshoots(SHORT, count(pieces), tokio::time::sleep);
            tokio.block_on(sleeps).iter().sum()
        }),
    })
}

fn count(pieces: u64) -> usize {
    usize::try_from(pieces).unwrap_or(usize::MAX)
}
