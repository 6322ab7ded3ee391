//! The limits of the processes of a supervisor.
#![cfg(target_os = "linux")]

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use coreloop_test_support::deadline::wait_until;
use coreloop_test_support::process::master::{App, Master, ask_on, ask_worker, worker_at};
use coreloop_test_support::program::connect;
use coreloop_test_support::skip::skipped;
use rustix::process::getuid;

/// A user that every system has.
const NOBODY: u32 = 65_534;

/// Returns a command that runs another one with these limits on descriptors.
fn with_files(soft: u32, hard: u32, inside: &Command) -> Command {
    let mut shell = Command::new("sh");
    let script = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\" \"$@\"");
    shell.arg("-c").arg(script);
    shell.arg(inside.get_program()).args(inside.get_args());
    shell
}

/// Starts the app, and returns the limits of its worker on descriptors.
fn files(app: &App, command: Command) -> String {
    let mut master = Master::start(command);
    let address = master.address();
    master.ready(1);
    let limits = ask_worker(address, b'l');
    app.ask("stop").unwrap();
    assert!(master.end().success());
    let (files, _) = limits.split_once(' ').unwrap();
    files.to_owned()
}

fn refused(command: Command, why: &str) {
    let mut master = Master::start(command);
    master.line(why);
    assert!(!master.end().success());
}

#[test]
fn workers_inherit_the_limit_that_the_master_has_raised() {
    let app = App::of("process_confined");
    let run = |arguments: &[&str]| {
        let inside = app.command(&[&["--workers", "1"], arguments].concat());
        files(&app, with_files(100, 200, &inside))
    };
    assert_eq!(run(&[]), "100/200");
    assert_eq!(run(&["--open-files", "150"]), "150/200");
    assert_eq!(run(&["--open-files", "50"]), "100/200");
    assert_eq!(run(&["--open-files", "max"]), "200/200");
    let raising = "ulimit -Hn 200 && ulimit -Hn 300";
    let can_raise = Command::new("sh").args(["-c", raising]).output().unwrap();
    if can_raise.status.success() {
        assert_eq!(run(&["--open-files", "300"]), "300/300");
    } else {
        skipped("only root can raise the hard limit, and not in each container");
    }
}

/// The sockets in reserve are bound when the limit is raised.
#[test]
fn the_limit_is_raised_before_sockets_are_bound() {
    if !getuid().is_root() {
        skipped("only root can change the user of a process");
        return;
    }
    let app = App::of("process_confined");
    chown(app.folder.as_path(), Some(NOBODY), None).unwrap();
    let confined = ["--user", "nobody", "--max-workers", "220"];
    refused(
        with_files(100, 300, &app.command(&confined)),
        "Too many open files",
    );
    let arguments = [&["--workers", "1", "--open-files", "max"][..], &confined].concat();
    let command = with_files(100, 300, &app.command(&arguments));
    assert_eq!(files(&app, command), "300/300");
}

#[test]
fn a_user_cannot_raise_the_hard_limit() {
    if !getuid().is_root() {
        skipped("only root can start a process of another user");
        return;
    }
    let app = App::of("process_confined");
    let mut command = with_files(100, 200, &app.command(&["--open-files", "201"]));
    command.uid(NOBODY).gid(NOBODY);
    refused(command, "the hard limit is 200");
}

#[test]
fn a_worker_that_exceeds_its_address_space_ends_alone() {
    let app = App::of("process_confined");
    let limit = (2_u64 << 30).to_string();
    let mut master = Master::start(app.command(&["--address-space", &limit]));
    let address = master.address();
    master.ready(2);
    let limits = ask_worker(address, b'l');
    let expected = format!(" 0/unlimited {limit}/{limit}");
    assert!(limits.ends_with(&expected), "{limits}");
    let before = app.workers();
    let greedy = worker_at(address);
    loop {
        let stream = connect(address);
        let asked = ask_on(&stream, b'p');
        if asked.starts_with(&format!("{greedy} ")) {
            // The connection ends without an answer.
            assert_eq!(ask_on(&stream, b'm'), "");
            break;
        }
    }
    master.line(&format!("(pid {greedy}) was killed by signal 6"));
    master.ready(1);
    wait_until(|| app.workers().len() == 2);
    let after = app.workers();
    let stayed = before.iter().filter(|worker| after.contains(worker));
    assert_eq!(stayed.count(), 1);
    app.ask("stop").unwrap();
    assert!(master.end().success());
}

#[test]
fn a_limit_that_cannot_be_set_ends_the_worker_with_the_reason() {
    if !getuid().is_root() {
        skipped("only root can start a process of another user");
        return;
    }
    let app = App::of("process_confined");
    let mut command = with_files(100, 200, &app.command(&["--worker-files", "201"]));
    command.uid(NOBODY).gid(NOBODY);
    chown(app.folder.as_path(), Some(NOBODY), None).unwrap();
    let why = "this process cannot be a worker: cannot limit OpenFiles to 201";
    refused(command, why);
}

#[test]
fn threads_have_no_limits_of_their_own() {
    let app = App::of("process_confined");
    let command = app.command(&["--threads", "2", "--address-space", "1000000000"]);
    refused(command, "worker threads have no limits of their own");
}
