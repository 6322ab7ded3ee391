//! Supervisors that are started by root and give its privileges up.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use coreloop_test_support::deadline::wait_until;
use coreloop_test_support::process::master::{App, Master, ask_worker, await_end};
use coreloop_test_support::skip::skipped;
use rustix::process::{Pid, Signal, getuid, kill_process};

/// A user that every system has. The numbers of its group differ.
const NOBODY: u32 = 65_534;

/// Returns whether the test can change users.
fn is_root() -> bool {
    let is_root = getuid().is_root();
    if !is_root {
        skipped("only root can change the user of a process");
    }
    is_root
}

/// Creates an app in a directory of the user `nobody`, as which the master creates the control
/// socket there.
fn app() -> App {
    let app = App::of("process_confined");
    chown(app.folder.as_path(), Some(NOBODY), None).unwrap();
    app
}

/// Returns the workers that answer, of many connections.
fn answering(address: SocketAddr) -> BTreeSet<String> {
    (0..100).map(|_| ask_worker(address, b'p')).collect()
}

fn user_of(process: Pid) -> u32 {
    fs::metadata(format!("/proc/{process}/status"))
        .unwrap()
        .uid()
}

/// The kernel lets only sockets of one user share a port, so the others have to be bound before.
#[test]
fn workers_can_be_added_after_the_user_has_changed() {
    if !is_root() {
        return;
    }
    let app = app();
    let arguments = ["--user", "nobody", "--workers", "1", "--max-workers", "4"];
    let mut master = Master::start(app.command(&arguments));
    let address = master.address();
    master.ready(1);
    assert_eq!(answering(address).len(), 1);
    let identity = ask_worker(address, b'i');
    assert!(
        identity.starts_with(&format!("user={NOBODY} ")),
        "{identity}"
    );
    assert!(!identity.contains("group=0 "), "{identity}");
    assert!(!identity.contains("groups=0"), "{identity}");
    for (count, ready) in [(4, 3), (2, 0), (3, 1)] {
        app.ask(&format!("scale {count}")).unwrap();
        master.ready(ready);
        wait_until(|| app.all_workers().len() == count);
        assert_eq!(answering(address).len(), count, "of {count}");
    }
    let error = app.ask("scale 5").unwrap_err();
    assert!(error.contains("max_workers"), "{error}");
    assert_eq!(answering(address).len(), 3);
    // A signal gets no answer, so the master reports why nothing has changed.
    master.signal(Signal::TTIN);
    master.ready(1);
    master.signal(Signal::TTIN);
    master.line("there may be at most 4 workers");
    app.ask("stop").unwrap();
    assert!(master.end().success());
    assert!(!app.control().exists());
}

/// The files belong to the user, who removes them at the end.
#[test]
fn the_files_of_the_master_belong_to_the_user() {
    if !is_root() {
        return;
    }
    let app = app();
    let pid_file = app.folder.path("pid");
    let arguments = ["--user", "65534", "--group", "12345", "--umask", "63"];
    let mut command = app.command(&arguments);
    command.arg("--pid-file").arg(&pid_file);
    let mut master = Master::start(command);
    let address = master.address();
    master.ready(2);
    for path in [&pid_file, &app.control()] {
        let file = fs::symlink_metadata(path).unwrap();
        assert_eq!(
            (file.uid(), file.gid()),
            (NOBODY, 12_345),
            "{}",
            path.display()
        );
        assert_eq!(file.mode() & 0o077, 0);
    }
    let identity = ask_worker(address, b'i');
    assert!(identity.contains(" group=12345 "), "{identity}");
    assert!(identity.contains("groups=12345"), "{identity}");
    assert!(identity.ends_with("umask=0077"), "{identity}");
    app.ask("stop").unwrap();
    assert!(master.end().success());
    assert!(!pid_file.exists() && !app.control().exists());
}

