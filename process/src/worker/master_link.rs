//! The master link: the task that obeys the master, and sends it heartbeats and metrics.

use std::future::{pending, poll_fn};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use coreloop_runtime::runtime;
use coreloop_runtime::select;
use coreloop_runtime::signal::unix::Signal;
use coreloop_runtime::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::shared::WorkerShared;
use crate::channel::{AsyncChannel, ToMaster, ToWorker};

/// How many heartbeats a worker sends in the time that it may be silent.
const BEATS: u32 = 4;

/// Obeys the master until the channel closes. The signal `terminate` makes the worker
/// drain by itself.
pub(super) async fn run(
    shared: Rc<WorkerShared>,
    mut channel: AsyncChannel,
    mut terminate: Option<Signal>,
) {
    let mut beats = beats(&shared);
    loop {
        // Each branch is cancel safe: a part of a message is kept.
        let received = select! {
            received = poll_fn(|cx| {
                shared.reporting.poll_send(&shared, &channel, cx);
                channel.poll_receive(cx)
            }) => received,
            () = beat(&mut beats) => {
                let report = shared.report(&runtime::metrics());
                shared.send(&ToMaster::Heartbeat(Box::new(report)));
                shared.reporting.begin();
                continue;
            }
            () = signal(&mut terminate) => {
                shared.drain();
                continue;
            }
        };
        let Ok(Some((message, sockets))) = received else {
            return shared.cut_off.cancel();
        };
        if let Err(error) = handle_message(&shared, &message, sockets) {
            shared.reporter.report(format_args!(
                "the sockets of another worker cannot be served: {error}"
            ));
        }
    }
}

fn handle_message(
    shared: &WorkerShared,
    message: &ToWorker,
    sockets: Vec<OwnedFd>,
) -> io::Result<()> {
    match message {
        ToWorker::Adopt { slot } => return shared.adopt(*slot, sockets),
        ToWorker::Release { slot } => shared.release(*slot),
        ToWorker::Drain => shared.drain(),
        ToWorker::Report => shared.reporting.begin_answer(),
        // The first message only; it was read before.
        ToWorker::Start(_) => {}
    }
    Ok(())
}

fn beats(shared: &WorkerShared) -> Option<Interval> {
    let period = shared.start.heartbeat? / BEATS;
    if period.is_zero() {
        return None;
    }
    let mut beats = interval_at(Instant::now().checked_add(period)?, period);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    Some(beats)
}

async fn beat(beats: &mut Option<Interval>) {
    match beats {
        Some(beats) => drop(beats.tick().await),
        None => pending().await,
    }
}

/// Waits for the signal; for ever if there is none, or once the loop has ended.
async fn signal(signal: &mut Option<Signal>) {
    if let Some(signal) = signal
        && signal.recv().await.is_some()
    {
        return;
    }
    pending::<()>().await;
}
