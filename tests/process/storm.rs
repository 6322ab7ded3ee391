//! Supervised workers in a storm of clients: they are killed, and no connection
//! is lost but those that they had accepted; they are reloaded and scaled, and
//! none is lost at all.
//!
//! The pace is that of the storm: what comes next waits for answers, not for time.
//! The numbers are those of the list of failures that a supervisor survives.

#![cfg(all(target_os = "linux", not(miri)))]

use std::collections::HashSet;

use coreloop_test_support::process::fleet::Fleet;
use coreloop_test_support::process::storm::Storm;
use coreloop_test_support::process::supervised::Server;
use rustix::process::Signal;

/// How many clients there are in all of them.
const CLIENTS: &str = "--clients=256";

/// Kills workers 38 times, each at a time when most of the clients are in the
/// queues of the sockets: a worker serves one after another. With `serial` unset
/// it accepts all that come.
fn kill_38_times(workers: u32, serial: bool) {
    let count = workers.to_string();
    let mut arguments = vec!["--workers", &count, "--greet", "--restarts=1000"];
    if serial {
        arguments.push("--serial");
    }
    let server = Server::start(&arguments);
    let master = server.app.master();
    let arguments = [CLIENTS, "--greeted", "--kill=38", "--every=200"];
    let mut storm = Storm::start(server.address, &arguments);
    let (mut waiting, mut restarted) = (0, 0);
    let summary = loop {
        let said = storm.hear();
        match said.what.as_str() {
            "killed" => waiting += said.number("waiting"),
            "restarted" => restarted += 1,
            "summary" => break said,
            _ => {}
        }
    };
    assert_eq!(
        (summary.number("kills"), restarted),
        (38, 38),
        "{summary:?}"
    );
    assert_eq!(summary.number("queue_loss"), 0, "{summary:?}");
    assert_eq!(summary.number("dropped"), 0, "{summary:?}");
    assert!(summary.number("unannounced") <= 38, "{summary:?}");
    if serial {
        assert!(
            waiting >= 38 * 128,
            "the queues were almost empty: {waiting}"
        );
    }
    assert_eq!(server.app.master(), master);
    assert_eq!(server.app.all_workers().len(), workers as usize);
}

/// 1.
#[test]
fn a_worker_killed_38_times_loses_nothing_in_its_queue() {
    kill_38_times(1, true);
}

/// 1.
#[test]
fn two_workers_killed_38_times_lose_nothing_in_their_queues() {
    kill_38_times(2, true);
}

/// 1.
#[test]
fn four_workers_killed_38_times_lose_nothing_in_their_queues() {
    kill_38_times(4, true);
}

/// 1: here many connections are accepted, and so lost with their worker: the rest
/// is not.
#[test]
fn workers_that_accept_all_they_can_lose_no_others() {
    kill_38_times(2, false);
}

/// Options of the app and of the storm: all connections are accepted at once.
const EAGER: [&[&str]; 2] = [&[], &[]];

/// Most clients are in the queues, all the time.
const SERIAL: [&[&str]; 2] = [&["--greet", "--serial"], &["--greeted"]];

fn scale_20_times([app, storm]: [&[&str]; 2]) {
    let server = Server::start(&[&["--workers=4"], app].concat());
    let arguments = [&[CLIENTS, "--progress=100"], storm].concat();
    let mut storm = Storm::start(server.address, &arguments);
    let mut fleet = Fleet::default();
    fleet.await_slots(&mut storm, 4, &HashSet::new());
    for _ in 0..20 {
        server.app.ask("scale 2").unwrap();
        storm.await_answers(200);
        let before = fleet.seen.clone();
        server.app.ask("scale 4").unwrap();
        fleet.slots.retain(|slot, _| *slot < 2);
        fleet.await_slots(&mut storm, 4, &HashSet::new());
        assert!(!before.contains(&fleet.slots[&2]) && !before.contains(&fleet.slots[&3]));
    }
    storm.stop().assert_flawless(20 * 200);
    fleet.assert_only(&server.app, 4);
}

/// 2.
#[test]
fn scaling_from_4_to_2_and_back_20_times_fails_nobody() {
    scale_20_times(EAGER);
}

/// 2.
#[test]
fn scaling_20_times_with_full_queues_fails_nobody() {
    scale_20_times(SERIAL);
}

fn reload_50_times([app, storm]: [&[&str]; 2]) -> (Server, Fleet) {
    let server = Server::start(&[&["--workers=2"], app].concat());
    let arguments = [&[CLIENTS], storm].concat();
    let mut storm = Storm::start(server.address, &arguments);
    let mut fleet = Fleet::default();
    fleet.await_slots(&mut storm, 2, &HashSet::new());
    for _ in 0..50 {
        let before = fleet.seen.clone();
        server.first.signal(Signal::HUP);
        fleet.await_slots(&mut storm, 2, &before);
    }
    storm.stop().assert_flawless(50);
    (server, fleet)
}

/// 3.
#[test]
fn reloading_50_times_fails_nobody_and_leaves_no_old_worker() {
    let (server, fleet) = reload_50_times(EAGER);
    fleet.assert_only(&server.app, 2);
}

/// 3.
#[test]
fn reloading_50_times_with_full_queues_fails_nobody() {
    let (server, fleet) = reload_50_times(SERIAL);
    fleet.assert_only(&server.app, 2);
}

/// 3.
#[test]
fn reloading_threads_50_times_fails_nobody() {
    let (_, fleet) = reload_50_times([&["--threads=2"], &[]]);
    assert_eq!(fleet.seen.len(), 2 + 2 * 50);
}
