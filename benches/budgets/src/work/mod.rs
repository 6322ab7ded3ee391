//! The operations themselves, each done so often and nothing else.
//!
//! # Invariants
//!
//! 1. An operation costs the same wherever and whenever it is done: nothing looks
//!    at the system's clock, and nothing runs beside it.
//! 2. What is not the operation costs the same however often that is done, and so
//!    is not in the difference of two runs.

mod channels;
mod echo;
mod locks;
mod structure;
mod tasks;
mod timers;

use std::io;

use coreloop::runtime::Builder;

use crate::operation::Operation;

pub(crate) use echo::{CLIENT, CONNECTIONS, MARK};

/// Does `operation` so many times.
pub(crate) fn run(operation: Operation, times: u64) -> io::Result<()> {
    if operation == Operation::Echo {
        return echo::serve(times);
    }
    // A slice of ready tasks is not cut short by the time, which valgrind and
    // other programs stretch; and timers fire by a clock that jumps.
    let runtime = Builder::new()
        .event_interval(1 << 30)
        .start_paused(true)
        .build()?;
    match operation {
        Operation::Echo => {}
        Operation::SpawnAndJoin => runtime.block_on(tasks::spawn_and_join(times)),
        Operation::SelfWake => runtime.block_on(tasks::self_wake(times)),
        Operation::TimerFire => runtime.block_on(timers::fire(times)),
        Operation::TimerCancel => runtime.block_on(timers::cancel(times)),
        Operation::Mutex => runtime.block_on(locks::lock_and_unlock(times)),
        Operation::MutexContended => runtime.block_on(locks::contend(times)),
        Operation::Mpsc => runtime.block_on(channels::mpsc(times)),
        Operation::Oneshot => runtime.block_on(channels::oneshot(times)),
        Operation::GeneratorItem => runtime.block_on(structure::generate(times)),
        Operation::ScopeChild => runtime.block_on(structure::children(times)),
        Operation::DropGuard => runtime.block_on(structure::guards(times)),
    }
    Ok(())
}
