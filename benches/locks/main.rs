//! Locks and signals: uncontended, contended, and with many waiting tasks.

mod on_coreloop;
mod on_tokio;
mod reentrant;

#[path = "../workload/locking.rs"]
mod locking;
#[path = "../workload/samples.rs"]
mod samples;
#[path = "../workload/suite.rs"]
mod suite;
#[path = "../workload/tasks.rs"]
mod tasks;
#[path = "../workload/yielding.rs"]
mod yielding;

use crate::suite::{Parameter, Suite, contest};

/// The numbers of tasks, which have their own locks or share one.
const TASKS: [usize; 3] = [1, 8, 64];
/// The numbers of tasks that contend for a lock.
const RIVALS: [usize; 3] = [2, 8, 64];

fn main() {
    let mut suite = Suite::new();
    contest!(suite, "locks/mutex_free", Operations TASKS, work::free::mutex);
    contest!(suite, "locks/rwlock_read_free", Operations TASKS, work::free::read);
    contest!(suite, "locks/rwlock_write_free", Operations TASKS, work::free::write);
    contest!(suite, "locks/semaphore_free", Operations TASKS, work::free::semaphore);
    contest!(suite, "locks/mutex_contended", Operations RIVALS, work::contended::mutex);
    contest!(suite, "locks/rwlock_contended", Operations RIVALS, work::contended::rwlock);
    contest!(suite, "locks/semaphore_contended", Operations RIVALS, work::contended::semaphore);
    contest!(suite, "locks/notify_ping_pong", Operations TASKS, work::signals::ping_pong_pairs);
    contest!(suite, "locks/notify_waiters", Operations TASKS, work::signals::notify_waiters);
    contest!(suite, "locks/event", Operations TASKS, work::signals::event);
    contest!(suite, "locks/condvar", Operations TASKS, work::signals::condvar);
    contest!(suite, "locks/barrier", Operations RIVALS, work::signals::barrier);
    contest!(suite, "locks/once_cell", Operations TASKS, work::once::cell);
    contest!(suite, "locks/set_once", Operations TASKS, work::once::set);
    contest!(suite, "locks/cancellation_token", Operations TASKS, work::once::cancel);

    // A task that takes tokio's lock twice waits for ever, so there is no peer.
    let mut group = suite.group("locks/reentrant_mutex", Parameter::Operations);
    for depth in [1, 4, 16] {
        let work = move |pieces| reentrant::lock_again(depth, pieces);
        group.alone("coreloop", depth, work);
    }
    group.finish();
    suite.finish();
}
