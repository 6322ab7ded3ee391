//! A value through each kind of channel.

mod on_coreloop;
mod on_tokio;
mod queue;

#[path = "../workload/passing.rs"]
mod passing;
#[path = "../workload/samples.rs"]
mod samples;
#[path = "../workload/suite.rs"]
mod suite;
#[path = "../workload/tasks.rs"]
mod tasks;
#[path = "../workload/yielding.rs"]
mod yielding;

use crate::suite::{Parameter, Suite, contest};

/// The capacities of a channel, or the numbers of values received at a time.
const ROOM: [usize; 3] = [1, 16, 128];
/// The numbers of tasks that send, that receive, or that have their own channel.
const TASKS: [usize; 3] = [1, 8, 64];

fn main() {
    let mut suite = Suite::new();
    contest!(suite, "channels/mpsc", Setting ROOM, work::mpsc_with_room);
    contest!(suite, "channels/mpsc_senders", Operations TASKS, work::mpsc_senders);
    contest!(suite, "channels/mpsc_unbounded", Operations TASKS, work::mpsc_unbounded);
    contest!(suite, "channels/mpsc_recv_many", Setting ROOM, work::mpsc_recv_many);
    contest!(suite, "channels/oneshot", Operations TASKS, work::oneshot_in_one_task);
    contest!(suite, "channels/oneshot_answer", Operations TASKS, work::oneshot_answers);
    contest!(suite, "channels/broadcast", Operations TASKS, work::broadcast_to_receivers);
    contest!(suite, "channels/watch", Operations TASKS, work::watch_receivers);
    contest!(suite, "channels/watch_pairs", Operations [1, 64], work::watch_pairs);
    contest!(suite, "channels/watch_in_one_task", Operations [1, 64], work::watch_in_one_task);

    // tokio has no channel with several receivers of which one gets each value.
    let mut group = suite
        .group("channels/queue", Parameter::Operations)
        .against("async-channel");
    for getters in TASKS {
        group.contest(
            getters,
            move |pieces| queue::pass(getters, pieces),
            move |pieces| queue::pass_by_async_channel(getters, pieces),
        );
    }
    group.finish();

    let mut group = suite.group("channels/queue_order", Parameter::Operations);
    for held in [1, 64, 1024] {
        group.alone("fifo", held, move |pieces| queue::first_in(held, pieces));
        group.alone("lifo", held, move |pieces| queue::last_in(held, pieces));
        group.alone("priority", held, move |pieces| {
            queue::smallest(held, pieces)
        });
    }
    group.finish();
    suite.finish();
}
