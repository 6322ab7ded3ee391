//! A master and workers with nothing to do sleep, but for the heartbeat. The number
//! is that of the list of failures that a supervisor survives.

#![cfg(all(target_os = "linux", not(miri)))]

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use coreloop_test_support::process::storm::Storm;
use coreloop_test_support::process::supervised::Server;
use rustix::process::Pid;

/// A quarter of the 400 ms that a worker may be silent.
const BEAT: Duration = Duration::from_millis(100);

/// How often a process has waited, and was woken.
fn wake_ups(pid: Pid) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_pid())).unwrap();
    let count = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    count.unwrap().trim().parse().unwrap()
}

fn all_wake_ups(pids: &[Pid]) -> Vec<u64> {
    pids.iter().map(|&pid| wake_ups(pid)).collect()
}

/// Sleeps until each process has been woken so many times more; says how often
/// each was.
fn await_wake_ups(pids: &[Pid], more: u64) -> Vec<u64> {
    let from = all_wake_ups(pids);
    loop {
        let counts = all_wake_ups(pids).into_iter().zip(&from);
        let counts: Vec<u64> = counts.map(|(count, from)| count - from).collect();
        if counts.iter().all(|&count| count >= more) {
            return counts;
        }
        sleep(BEAT);
    }
}

/// An app that has answered some requests: it is idle, not untouched.
fn start(heartbeat: &str) -> Server {
    let server = Server::start(&["--workers=2", heartbeat]);
    let storm = Storm::start(server.address, &["--clients=16", "--answers=200"]);
    storm.finish().assert_flawless(200);
    server
}

/// 40: looks on until every worker has beaten 20 times, and finds that this, and the
/// master's hearing of it, is all that has happened. A machine that is slow gives
/// more time to no more beats.
#[test]
fn nothing_wakes_but_the_heartbeat() {
    let server = start("--heartbeat=400");
    let (master, workers) = (server.first.pid(), server.app.all_workers());
    assert_eq!(workers.len(), 2);
    // What the requests have left to do is over at the first beats.
    await_wake_ups(&workers, 2);
    let (start, heard) = (Instant::now(), wake_ups(master));
    let beats = await_wake_ups(&workers, 20);
    let heard = wake_ups(master) - heard;
    // One more that was about to come, and one for the way to sleep.
    let due = u64::try_from(start.elapsed().as_nanos() / BEAT.as_nanos()).unwrap() + 2;
    assert!(
        beats.iter().all(|&count| count <= due),
        "{beats:?} wake-ups of workers with {due} beats due"
    );
    // It looks for silent workers once in the time that they may be silent.
    let looks = due / 4 + 1;
    assert!(
        heard <= 2 * due + looks,
        "{heard} wake-ups of the master with {due} beats due of each worker"
    );
}

/// Without a heartbeat there is nothing at all.
#[test]
fn nothing_wakes_without_a_heartbeat() {
    let server = start("--no-heartbeat");
    let mut all = server.app.all_workers();
    all.push(server.first.pid());
    let mut before = all_wake_ups(&all);
    // The requests have left something to do, which takes as long as it does.
    for _ in 0..20 {
        sleep(5 * BEAT);
        let after = all_wake_ups(&all);
        if after == before {
            return;
        }
        before = after;
    }
    panic!("it goes on and on: {before:?}");
}