/// Without a user, the privileges of other groups were kept.
#[test]
fn a_group_alone_leaves_no_supplementary_groups() {
    if !is_root() {
        return;
    }
    let app = App::of("process_confined");
    let mut command = Command::new("setpriv");
    command.args(["--groups", "4,12346"]).arg(app.path());
    command.args(app.arguments(&["--group", "12345"]));
    let mut master = Master::start(command);
    let address = master.address();
    master.ready(2);
    let identity = ask_worker(address, b'i');
    assert!(
        identity.starts_with("user=0 group=12345 groups=12345 "),
        "{identity}"
    );
    app.ask("stop").unwrap();
    assert!(master.end().success());
}

/// The kernel unties a process from its parent when its user changes. Here the user changes
/// before there are workers.
#[test]
fn workers_of_another_user_end_with_a_killed_master() {
    if !is_root() {
        return;
    }
    let app = app();
    let mut master = Master::start(app.command(&["--user", "nobody"]));
    master.ready(2);
    let workers = app.workers();
    assert_eq!(workers.len(), 2);
    assert!(workers.iter().all(|&worker| user_of(worker) == NOBODY));
    master.signal(Signal::KILL);
    for worker in workers {
        await_end(worker);
    }
}

#[test]
fn a_dead_worker_is_replaced_after_the_user_has_changed() {
    if !is_root() {
        return;
    }
    let app = app();
    let mut master = Master::start(app.command(&["--user", "nobody"]));
    let address = master.address();
    master.ready(2);
    kill_process(app.workers()[0], Signal::KILL).unwrap();
    master.ready(1);
    wait_until(|| app.workers().len() == 2);
    assert_eq!(answering(address).len(), 2);
    app.ask("reload").unwrap();
    assert_eq!(answering(address).len(), 2);
    app.ask("stop").unwrap();
    assert!(master.end().success());
}

/// The sockets of the configured workers exist, whatever the highest number is.
#[test]
fn as_many_workers_as_are_configured_can_always_be_asked_for() {
    let app = app();
    let mut master = Master::start(app.command(&["--workers", "3", "--max-workers", "1"]));
    master.ready(3);
    app.ask("scale 1").unwrap();
    app.ask("scale 3").unwrap();
    let error = app.ask("scale 4").unwrap_err();
    assert!(error.contains("at most 3 workers"), "{error}");
    app.ask("stop").unwrap();
    assert!(master.end().success());
}

/// The new program runs as the user, and has all sockets.
#[test]
fn a_program_can_be_upgraded_after_the_user_has_changed() {
    if !is_root() {
        return;
    }
    let app = app();
    let arguments = ["--user", "nobody", "--max-workers", "3"];
    let mut master = Master::start(app.command(&arguments));
    let address = master.address();
    master.ready(2);
    app.ask("upgrade").unwrap();
    assert_ne!(app.master(), master.pid());
    assert!(master.end_of_first().success());
    app.ask("scale 3").unwrap();
    assert_eq!(user_of(app.master()), NOBODY);
    assert_eq!(answering(address).len(), 3);
    let error = app.ask("scale 4").unwrap_err();
    assert!(error.contains("max_workers"), "{error}");
    app.install_script(&app.script_of("process_confined", &["--user", "daemon"]));
    let error = app.ask("upgrade").unwrap_err();
    let expected = format!("cannot run as user daemon: this process runs as user {NOBODY}");
    assert!(error.contains(&expected), "{error}");
    assert_eq!(answering(address).len(), 3);
    app.ask("stop").unwrap();
    assert!(master.end().success());
}

