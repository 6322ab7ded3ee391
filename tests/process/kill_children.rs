//! Programs that a worker has started, when the worker has ended.
#![cfg(target_os = "linux")]

use std::net::SocketAddr;

use coreloop_test_support::process::master::{App, Master, ask_worker, await_end};
use coreloop_test_support::process::proc::is_running;
use rustix::process::{Pid, Signal, kill_process};

fn start(arguments: &[&str]) -> (App, Master, SocketAddr) {
    let app = App::of("process_confined");
    let arguments = [&["--workers", "1"], arguments].concat();
    let mut master = Master::start(app.command(&arguments));
    let address = master.address();
    master.ready(1);
    (app, master, address)
}

/// Has the worker start a program that sleeps.
fn sleeper(address: SocketAddr) -> Pid {
    let pid = ask_worker(address, b'k').parse().unwrap();
    let pid = Pid::from_raw(pid).unwrap();
    assert!(is_running(pid));
    pid
}

#[test]
fn children_end_with_a_worker_that_dies() {
    let (app, mut master, address) = start(&["--kill-children"]);
    let sleepers = [sleeper(address), sleeper(address)];
    assert_eq!(ask_worker(address, b'c'), "");
    for sleeper in sleepers {
        await_end(sleeper);
    }
    master.ready(1);
    // In the group of the next worker.
    let next = sleeper(address);
    assert!(is_running(next));
    app.ask("reload").unwrap();
    await_end(next);
    app.ask("stop").unwrap();
    assert!(master.end().success());
}

/// A worker that is stopped does not end by itself.
#[test]
fn children_end_with_a_worker_that_is_killed() {
    let (app, mut master, address) = start(&["--kill-children"]);
    let sleeper = sleeper(address);
    let worker = app.workers()[0];
    kill_process(worker, Signal::STOP).unwrap();
    app.ask("stop").unwrap();
    assert!(is_running(sleeper));
    // A second request kills. The master may end before it answers.
    let _ = app.try_ask("stop");
    await_end(sleeper);
    await_end(worker);
    assert!(master.end().success());
}

#[test]
fn other_children_outlive_their_worker() {
    let (app, mut master, address) = start(&[]);
    let sleeper = sleeper(address);
    app.ask("reload").unwrap();
    app.ask("stop").unwrap();
    assert!(master.end().success());
    assert!(is_running(sleeper));
    kill_process(sleeper, Signal::KILL).unwrap();
}
