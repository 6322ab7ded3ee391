//! A hundred tasks that wake themselves, by reference and by a clone, against
//! tokio.

#[path = "workload/contest.rs"]
mod contest;
#[path = "workload/samples.rs"]
mod samples;
#[path = "workload/waking.rs"]
mod waking;

use std::io;

use coreloop::Runtime;
use tokio::runtime::LocalRuntime;

use crate::contest::Contest;
use crate::waking::{Wake, wake_through_queue};

const TASKS: usize = 100;

fn main() -> io::Result<()> {
    contest::run(&mut [
        contest("self_wake/100", Wake::ByRef)?,
        contest("self_wake_by_clone/100", Wake::ByClone)?,
    ]);
    Ok(())
}

/// A piece of work is one wake of every task.
fn contest(name: &'static str, wake: Wake) -> io::Result<Contest> {
    let coreloop = Runtime::new()?;
    let tokio = LocalRuntime::new()?;
    Ok(Contest {
        name,
        operations: TASKS as u64,
        pieces: 2000,
        coreloop: Box::new(move |pieces| {
            coreloop.block_on(wake_through_queue(TASKS, pieces, wake, coreloop::spawn))
        }),
        tokio: Box::new(move |pieces| {
            let spawn = tokio::task::spawn_local;
            tokio.block_on(wake_through_queue(TASKS, pieces, wake, spawn))
        }),
    })
}
