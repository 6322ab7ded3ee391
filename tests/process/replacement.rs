//! Workers that are replaced: in batches, with a check, by request, and after some requests.
#![cfg(all(target_os = "linux", not(miri)))]

use std::collections::HashSet;
use std::fs;
use std::net::SocketAddr;
use std::thread;

use coreloop_test_support::deadline::{Deadline, wait_until};
use coreloop_test_support::process::master::worker_at;
use coreloop_test_support::process::master::{App, Master, ask_on, ask_worker, await_end};
use coreloop_test_support::program::connect;
use rustix::process::{Pid, Signal, kill_process};

/// Long enough that no test sees its end.
const LONG: &str = "--bake-time=600000";

/// Starts an app, and waits until its workers are ready.
fn start(arguments: &[&str], workers: usize) -> (App, Master, SocketAddr) {
    let app = App::new();
    let mut master = Master::start(app.command(arguments));
    let address = master.address();
    master.ready(workers);
    (app, master, address)
}

/// Sends a request whose answer comes later.
fn ask_later(app: &App, request: &'static str) -> thread::JoinHandle<Result<String, String>> {
    let control = app.control();
    thread::spawn(move || App::ask_at(&control, request).unwrap())
}

fn pid_in(line: &str) -> Pid {
    pid_after(line, "(pid ")
}

fn pid_after(line: &str, words: &str) -> Pid {
    let (_, rest) = line.split_once(words).unwrap();
    let (pid, _) = rest.split_once(')').unwrap();
    Pid::from_raw(pid.parse().unwrap()).unwrap()
}

fn stop(mut master: Master) {
    master.signal(Signal::TERM);
    assert!(master.end().success());
}

/// Never more than a batch of new workers are started before they are ready, and each slot
/// gets one.
#[test]
fn a_reload_replaces_as_many_workers_together_as_it_is_set_to() {
    let options = ["--workers=24", "--parallel=8", "--print-starts"];
    let (app, mut master, _) = start(&options, 24);
    for _ in 0..24 {
        master.line(" has a new worker");
    }
    let before: HashSet<_> = app.workers().into_iter().collect();
    let boot = master.seen().len();
    app.ask("reload").unwrap();
    for _ in 0..24 {
        master.line(" has a new worker");
    }
    let after = app.workers();
    assert_eq!(after.len(), 24);
    assert!(after.iter().all(|worker| !before.contains(worker)));

    let seen = master.seen().split_off(boot);
    let (mut starting, mut most, mut slots) = (0, 0, HashSet::new());
    for line in seen {
        if let Some(slot) = line.strip_suffix(" starts a worker") {
            assert!(slots.insert(slot.to_owned()), "{slot} is replaced twice");
            starting += 1;
            most = most.max(starting);
        } else if line.ends_with(" has a new worker") {
            starting -= 1;
        }
    }
    assert_eq!((slots.len(), most), (24, 8));
    stop(master);
}

/// Old and new workers serve side by side; then a new worker is killed.
#[test]
fn a_new_worker_that_dies_while_it_bakes_brings_the_old_workers_back() {
    let (app, mut master, address) = start(&["--workers=2", "--parallel=2", LONG], 2);
    let old = app.workers();
    let reload = ask_later(&app, "reload");
    master.line("the new workers 0, 1 serve beside the old ones for 600.0 s");
    let ready: Vec<_> = master
        .seen()
        .iter()
        .filter(|line| line.contains(" is ready after "))
        .map(|line| pid_in(line))
        .collect();
    let new: Vec<_> = ready.into_iter().filter(|pid| !old.contains(pid)).collect();
    let mut answered = HashSet::new();
    let deadline = Deadline::new();
    while answered.len() < 4 {
        deadline.check();
        answered.insert(worker_at(address));
    }
    kill_process(new[0], Signal::KILL).unwrap();
    let error = reload.join().unwrap().unwrap_err();
    let why = "the new worker was killed by signal 9 while the old one still served";
    assert!(error.contains(why), "{error}");
    await_end(new[1]);
    assert_eq!(app.workers(), old);
    assert!(old.contains(&worker_at(address)));
    stop(master);
}

/// The successor is there already, so no connection waits for a start.
#[test]
fn a_new_worker_takes_the_place_of_an_old_one_that_dies_while_it_bakes() {
    let (app, mut master, address) = start(&["--workers=1", LONG], 1);
    let [old] = app.workers()[..] else {
        panic!("one worker")
    };
    let reload = ask_later(&app, "reload");
    master.line("the new worker 0 serves beside the old one for 600.0 s");
    kill_process(old, Signal::KILL).unwrap();
    reload.join().unwrap().unwrap();
    assert_eq!(app.workers(), [worker_at(address)]);
    assert_ne!(app.workers(), [old]);
    stop(master);
}

#[test]
fn the_old_worker_drains_when_the_new_one_has_baked() {
    let (app, master, address) = start(&["--workers=1", "--bake-time=50"], 1);
    let old = app.workers();
    app.ask("reload").unwrap();
    await_end(old[0]);
    assert_ne!(worker_at(address), old[0]);
    stop(master);
}

