//! What workers inherit and leave behind: descriptors, orphans, zombies. The numbers
//! are those of the list of failures that a supervisor has to cope with.
#![cfg(all(target_os = "linux", not(miri)))]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::process::Command;
use std::time::{Duration, Instant};

use coreloop_test_support::process::master::{Master, worker_at};
use coreloop_test_support::program::{PATIENCE, connect, program};
use rustix::io::FdFlags;
use rustix::process::{Pid, Signal, kill_process};

fn start(arguments: &[&str]) -> (Master, SocketAddr) {
    let mut command = Command::new(program("process_app"));
    command.args(arguments);
    let mut app = Master::start(command);
    let address = app.address();
    (app, address)
}

/// The children of a process, dead ones too.
fn children(pid: Pid) -> Vec<Pid> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let numbers = text.split_whitespace();
    numbers
        .map(|number| Pid::from_raw(number.parse().unwrap()).unwrap())
        .collect()
}

/// Polls until `found` gives something.
fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether it runs: one that nobody has reaped yet does not.
fn is_running(pid: Pid) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    let (_, rest) = stat.rsplit_once(')').unwrap();
    !matches!(rest.trim_start().chars().next(), Some('Z' | 'X'))
}

/// Kills the master, and waits for the end of all workers.
fn orphan(app: &Master) -> Duration {
    let workers = children(app.pid());
    let killed = Instant::now();
    app.signal(Signal::KILL);
    for worker in workers {
        eventually("a worker outlives its master", || {
            (!is_running(worker)).then_some(())
        });
    }
    killed.elapsed()
}

/// 10.
#[test]
fn no_worker_outlives_a_master_that_is_killed() {
    let (mut app, address) = start(&["--workers", "4"]);
    app.ready(4);
    // One is in a loop, another is stopped.
    connect(address).write_all(b"h").unwrap();
    let stopped = eventually("a worker that is not in the loop", || {
        let mut stream = connect(address);
        stream
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        stream.write_all(b"p").unwrap();
        let mut answer = [0; 64];
        let count = std::io::Read::read(&mut stream, &mut answer).ok()?;
        let text = std::str::from_utf8(&answer[..count]).ok()?;
        Pid::from_raw(text.split(' ').next()?.parse().ok()?)
    });
    kill_process(stopped, Signal::STOP).unwrap();
    assert_eq!(children(app.pid()).len(), 4);
    println!("all workers are gone after {:?}", orphan(&app));
}

/// 11: the kernel's signal is not sent for a parent that was gone before it was
/// asked for.
#[test]
fn no_worker_outlives_a_master_that_dies_before_they_begin() {
    let (app, _) = start(&["--workers", "2", "--delay-before-run", "500"]);
    await_workers(&app, 2);
    orphan(&app);
}

/// 11: one that hung in `main` stayed for ever, as only `run` asked for the signal.
#[test]
fn no_worker_outlives_its_master_though_it_never_comes_to_run() {
    let (mut app, _) = start(&["--workers", "2", "--delay-before-run", "100000000"]);
    await_workers(&app, 2);
    for _ in 0..2 {
        app.line("waits before it runs");
    }
    orphan(&app);
}

/// Waits until so many workers run the program; each may be anywhere in its `main`.
fn await_workers(app: &Master, count: usize) {
    eventually("the workers", || {
        let workers = children(app.pid());
        let is_worker = |pid: &Pid| {
            let title = fs::read_to_string(format!("/proc/{pid}/cmdline"));
            title.is_ok_and(|title| title.starts_with("app: worker"))
        };
        (workers.iter().filter(|pid| is_worker(pid)).count() == count).then_some(())
    });
}

/// What the descriptors of a process are of.
fn descriptors(pid: Pid) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let targets = entries.map(|entry| fs::read_link(entry.unwrap().path()).unwrap());
    targets
        .map(|target| target.to_str().unwrap().to_owned())
        .collect()
}

/// 13.
#[test]
fn workers_have_no_descriptors_but_their_own() {
    // One that is not closed by `exec`, as a careless parent leaves it.
    let careless = fs::File::open("/dev/zero").unwrap();
    rustix::io::fcntl_setfd(careless.as_fd(), FdFlags::empty()).unwrap();
    let (mut app, address) = start(&["--workers", "2"]);
    rustix::io::fcntl_setfd(careless.as_fd(), FdFlags::CLOEXEC).unwrap();
    app.ready(2);
    // Its successor is started by a master that has all its descriptors.
    kill_process(worker_at(address), Signal::KILL).unwrap();
    app.ready(1);
    let workers = children(app.pid());
    assert_eq!(workers.len(), 2);
    for worker in workers {
        let (mut sockets, mut pipes) = (BTreeMap::<_, u32>::new(), BTreeMap::<_, u32>::new());
        // The last of them is made when the loop first has to wait for a time.
        let others = eventually("a worker that waits", || {
            let timer = |target: &String| target == "anon_inode:[timerfd]";
            let targets = descriptors(worker);
            targets.iter().any(timer).then_some(targets)
        });
        let mut others: Vec<_> = others
            .into_iter()
            .filter(|target| {
                let of_a_kind = match target.split(':').next() {
                    Some("socket") => &mut sockets,
                    Some("pipe") => &mut pipes,
                    _ => return true,
                };
                *of_a_kind.entry(target.clone()).or_default() += 1;
                false
            })
            .collect();
        others.sort_unstable();
        let own = [
            "/dev/null",
            "anon_inode:[eventfd]",
            "anon_inode:[eventpoll]",
            "anon_inode:[timerfd]",
        ];
        assert_eq!(others, own);
        // The channel for both directions, and the one listener.
        assert_eq!(sockets.into_values().sum::<u32>(), 3);
        // Standard output, standard error, and both ends of that of signals.
        let mut pipes: Vec<_> = pipes.into_values().collect();
        pipes.sort_unstable();
        assert_eq!(pipes, [1, 1, 2]);
    }
    app.signal(Signal::TERM);
    assert!(app.end().success());
}

#[test]
fn a_master_has_no_zombies_and_no_more_descriptors_after_many_deaths() {
    let (mut app, address) = start(&["--workers", "2", "--restarts", "1000"]);
    app.ready(2);
    let descriptors = || {
        fs::read_dir(format!("/proc/{}/fd", app.pid()))
            .unwrap()
            .count()
    };
    let before = descriptors();
    let mut killed = 0;
    while killed < 50 {
        kill_process(worker_at(address), Signal::KILL).unwrap();
        killed += 1;
    }
    eventually("descriptors or zombies are left", || {
        let workers = children(app.pid());
        let all_run = workers.iter().all(|&pid| is_running(pid));
        (workers.len() == 2 && all_run && descriptors() == before).then_some(())
    });
    app.signal(Signal::TERM);
    assert!(app.end().success());
}
