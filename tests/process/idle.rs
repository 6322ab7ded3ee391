//! An idle master and idle workers sleep, except for the heartbeat.

#![cfg(all(target_os = "linux", not(miri)))]

use std::time::{Duration, Instant};

use coreloop_test_support::deadline::{Deadline, wait_for};
use coreloop_test_support::process::proc::wake_ups;
use coreloop_test_support::process::storm::Storm;
use coreloop_test_support::process::supervised::Server;
use rustix::process::Pid;

/// A quarter of the time that a worker may be silent, which is a second.
const BEAT: Duration = Duration::from_millis(250);

fn all_wake_ups(pids: &[Pid]) -> Vec<u64> {
    pids.iter().map(|&pid| wake_ups(pid)).collect()
}

/// Waits until each process has been woken `more` times. Returns how often each was woken.
fn await_wake_ups(pids: &[Pid], more: u64) -> Vec<u64> {
    let from = all_wake_ups(pids);
    wait_for(|| {
        let counts = all_wake_ups(pids).into_iter().zip(&from);
        let counts: Vec<u64> = counts.map(|(count, from)| count - from).collect();
        counts.iter().all(|&count| count >= more).then_some(counts)
    })
}

/// Starts an app and lets it answer some requests, so that it is idle but has worked.
fn start(heartbeat: &str) -> Server {
    let server = Server::start(&["--workers=2", heartbeat]);
    let storm = Storm::start(server.address, &["--clients=16", "--answers=200"]);
    storm.finish().assert_flawless(200);
    server
}

/// The kernel wakes an idle worker for its heartbeat and an idle master for the heartbeats of
/// the workers, and for nothing else. The test runs until every worker has sent 20
/// heartbeats, so a slow machine only takes longer.
#[test]
fn nothing_wakes_but_the_heartbeat() {
    let server = start("--heartbeat=1000");
    let (master, workers) = (server.first.pid(), server.app.all_workers());
    assert_eq!(workers.len(), 2);
    // The work that the requests have left has finished by the first heartbeats.
    await_wake_ups(&workers, 2);
    let (start, before) = (Instant::now(), wake_ups(master));
    let beats = await_wake_ups(&workers, 20);
    let of_master = wake_ups(master) - before;
    // One more heartbeat that was about to come, and one wake before the sleep.
    let due = u64::try_from(start.elapsed().as_nanos() / BEAT.as_nanos()).unwrap() + 2;
    assert!(
        beats.iter().all(|&count| count <= due),
        "{beats:?} wake-ups of workers with {due} beats due"
    );
    // The master checks whether a heartbeat was missed two beats after the oldest one. Each
    // worker's last heartbeat is less than a beat old then, so the next check is more than a
    // beat away.
    let looks = due;
    assert!(
        of_master <= 2 * due + looks,
        "{of_master} wake-ups of the master with {due} beats due of each worker"
    );
}

/// Without a heartbeat nothing wakes the processes while the workers of another app send
/// five heartbeats.
#[test]
fn nothing_wakes_without_a_heartbeat() {
    let server = start("--no-heartbeat");
    let mut all = server.app.all_workers();
    all.push(server.first.pid());
    let clock = start("--heartbeat=1000");
    let beating = clock.app.all_workers();
    let deadline = Deadline::new();
    // The requests have left work, and it is not known how long that takes.
    loop {
        let before = all_wake_ups(&all);
        await_wake_ups(&beating, 5);
        if all_wake_ups(&all) == before {
            return;
        }
        deadline.check();
    }
}
