//! Supervised workers in a storm of clients: they are killed, and no connection
//! is lost but those that they had accepted; they are reloaded and scaled, and
//! none is lost at all.
//!
//! The pace is that of the storm: what comes next waits for answers, not for time.
//! How often something happens depends on `CORELOOP_TEST_FULL`.

#![cfg(all(target_os = "linux", not(miri)))]

use std::collections::HashSet;

use coreloop_test_support::process::fleet::Fleet;
use coreloop_test_support::process::storm::Storm;
use coreloop_test_support::process::supervised::Server;
use coreloop_test_support::size;
use rustix::process::Signal;

/// How many clients there are in all of them.
const CLIENTS: &str = "--clients=256";

/// Kills workers 38 times or five times, each at a time when most of the clients are in
/// the queues of the sockets: a worker serves one after another. With `serial` unset
/// it accepts all that come.
fn kill_workers(workers: u32, serial: bool) {
    let kills = size::pick(5, 38);
    let count = workers.to_string();
    let mut arguments = vec!["--workers", &count, "--greet", "--restarts=1000"];
    if serial {
        arguments.push("--serial");
    }
    let server = Server::start(&arguments);
    let master = server.app.master();
    let kill = format!("--kill={kills}");
    let arguments = [CLIENTS, "--greeted", &kill, "--every=200"];
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
        (kills, kills),
        "{summary:?}"
    );
    assert_eq!(summary.number("queue_loss"), 0, "{summary:?}");
    assert_eq!(summary.number("dropped"), 0, "{summary:?}");
    assert!(summary.number("unannounced") <= kills, "{summary:?}");
    if serial {
        assert!(
            waiting >= kills * 128,
            "the queues were almost empty: {waiting}"
        );
    }
    assert_eq!(server.app.master(), master);
    assert_eq!(server.app.all_workers().len(), workers as usize);
}

/// The queue of a socket outlives the worker that is killed, because the master has the
/// socket too: no connection in it is lost.
#[test]
fn a_worker_that_is_killed_loses_nothing_in_its_queue() {
    kill_workers(1, true);
}

/// As above, with one worker that goes on while the other is started again.
#[test]
fn two_workers_that_are_killed_lose_nothing_in_their_queues() {
    kill_workers(2, true);
}

/// As above, with more workers than this machine may have processors.
#[test]
fn four_workers_that_are_killed_lose_nothing_in_their_queues() {
    kill_workers(4, true);
}

/// A worker that has accepted many connections loses these when it is killed, and no
/// other connection is lost.
#[test]
fn workers_that_accept_all_they_can_lose_no_others() {
    kill_workers(2, false);
}

/// Options of the app and of the storm: all connections are accepted at once.
const EAGER: [&[&str]; 2] = [&[], &[]];

/// Most clients are in the queues, all the time.
const SERIAL: [&[&str]; 2] = [&["--greet", "--serial"], &["--greeted"]];

fn scale([app, storm]: [&[&str]; 2]) {
    let times = size::pick(3, 20);
    let server = Server::start(&[&["--workers=4"], app].concat());
    let arguments = [&[CLIENTS, "--progress=100"], storm].concat();
    let mut storm = Storm::start(server.address, &arguments);
    let mut fleet = Fleet::default();
    fleet.await_slots(&mut storm, 4, &HashSet::new());
    for _ in 0..times {
        server.app.ask("scale 2").unwrap();
        storm.await_answers(200);
        let before = fleet.seen.clone();
        server.app.ask("scale 4").unwrap();
        fleet.slots.retain(|slot, _| *slot < 2);
        fleet.await_slots(&mut storm, 4, &HashSet::new());
        assert!(!before.contains(&fleet.slots[&2]) && !before.contains(&fleet.slots[&3]));
    }
    storm.stop().assert_flawless(times * 200);
    fleet.assert_only(&server.app, 4);
}

/// The master scales from four workers to two and back, and no client fails: what is in
/// the queues of the sockets that are given up is served first.
#[test]
fn scaling_from_4_to_2_and_back_fails_no_client() {
    scale(EAGER);
}

/// As above, with most clients in the queues.
#[test]
fn scaling_with_full_queues_fails_no_client() {
    scale(SERIAL);
}

/// Returns how often it has reloaded, too.
fn reload([app, storm]: [&[&str]; 2]) -> (Server, Fleet, usize) {
    let times = size::pick(5, 50);
    let server = Server::start(&[&["--workers=2"], app].concat());
    let arguments = [&[CLIENTS], storm].concat();
    let mut storm = Storm::start(server.address, &arguments);
    let mut fleet = Fleet::default();
    fleet.await_slots(&mut storm, 2, &HashSet::new());
    for _ in 0..times {
        let before = fleet.seen.clone();
        server.first.signal(Signal::HUP);
        fleet.await_slots(&mut storm, 2, &before);
    }
    storm.stop().assert_flawless(times as u64);
    (server, fleet, times)
}

/// A reload replaces the workers under load, and no client fails and no old worker stays.
#[test]
fn reloading_fails_no_client_and_leaves_no_old_worker() {
    let (server, fleet, _) = reload(EAGER);
    fleet.assert_only(&server.app, 2);
}

/// As above, with most clients in the queues.
#[test]
fn reloading_with_full_queues_fails_no_client() {
    let (server, fleet, _) = reload(SERIAL);
    fleet.assert_only(&server.app, 2);
}

/// As above, with threads for workers, of which each has one successor for each reload.
#[test]
fn reloading_threads_fails_no_client() {
    let (_, fleet, times) = reload([&["--threads=2"], &[]]);
    assert_eq!(fleet.seen.len(), 2 + 2 * times);
}
