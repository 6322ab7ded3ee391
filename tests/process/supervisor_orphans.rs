//! Descriptors that workers inherit, and orphans and zombies that they could leave behind.
#![cfg(all(target_os = "linux", not(miri)))]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use coreloop_test_support::deadline::{wait_for, wait_until};
use coreloop_test_support::folder::Folder;
use coreloop_test_support::process::master::{Master, ask_on, await_end, worker_at};
use coreloop_test_support::process::proc::{
    children, computed, descriptor_count, descriptors, is_running,
};
use coreloop_test_support::program::{connect, program};
use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::{Pid, Signal, kill_process};

fn start(arguments: &[&str]) -> (Master, SocketAddr) {
    let mut command = Command::new(program("process_app"));
    command.args(arguments);
    begin(command)
}

fn begin(command: Command) -> (Master, SocketAddr) {
    let mut app = Master::start(command);
    let address = app.address();
    (app, address)
}

/// Kills the master, and waits for the end of all workers.
fn orphan(app: &Master) -> Duration {
    let workers = children(app.pid());
    let killed = Instant::now();
    app.signal(Signal::KILL);
    for worker in workers {
        await_end(worker);
    }
    killed.elapsed()
}

/// When the master is killed, the kernel kills every worker, even one in an endless loop or
/// one that was stopped.
#[test]
fn no_worker_outlives_a_master_that_is_killed() {
    let (mut app, address) = start(&["--workers", "4"]);
    app.ready(4);
    let workers = children(app.pid());
    assert_eq!(workers.len(), 4);
    let mut stream = connect(address);
    let line = ask_on(&stream, b'p');
    let (looping, _) = line.split_once(' ').unwrap();
    let looping = Pid::from_raw(looping.parse().unwrap()).unwrap();
    let before = computed(looping);
    stream.write_all(b"h").unwrap();
    // More time than a worker takes to start.
    wait_until(|| computed(looping) >= before + 5);
    let stopped = workers.into_iter().find(|&worker| worker != looping);
    kill_process(stopped.unwrap(), Signal::STOP).unwrap();
    println!("all workers are gone after {:?}", orphan(&app));
}

/// The kernel sends no signal for a master that had ended before the worker asked for the
/// signal. The worker has to check for that, before its `main` can hang.
#[test]
fn no_worker_outlives_a_master_that_dies_before_the_worker_starts() {
    let (start_of_main, held_at_start) = hold();
    let (_rest_of_main, held_before_run) = hold();
    let (mut app, _) = start(&[
        "--workers=2",
        &format!("--hold-at-start={held_at_start}"),
        &format!("--hold-before-run={held_before_run}"),
    ]);
    for _ in 0..2 {
        app.line("waits at its start");
    }
    let workers = children(app.pid());
    assert_eq!(workers.len(), 2);
    app.signal(Signal::KILL);
    app.end_of_first();
    drop(start_of_main);
    for worker in workers {
        await_end(worker);
    }
}

/// A worker that hangs in `main` ends with its master too. It once stayed for ever, as only
/// `run` asked for the signal.
#[test]
fn no_worker_outlives_its_master_before_it_calls_run() {
    let (_hold, pipe) = hold();
    let (mut app, _) = start(&["--workers", "2", "--hold-before-run", &pipe]);
    for _ in 0..2 {
        app.line("waits before it runs");
    }
    orphan(&app);
}

/// Creates a named pipe. Its readers wait until the returned file is dropped.
fn hold() -> ((Folder, File), String) {
    let folder = Folder::new();
    let path = folder.path("hold");
    mkfifoat(CWD, &path, Mode::RWXU).unwrap();
    // Opened for reading too, because otherwise this would wait for the first reader.
    let pipe = File::options().read(true).write(true).open(&path).unwrap();
    let path = path.to_str().unwrap().to_owned();
    ((folder, pipe), path)
}

/// A worker has its own descriptors and none of the master's, whatever the master itself has
/// inherited.
#[test]
fn workers_have_only_their_own_descriptors() {
    // With a descriptor that is not closed on `exec`, as a careless parent leaves it.
    let mut careless = Command::new("sh");
    careless
        .args(["-c", "exec \"$@\" 9</dev/zero", "sh"])
        .arg(program("process_app"))
        .args(["--workers", "2"]);
    let (mut app, address) = begin(careless);
    app.ready(2);
    assert!(descriptors(app.pid()).contains(&"/dev/zero".to_owned()));
    // The successor is started by a master that has all its descriptors open.
    kill_process(worker_at(address), Signal::KILL).unwrap();
    app.ready(1);
    let workers = children(app.pid());
    assert_eq!(workers.len(), 2);
    for worker in workers {
        let is_socket = |target: &String| target.starts_with("socket:");
        // The loop creates its timer at the first wait for a time. The three sockets are the
        // channel, for both directions, and the listener. While the other worker is being
        // replaced, this one has that worker's listener too.
        let targets = wait_for(|| {
            let timer = |target: &String| target == "anon_inode:[timerfd]";
            let targets = descriptors(worker);
            let sockets = targets.iter().filter(|target| is_socket(target)).count();
            (targets.iter().any(timer) && sockets == 3).then_some(targets)
        });
        let mut pipes = BTreeMap::<_, u32>::new();
        let mut others = Vec::new();
        for target in targets.into_iter().filter(|target| !is_socket(target)) {
            if target.starts_with("pipe:") {
                *pipes.entry(target).or_default() += 1;
            } else {
                others.push(target);
            }
        }
        others.sort_unstable();
        let own = [
            "/dev/null",
            "anon_inode:[eventfd]",
            "anon_inode:[eventpoll]",
            "anon_inode:[timerfd]",
        ];
        assert_eq!(others, own);
        // The pipes of standard output and error, and both ends of the pipe of signals.
        let mut pipes: Vec<_> = pipes.into_values().collect();
        pipes.sort_unstable();
        assert_eq!(pipes, [1, 1, 2]);
    }
    app.signal(Signal::TERM);
    assert!(app.end().success());
}

/// The master reaps every worker that dies, and closes the descriptors that it had for it.
#[test]
fn a_master_has_no_zombies_and_no_more_descriptors_after_many_deaths() {
    let (mut app, address) = start(&["--workers", "2", "--restarts", "1000"]);
    app.ready(2);
    let before = descriptor_count(app.pid());
    for _ in 0..50 {
        let worker = worker_at(address);
        kill_process(worker, Signal::KILL).unwrap();
        // Until it has ended it may accept one more connection.
        await_end(worker);
    }
    wait_until(|| {
        let workers = children(app.pid());
        let all_run = workers.iter().all(|&pid| is_running(pid));
        workers.len() == 2 && all_run && descriptor_count(app.pid()) == before
    });
    app.signal(Signal::TERM);
    assert!(app.end().success());
}