/// As systemd starts a program with `User=`.
#[test]
fn a_program_that_the_user_has_started_just_runs() {
    if !is_root() {
        return;
    }
    let app = app();
    let mut command = app.command(&["--user", "nobody"]);
    command.uid(NOBODY).gid(NOBODY);
    let mut master = Master::start(command);
    let address = master.address();
    master.ready(2);
    app.ask("scale 3").unwrap();
    assert_eq!(answering(address).len(), 3);
    app.ask("stop").unwrap();
    assert!(master.end().success());

    let mut command = app.command(&["--user", "root"]);
    command.uid(NOBODY).gid(NOBODY);
    refused(
        command,
        "cannot run as user root: this process runs as user 65534",
    );
}

/// "Address already in use", the error of the kernel, names the wrong reason.
#[test]
fn a_user_that_main_has_changed_is_the_reason_of_the_error() {
    if !is_root() {
        return;
    }
    let app = app();
    let command = app.command(&["--own-user", "65534"]);
    refused(
        command,
        "user 0 has bound the first, and this process runs as user 65534",
    );

    let command = app.command(&["--own-user", "65534", "--workers", "1"]);
    let mut master = Master::start(command);
    let address = master.address();
    master.ready(1);
    let error = app.ask("scale 2").unwrap_err();
    assert!(error.contains("Supervisor::user"), "{error}");
    assert_eq!(answering(address).len(), 1);
    app.ask("stop").unwrap();
    assert!(master.end().success());
}

#[test]
fn a_process_with_threads_cannot_change_its_user() {
    if !is_root() {
        return;
    }
    let app = app();
    let command = app.command(&["--user", "nobody", "--thread"]);
    refused(command, "the process has 2 threads");
}

#[test]
fn accounts_and_modes_that_do_not_exist_are_refused() {
    if !is_root() {
        return;
    }
    let app = app();
    let cases = [
        (["--user", "no-such-user"], "there is no user no-such-user"),
        (
            ["--group", "no-such-group"],
            "there is no group no-such-group",
        ),
        (
            ["--umask", "512"],
            "the umask has bits that are no permissions",
        ),
    ];
    for (arguments, error) in cases {
        refused(app.command(&arguments), error);
    }
}

/// Worker threads run as the user of the process.
#[test]
fn worker_threads_run_as_the_user() {
    if !is_root() {
        return;
    }
    let app = app();
    let mut master = Master::start(app.command(&["--threads", "2", "--user", "nobody"]));
    let address = master.address();
    master.ready(2);
    assert!(ask_worker(address, b'i').starts_with(&format!("user={NOBODY} ")));
    let tasks = fs::read_dir(format!("/proc/{}/task", master.pid())).unwrap();
    for task in tasks {
        let path = task.unwrap().path();
        assert_eq!(user_in(&path), [NOBODY; 4], "{}", path.display());
    }
    app.ask("scale 5").unwrap();
    assert_eq!(answering(address).len(), 5);
    app.ask("stop").unwrap();
    assert!(master.end().success());
}

/// A port below 1024 cannot be bound after the change.
#[test]
fn workers_of_a_privileged_port_can_be_added() {
    if !is_root() {
        return;
    }
    let Some(port) = (512..1024).find(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok())
    else {
        skipped("no port below 1024 is free");
        return;
    };
    let app = app();
    let addr = format!("127.0.0.1:{port}");
    let mut master = Master::start(app.command(&["--user", "nobody", "--addr", &addr]));
    let address = master.address();
    assert_eq!(address.port(), port);
    master.ready(2);
    app.ask("scale 4").unwrap();
    assert_eq!(answering(address).len(), 4);
    app.ask("stop").unwrap();
    assert!(master.end().success());
}

/// Returns the real, effective, saved and file-system user of a thread.
fn user_in(task: &Path) -> [u32; 4] {
    let status = fs::read_to_string(task.join("status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    let ids: Vec<_> = line
        .unwrap()
        .split_whitespace()
        .map(|id| id.parse().unwrap())
        .collect();
    ids.try_into().unwrap()
}

/// Checks that the program does not start, and says why.
fn refused(command: Command, why: &str) {
    let mut master = Master::start(command);
    master.line(why);
    assert!(!master.end().success());
}
