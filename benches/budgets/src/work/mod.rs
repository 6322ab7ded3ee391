//! The operations themselves. A run does one of them a number of times, and nothing else.
//!
//! # Invariants
//!
//! 1. An operation costs the same at any time and place: nothing reads the system's clock,
//!    and nothing runs beside it.
//! 2. All other code costs the same however often the operation is done, and so cancels out
//!    in the difference of two runs.

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

/// Does `operation` a number of times.
pub(crate) fn run(operation: Operation, times: u64) -> io::Result<()> {
    match operation {
        Operation::Echo => return echo::serve(times),
        Operation::PoolJob | Operation::PoolJobInWorker => {
            return coreloop_budgets_jobs::one_by_one(times);
        }
        _ => {}
    }
    // No time limit cuts a slice of ready tasks short, because valgrind and other programs
    // stretch the time. Timers use a paused clock.
    let runtime = Builder::new()
        .event_interval(1 << 30)
        .start_paused(true)
        .build()?;
    match operation {
        Operation::Echo | Operation::PoolJob | Operation::PoolJobInWorker => {}
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
