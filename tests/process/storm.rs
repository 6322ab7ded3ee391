//! Supervised workers under the load of many clients. When workers are killed, only the
//! connections that they had accepted are lost; when they are reloaded or scaled, no
//! connection is lost.
//!
//! Each step waits for a number of answers, not for a time. The number of steps depends on
//! `CORELOOP_TEST_FULL`.

#![cfg(all(target_os = "linux", not(miri)))]

use std::collections::HashSet;

use coreloop_test_support::process::fleet::Fleet;
use coreloop_test_support::process::storm::Storm;
use coreloop_test_support::process::supervised::Server;
use coreloop_test_support::size;
use rustix::process::Signal;

/// The number of clients in each of these tests.
const CLIENTS: &str = "--clients=256";

/// Kills workers 38 times, or five times. With `serial`, a worker serves one client after
/// another, so most clients are in the queues of the sockets at each kill. Without it, a
/// worker accepts all connections.
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
        let said = storm.next_line();
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

/// The queue of a socket outlives a killed worker, because the master has the socket open
/// too: no connection in it is lost.
#[test]
fn a_killed_worker_loses_no_queued_connection() {
    kill_workers(1, true);
}

/// Like the test above, with one worker that continues while the other is started again.
#[test]
fn two_killed_workers_lose_no_queued_connection() {
    kill_workers(2, true);
}

/// Like the test above, with more workers than this machine may have processors.
#[test]
fn four_killed_workers_lose_no_queued_connection() {
    kill_workers(4, true);
}

/// A worker that has accepted many connections loses these when it is killed, and no other
/// connection is lost.
#[test]
fn killed_workers_lose_only_accepted_connections() {
    kill_workers(2, false);
}

/// Options of the app and of the storm: all connections are accepted at once.
const EAGER: [&[&str]; 2] = [&[], &[]];

/// Options of the app and of the storm: most clients are in the queues all the time.
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

/// The master scales from four workers to two and back, and no client fails: connections in
/// the queues of a retired slot are served first.
#[test]
fn scaling_from_4_to_2_and_back_fails_no_client() {
    scale(EAGER);
}

/// Like the test above, with most clients in the queues.
#[test]
fn scaling_with_full_queues_fails_no_client() {
    scale(SERIAL);
}

/// Reloads under load. The last value returned is the number of reloads.
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

/// A reload under load replaces the workers. No client fails, and no old worker stays.
#[test]
fn reloading_fails_no_client_and_leaves_no_old_worker() {
    let (server, fleet, _) = reload(EAGER);
    fleet.assert_only(&server.app, 2);
}

/// Like the test above, with most clients in the queues.
#[test]
fn reloading_with_full_queues_fails_no_client() {
    let (server, fleet, _) = reload(SERIAL);
    fleet.assert_only(&server.app, 2);
}

/// Like the tests above, with worker threads. Each has one successor for each reload.
#[test]
fn reloading_threads_fails_no_client() {
    let (_, fleet, times) = reload([&["--threads=2"], &[]]);
    assert_eq!(fleet.seen.len(), 2 + 2 * times);
}