/// The check decides, in whichever way it ends.
#[test]
fn a_new_worker_has_to_pass_the_check() {
    for (outcome, error) in [
        ("pass", None),
        (
            "fail",
            Some("the check of the new worker failed: asked to fail"),
        ),
        (
            "panic",
            Some("the check of the new worker failed: it panicked: asked to panic"),
        ),
    ] {
        let app = App::new();
        let checks = format!("--checks={}", app.folder.as_path().display());
        let mut master = Master::start(app.command(&["--workers=2", &checks]));
        let address = master.address();
        master.ready(2);
        let old = app.workers();
        let reload = ask_later(&app, "reload");
        let checked = master.line("worker 0 is checked, Some(");
        // The loop of the master runs meanwhile.
        assert_eq!(app.workers(), old);
        assert_eq!(ask_worker(address, b'v'), "CORELOOP_WORKER");
        for slot in 0..2 {
            fs::write(app.folder.path(&format!("check-{slot}")), outcome).unwrap();
        }
        master.line("the check of worker 0 has ended");
        let answer = reload.join().unwrap();
        match error {
            None => {
                answer.unwrap();
                assert!(app.workers().iter().all(|worker| !old.contains(worker)));
            }
            Some(error) => {
                let answer = answer.unwrap_err();
                assert!(answer.ends_with(error), "{answer}");
                let line = master.line(" has failed its check: ");
                assert_eq!(pid_in(&line), pid_after(&checked, "Some("));
                await_end(pid_in(&line));
                assert_eq!(app.workers(), old);
            }
        }
        stop(master);
    }
}

/// A check that never ends is dropped when its worker has ended.
#[test]
fn a_check_ends_with_its_worker() {
    let app = App::new();
    let checks = format!("--checks={}", app.folder.as_path().display());
    let mut master = Master::start(app.command(&["--workers=1", &checks]));
    master.address();
    master.ready(1);
    let old = app.workers();
    let reload = ask_later(&app, "reload");
    let line = master.line("worker 0 is checked, Some(");
    kill_process(pid_after(&line, "Some("), Signal::KILL).unwrap();
    master.line("the check of worker 0 has ended");
    reload.join().unwrap().unwrap_err();
    assert_eq!(app.workers(), old);
    // The next reload has a check of its own, which the stop drops.
    master.signal(Signal::HUP);
    master.line("worker 0 is checked");
    master.signal(Signal::TERM);
    master.line("the check of worker 0 has ended");
    assert!(master.end().success());
}

#[test]
fn one_worker_is_replaced_by_request() {
    let (app, mut master, address) = start(&["--workers=3"], 3);
    let old = app.workers();
    let begun = connect(address);
    assert_eq!(ask_on(&begun, b'v'), "CORELOOP_WORKER");
    app.ask("restart 1").unwrap();
    master.line("worker 1 was replaced");
    let new = app.workers();
    assert_eq!((new[0], new[2]), (old[0], old[2]));
    assert_ne!(new[1], old[1]);
    await_end(old[1]);
    assert_eq!(
        app.ask("restart 3").unwrap_err(),
        "there is no worker 3: the last one is 2"
    );
    stop(master);
}

#[test]
fn a_request_starts_a_worker_in_backoff_at_once() {
    let options = [
        "--workers=2",
        "--restarts=0",
        "--backoff=600000",
        "--longest-backoff=600000",
    ];
    let (app, mut master, _) = start(&options, 2);
    let old = app.workers();
    kill_process(old[0], Signal::KILL).unwrap();
    master.line("worker 0 is started again in ");
    assert_eq!(app.workers(), [old[1]]);
    app.ask("restart 0").unwrap();
    assert_eq!(app.workers().len(), 2);
    stop(master);
}

#[test]
fn a_request_says_why_a_worker_was_not_replaced() {
    let (app, mut master, _) = start(&["--workers=2", "--fail-again=1"], 2);
    let old = app.workers();
    let error = app.ask("restart 1").unwrap_err();
    let why = "worker 1 was not replaced: the new worker failed: asked to fail before it was ready";
    assert_eq!(error, why);
    master.line(why);
    assert_eq!(app.workers(), old);
    stop(master);
}

/// Every connection is answered while one worker after another is replaced.
#[test]
fn workers_are_replaced_after_a_number_of_connections() {
    let (_app, mut master, address) = start(&["--workers=1", "--max-requests=20"], 1);
    let mut workers = HashSet::new();
    let deadline = Deadline::new();
    while workers.len() < 4 {
        deadline.check();
        workers.insert(worker_at(address));
    }
    master.line("worker 0 was replaced");
    assert!(master.seen().iter().all(|line| !line.contains("killed")));
    stop(master);
}

/// One connection brings all requests, and many connections bring none.
#[test]
fn workers_are_replaced_after_a_number_of_requests() {
    let options = ["--workers=1", "--max-requests=20", "--count-bytes"];
    let (app, mut master, address) = start(&options, 1);
    let first = app.workers();
    let stream = connect(address);
    for _ in 0..17 {
        assert_eq!(ask_on(&stream, b'v'), "CORELOOP_WORKER");
    }
    for _ in 0..40 {
        drop(connect(address));
    }
    assert_eq!(app.workers(), first);
    for _ in 17..20 {
        // The worker may drain before the last ones.
        ask_on(&stream, b'v');
    }
    master.line("worker 0 was replaced");
    wait_until(|| app.workers().len() == 1);
    assert_ne!(app.workers(), first);
    stop(master);
}
