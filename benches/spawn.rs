//! Spawning tasks and joining them, one and a hundred at a time, against tokio.

#[path = "workload/contest.rs"]
mod contest;
#[path = "workload/samples.rs"]
mod samples;
#[path = "workload/spawning.rs"]
mod spawning;

use std::io;

use coreloop::Runtime;
use tokio::runtime::LocalRuntime;

use crate::contest::Contest;
use crate::spawning::spawn_and_join;

fn main() -> io::Result<()> {
    contest::run(&mut [
        contest("spawn_and_join/1", 1, 10_000)?,
        contest("spawn_and_join/100", 100, 500)?,
    ]);
    Ok(())
}

fn contest(name: &'static str, tasks: usize, pieces: u64) -> io::Result<Contest> {
    let coreloop = Runtime::new()?;
    let tokio = LocalRuntime::new()?;
    Ok(Contest {
        name,
        operations: tasks as u64,
        pieces,
        coreloop: Box::new(move |pieces| {
            coreloop.block_on(spawn_and_join(tasks, pieces, coreloop::spawn))
        }),
        tokio: Box::new(move |pieces| {
            tokio.block_on(spawn_and_join(tasks, pieces, tokio::task::spawn_local))
        }),
    })
}
