//! The lifeline: the task that obeys the master, and tells it that the loop turns.

use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use coreloop_runtime::select;
use coreloop_runtime::signal::unix::Signal;
use coreloop_runtime::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::state::State;
use crate::channel::{AsyncChannel, ToMaster, ToWorker};

/// Beats in the time that a worker may be silent.
const BEATS: u32 = 4;

/// Obeys until the master is gone. `terminate` has the worker end by itself.
pub(super) async fn obey(
    state: Rc<State>,
    mut channel: AsyncChannel,
    mut terminate: Option<Signal>,
) {
    let mut beats = beats(&state);
    loop {
        // No more of a message than all of it is taken, so each branch may be left.
        let received = select! {
            received = channel.receive() => received,
            () = beat(&mut beats) => {
                state.say(&ToMaster::Beat);
                continue;
            }
            () = signal(&mut terminate) => {
                state.drain();
                continue;
            }
        };
        let Ok(Some((message, sockets))) = received else {
            return state.cut_off.cancel();
        };
        if let Err(error) = follow(&state, &message, sockets) {
            state.reporter.report(format_args!(
                "the sockets of a sibling cannot be served: {error}"
            ));
        }
    }
}

fn follow(state: &State, message: &ToWorker, sockets: Vec<OwnedFd>) -> io::Result<()> {
    match message {
        ToWorker::Adopt { slot } => return state.adopt(*slot, sockets),
        ToWorker::Release { slot } => state.release(*slot),
        ToWorker::Drain => state.drain(),
        // Only the first message is one.
        ToWorker::Start(_) => {}
    }
    Ok(())
}

fn beats(state: &State) -> Option<Interval> {
    let period = state.start.heartbeat? / BEATS;
    if period.is_zero() {
        return None;
    }
    let mut beats = interval_at(Instant::now() + period, period);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    Some(beats)
}

async fn beat(beats: &mut Option<Interval>) {
    match beats {
        Some(beats) => drop(beats.tick().await),
        None => pending().await,
    }
}

/// Never over without a signal, or when the loop is gone.
async fn signal(signal: &mut Option<Signal>) {
    if let Some(signal) = signal
        && signal.recv().await.is_some()
    {
        return;
    }
    pending::<()>().await;
}
