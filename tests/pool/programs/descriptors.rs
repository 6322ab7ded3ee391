//! What workers inherit, what they cost their master, and what a pool does without descriptors.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use coreloop_test_support::deadline::{Deadline, wait_until};
use coreloop_test_support::process::proc::{children, descriptor_count};
use coreloop_test_support::program::program;
use coreloop_test_support::size;
use rustix::process::{Pid, Signal, getpid, kill_process};

use super::App;

/// A worker has its standard streams, the two sockets to the master, for frames and for
/// descriptors, and nothing else. The page is mapped, and its descriptor closed.
#[test]
fn a_worker_has_no_descriptors_but_its_own_and_a_clean_environment() {
    let inherited = numbered_descriptors(getpid());
    let mut command = Command::new(program("pool_app"));
    command.args(["--workers=3"]);
    for variable in [
        "LISTEN_FDS",
        "LISTEN_PID",
        "NOTIFY_SOCKET",
        "CORELOOP_UPGRADE",
    ] {
        command.env(variable, "1");
    }
    command.env("LIKE_ANY_OTHER", "kept");
    let mut app = App::start_command(command);
    app.ask("hold", "held");
    app.ask("free 1000000", "freed");
    app.ask("ready 3", "ready");
    // The last one was started when the sockets of the others existed.
    for _ in 0..3 {
        app.ask("exit 3", "broken");
    }
    app.ask("ready 3", "ready");
    for worker in app.workers() {
        let mut own = numbered_descriptors(worker);
        // What this process has inherited itself, it leaves to the program, and this to its
        // workers.
        own.retain(|entry| entry.0 <= 2 || !inherited.contains(entry));
        let kinds: Vec<_> = own.iter().map(|(_, target)| kind(target)).collect();
        let expected = ["/dev/null", "pipe", "pipe", "socket", "socket"];
        assert_eq!(kinds, expected, "{own:?}");
        let environment = fs::read(format!("/proc/{worker}/environ")).unwrap();
        let environment = String::from_utf8_lossy(&environment);
        let variables: BTreeSet<_> = environment
            .split('\0')
            .filter_map(|entry| Some(entry.split_once('=')?.0))
            .collect();
        assert!(variables.contains("LIKE_ANY_OTHER") && variables.contains("PATH"));
        let special: Vec<_> = variables
            .iter()
            .filter(|name| {
                (name.starts_with("CORELOOP_") && !name.starts_with("CORELOOP_TEST"))
                    || name.starts_with("LISTEN_")
                    || **name == "NOTIFY_SOCKET"
            })
            .collect();
        assert_eq!(special, [&"CORELOOP_POOL_WORKER"]);
    }
    app.end();
}

/// Returns the descriptors of a process, each its number and what it refers to.
fn numbered_descriptors(process: Pid) -> BTreeSet<(u32, String)> {
    let entries = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let entry = |path: PathBuf| {
        let number = path.file_name()?.to_str()?.parse().ok()?;
        // One that is closed meanwhile is skipped.
        let target = fs::read_link(path).ok()?;
        Some((number, target.to_str()?.to_owned()))
    };
    entries
        .filter_map(|found| entry(found.unwrap().path()))
        .collect()
}

fn kind(target: &str) -> &str {
    target.split_once(':').map_or(target, |(kind, _)| kind)
}

#[test]
fn a_worker_costs_the_master_three_descriptors_and_a_queued_job_none() {
    let count = |workers: u32| {
        let mut app = App::start(&[&format!("--workers={workers}")]);
        app.ask(&format!("ready {workers}"), "ready");
        app.ask("many 100", "ok");
        let idle = descriptor_count(app.master.pid());
        for _ in 0..workers {
            app.ask("spin", "submitted");
        }
        for _ in 0..workers {
            app.word("spinning");
        }
        app.ask("queue 1000", "queued");
        assert_eq!(descriptor_count(app.master.pid()), idle);
        app.end();
        idle
    };
    let (one, five) = (count(1), count(5));
    assert!(
        five - one <= 3 * 4,
        "{one} descriptors with one worker, {five} with five"
    );
}

/// Killing workers and running jobs leaves no descriptor and no zombie behind.
#[test]
fn the_descriptors_stay_the_same_while_workers_are_replaced() {
    let mut app = App::start(&["--workers=2"]);
    app.ask("ready 2", "ready");
    app.ask("many 10", "ok");
    let master = app.master.pid();
    let before = descriptor_count(master);
    for number in 0..size::pick(20, 300) {
        app.ask("ready 2", "ready");
        let worker = app.workers()[number % 2];
        // It may have ended since.
        let _ = kill_process(worker, Signal::KILL);
        assert_eq!(app.ask("many 20", "ok"), "20");
    }
    app.ask("ready 2", "ready");
    wait_until(|| children(master).len() == 2);
    wait_until(|| descriptor_count(master) == before);
    app.end();
}

/// Without descriptors no worker can be started. The pool tries some times, with pauses, and
/// then all jobs fail.
#[test]
fn jobs_fail_with_the_reason_when_no_worker_can_be_started() {
    let mut app = App::with_descriptors(64, &["--workers=2", "--backoff=10", "--hold"]);
    for _ in 0..2 {
        let text = app.ask("square 3", "no worker");
        assert!(text.contains("could not be started"), "{text}");
        assert!(text.contains("Too many open files"), "{text}");
    }
    app.end();
}

/// The program has room for some of its workers, and the failures come before these are ready.
#[test]
fn a_pool_runs_jobs_with_the_workers_that_there_is_room_for() {
    let mut app = App::with_descriptors(40, &["--workers=64", "--failed-starts=1"]);
    assert!(app.ask("square 3", "ok").starts_with("(9, "));
    let workers = app.workers().len();
    assert!((2..40).contains(&workers), "{workers} workers");
    app.end();
}

/// Once a worker was ready, the pool never gives up: jobs that wait fail, and later ones run
/// when there are descriptors again. Meanwhile the pauses get longer.
#[test]
fn a_pool_recovers_when_workers_can_be_started_again() {
    let mut app = App::with_descriptors(64, &["--workers=1", "--backoff=10"]);
    assert!(app.ask("square 3", "ok").starts_with("(9, "));
    app.ask("hold", "held");
    // Of the descriptors of the worker that ends here, at least one is used up.
    kill_process(app.workers()[0], Signal::KILL).unwrap();
    let mut tries = 0;
    let deadline = Deadline::new();
    loop {
        deadline.check();
        app.ask("hold", "held");
        writeln!(app.input, "square 3").unwrap();
        let line = app.master.line(" ");
        if line.starts_with("no worker") {
            assert!(line.contains("Too many open files"), "{line}");
            break;
        }
        tries += 1;
        assert!(tries < 1_000);
    }
    app.ask("free 1000", "freed");
    let deadline = Deadline::new();
    loop {
        deadline.check();
        writeln!(app.input, "square 3").unwrap();
        if app.master.line("").starts_with("ok (9, ") {
            break;
        }
    }
    app.end();
}
