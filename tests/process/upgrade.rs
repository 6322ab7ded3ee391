//! Upgrades: the program's file is replaced, and started as a new master that takes over.
#![cfg(all(target_os = "linux", not(miri)))]

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use coreloop_test_support::deadline::wait_until;
use coreloop_test_support::process::master::{
    App, Master, ask_on, ask_worker, await_end, copy, worker_at,
};
use coreloop_test_support::process::proc::is_asleep;
use coreloop_test_support::program::{connect, exchange, program};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// A new program takes over the sockets, the control socket and the pid file. The old master
/// ends when the last connection of its workers is closed.
#[test]
fn a_new_master_takes_over_and_the_old_one_ends() {
    let app = App::new();
    let (mut master, address) = start(&app, &["--workers=2"]);
    let old = master.pid();
    let old_workers = app.workers();
    let pid_file = app.folder.path("pid");
    assert_eq!(fs::read_to_string(&pid_file).unwrap(), format!("{old}\n"));
    // Open before the upgrade, and used until the old master ends.
    let mut client = connect(address);
    exchange(&mut client, b"1");

    app.install(&program("process_app"));
    master.signal(Signal::USR2);
    master.line("has taken over");
    assert!(master.end_of_first().success());

    let new = app.master();
    assert_ne!(new, old);
    assert_eq!(fs::read_to_string(&pid_file).unwrap(), format!("{new}\n"));
    assert!(
        old_workers
            .iter()
            .all(|worker| test_kill_process(*worker).is_err())
    );
    assert!(app.workers().contains(&worker_at(address)));

    // The new master can do all that the old one could, another upgrade included.
    app.ask("upgrade").unwrap();
    let third = app.master();
    assert_ne!(third, new);
    await_end(new);
    app.ask("scale 1").unwrap();
    assert_eq!(app.workers(), [worker_at(address)]);
    app.ask("stop").unwrap();
    master.end();
    assert!(!app.control().exists() && !pid_file.exists());
    assert!(TcpStream::connect(address).is_err());
}

/// The old master continues when the new program ends before it is ready.
#[test]
fn a_new_program_that_ends_or_crashes_changes_nothing() {
    for (script, why) in [
        ("exit 3", "ended before it was ready: exit status: 3"),
        ("kill -SEGV $$", "ended before it was ready: signal: 11"),
        ("exec 0<&-; exec sleep 1000", "ended before it was ready: "),
    ] {
        fails(script, &[], why);
    }
}

/// The old master continues, and kills the new program, if that is not ready in time.
#[test]
fn a_new_program_that_hangs_is_killed_and_changes_nothing() {
    fails(
        "echo $$; exec sleep 1000",
        &["--startup=3000"],
        "the new program was not ready within 3s",
    );
}

/// A new program whose workers all fail ends, and reports why.
#[test]
fn a_new_program_whose_workers_fail_changes_nothing() {
    let program = program("process_app");
    let script = format!("exec {} --fail-before-ready \"$@\"", program.display());
    fails(&script, &["--backoff=1"], "ended before it was ready: ");
}

/// The new program had taken over the control socket by then, and none was left.
#[test]
fn a_new_program_that_cannot_write_its_pid_file_changes_nothing() {
    let app = App::new();
    let script = app.script(&["--workers=1", "--pid-file=/nonexistent/pid"]);
    fails_on(
        &app,
        &script,
        &[],
        "cannot write the pid file /nonexistent/pid: ",
    );
}

/// The new program has written its pid file by then.
#[test]
fn a_new_program_that_cannot_create_its_control_socket_changes_nothing() {
    let app = App::new();
    let pid_file = format!("--pid-file={}", app.folder.path("pid").display());
    let program = program("process_app");
    let script = format!(
        "exec {} --control /nonexistent/c {pid_file}",
        program.display()
    );
    fails_on(&app, &script, &[], "No such file");
}

/// A program that is killed a moment before it serves leaves this behind.
#[test]
fn files_that_a_failed_program_has_taken_over_are_taken_back() {
    let app = App::new();
    let (control, pid_file) = (app.control(), app.folder.path("pid"));
    let (control, pid_file) = (control.display(), pid_file.display());
    let script = format!("rm {control}; echo 1 >{pid_file}; exit 5");
    fails_on(
        &app,
        &script,
        &[],
        "ended before it was ready: exit status: 5",
    );
}

/// The new program once removed the file of the Unix socket, which did not belong to it yet.
#[test]
fn a_new_program_that_fails_leaves_unix_sockets_alone() {
    let app = App::new();
    let unix = app.folder.path("unix");
    let option = format!("--unix={}", unix.display());
    let (mut master, address) = start(&app, &["--workers=1", &option]);
    let worker = worker_at(address);
    let script = app.script(&[&option, "--fail-before-ready", "--backoff=1"]);
    app.install_script(&script);
    for _ in 0..5 {
        app.ask("upgrade").unwrap_err();
        UnixStream::connect(&unix).unwrap();
    }
    serves_on(&app, &mut master, address, worker);
    master.signal(Signal::TERM);
    assert!(master.end().success());
    assert!(!unix.exists());
}

/// The new workers accept from the sockets of the old ones before all of them are ready.
/// They were once killed with the connections that they had accepted.
#[test]
fn a_new_program_that_fails_finishes_what_it_has_accepted() {
    let app = App::new();
    let late = app.folder.path("late");
    let option = format!("--late={}", late.display());
    // Either taking over fails when the last worker is ready, or that is never ready.
    for (pid_file, startup, is_late) in [("/nonexistent/pid", 30_000, true), ("pid", 3000, false)] {
        let startup = format!("--startup={startup}");
        let (mut master, address) = start(&app, &["--workers=2", &startup]);
        let old = app.workers();
        let pid_file = app.folder.path(pid_file);
        let pid_file = format!("--pid-file={}", pid_file.display());
        // The worker that is late does not obey, and is killed at the deadline.
        let drain = "--drain=2000";
        app.install_script(&app.script(&["--workers=2", &option, &pid_file, drain]));
        master.signal(Signal::USR2);
        // The first new worker shares the first socket.
        let mut client = connect(address);
        wait_until(|| {
            let is_new = !old.contains(&worker_on(&client));
            if !is_new {
                client = connect(address);
            }
            is_new
        });
        client.write_all(b"w").unwrap();
        if is_late {
            fs::write(&late, "").unwrap();
        }
        let mut answer = String::new();
        BufReader::new(client).read_line(&mut answer).unwrap();
        assert_eq!(answer, "waited\n");
        master.line("the upgrade failed: ");
        assert_eq!(app.master(), master.pid());
        assert_eq!(app.workers(), old);
        master.signal(Signal::TERM);
        assert!(master.end().success());
        app.install(&program("process_app"));
        let _ = fs::remove_file(&late);
    }
}

/// The script that had started the new program was killed in its place. The new program then
/// served beside the old one, and took over its control socket.
#[test]
fn a_new_program_that_was_given_up_does_not_serve() {
    let app = App::new();
    let late = app.folder.path("late");
    let option = format!("--late={}", late.display());
    let (mut master, address) = start(&app, &["--workers=2", "--startup=3000"]);
    let old = app.workers();
    // Without `exec`, and with another command after it, so that the shell does not `exec`
    // it by itself.
    let script = app.script(&["--workers=2", "--startup=60000", &option]);
    app.install_script(&format!("({script}); exit $?"));
    master.signal(Signal::USR2);
    master.line("the upgrade failed: the new program was not ready within 3s");
    fs::write(&late, "").unwrap();
    master.line("the old master has given up this upgrade");
    assert_eq!(app.master(), master.pid());
    assert_eq!(app.workers(), old);
    assert!(old.contains(&worker_at(address)));
    master.signal(Signal::TERM);
    assert!(master.end().success());
}

#[test]
fn a_new_program_that_cannot_be_started_changes_nothing() {
    let app = App::new();
    let (mut master, address) = start(&app, &["--workers=1"]);
    let worker = worker_at(address);
    fs::remove_file(app.path()).unwrap();
    let error = app.ask("upgrade").unwrap_err();
    assert!(
        error.starts_with("cannot start ") && error.contains("/app: "),
        "{error}"
    );
    fs::write(app.path(), "no program").unwrap();
    let error = app.ask("upgrade").unwrap_err();
    assert!(error.contains("ermission denied"), "{error}");
    serves_on(&app, &mut master, address, worker);

    // Workers run the program of the master, whatever is at its path.
    kill_process(worker, Signal::KILL).unwrap();
    master.ready(1);
    assert_ne!(worker_at(address), worker);
}

/// A second upgrade is refused until the new master serves.
#[test]
fn only_one_upgrade_runs_at_a_time() {
    let app = App::new();
    let (mut master, address) = start(&app, &["--workers=1"]);
    let worker = worker_at(address);
    app.install_script("echo $$ is under way; exec sleep 1000");
    master.signal(Signal::USR2);
    let line = master.line("is under way");
    let error = app.ask("upgrade").unwrap_err();
    assert_eq!(error, "an upgrade is in progress");
    assert_eq!(worker_at(address), worker);

    // The new program dies, and another upgrade can begin.
    let successor = line.split(' ').next().unwrap().parse().unwrap();
    kill_process(Pid::from_raw(successor).unwrap(), Signal::KILL).unwrap();
    master.line("the upgrade failed: ");
    app.install(&program("process_app"));
    app.ask("upgrade").unwrap();
    assert!(master.end_of_first().success());
    app.ask("stop").unwrap();
    master.end();
}

/// The old master took the new one, which was replaced and had ended, for one that had failed.
/// It served on beside the newest one, whose workers then got only a part of the connections.
#[test]
fn a_new_master_is_not_replaced_before_the_old_one_knows_of_it() {
    let app = App::new();
    let mut first = upgraded_while_stopped(&app);
    let second = app.master();
    app.install(&program("process_app"));
    let _client = request_upgrade(&app);
    assert_eq!(app.ask("upgrade").unwrap_err(), "an upgrade is in progress");
    assert_eq!(app.master(), second);

    first.signal(Signal::CONT);
    first.line(&format!("a new master (pid {second}) has taken over"));
    assert!(first.end_of_first().success());
    wait_until(|| app.master() != second);
    let third = app.master();
    first.line(&format!("a new master (pid {third}) has taken over"));
    assert_eq!(app.workers().len(), 1);
    app.ask("stop").unwrap();
    first.end();
}

#[test]
fn a_master_that_stops_while_an_upgrade_waits_for_the_old_one_answers() {
    let app = App::new();
    let mut first = upgraded_while_stopped(&app);
    let mut client = request_upgrade(&app);
    app.ask("stop").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "error: the master is ending\n");
    first.signal(Signal::CONT);
    // The service was stopped, so the old master does not serve again.
    first.line("has taken over");
    assert!(first.end().success());
}

/// Starts a master that is stopped when its successor begins to serve.
fn upgraded_while_stopped(app: &App) -> Master {
    let (first, _) = start(app, &["--workers=1"]);
    let script = app.install_held_script(&app.script(&["--workers=1"]));
    let file = || fs::metadata(app.control()).ok().map(|socket| socket.ino());
    let of_first = file();
    first.signal(Signal::USR2);
    script.wait_for_start();
    first.signal(Signal::STOP);
    script.release();
    wait_until(|| file().is_some_and(|new| Some(new) != of_first));
    first
}

/// Requests an upgrade without waiting for its end.
fn request_upgrade(app: &App) -> UnixStream {
    let mut client = UnixStream::connect(app.control()).unwrap();
    writeln!(client, "upgrade").unwrap();
    // When this is answered, the master has the request to upgrade.
    app.ask("status").unwrap();
    client
}

#[test]
fn a_master_that_stops_during_an_upgrade_ends_the_new_program() {
    let app = App::new();
    let (mut master, _) = start(&app, &["--workers=1"]);
    app.install_script("echo $$ is under way; exec sleep 1000");
    master.signal(Signal::USR2);
    master.line("is under way");
    master.signal(Signal::TERM);
    // The outputs have ended, so the sleeping program has ended too.
    assert!(master.end().success());
}

/// Unlike a restart, an upgrade survives the death of the old master: the new one has the
/// sockets.
#[test]
fn a_new_master_survives_the_old_one() {
    let app = App::new();
    let (mut master, address) = start(&app, &["--workers=1", "--drain=20000"]);
    // The old master has to wait for this answer.
    let mut stream = connect(address);
    exchange(&mut stream, b"1");
    stream.write_all(b"s").unwrap();
    app.ask("upgrade").unwrap();
    let new = app.master();
    assert_ne!(new, master.pid());
    master.signal(Signal::KILL);
    assert_eq!(master.end_of_first().signal(), Some(9));
    assert_eq!(app.master(), new);
    assert_eq!(app.workers(), [worker_at(address)]);
    app.ask("stop").unwrap();
    master.end();
}

/// The old master is killed before the new one has received the sockets.
#[test]
fn a_new_master_serves_if_the_old_one_dies_before() {
    let app = App::new();
    let (mut master, address) = start(&app, &["--workers=2"]);
    let script = app.install_held_script(&app.script(&[]));
    master.signal(Signal::USR2);
    script.wait_for_start();
    master.signal(Signal::KILL);
    assert_eq!(master.end_of_first().signal(), Some(9));
    script.release();
    assert_eq!(master.address(), address);
    master.ready(2);
    wait_until(|| UnixStream::connect(app.control()).is_ok());
    assert!(app.workers().contains(&worker_at(address)));
    app.ask("stop").unwrap();
    master.end();
    assert!(!app.control().exists());
}

/// The new master once steered connections to its only worker before it served.
#[test]
fn a_failed_upgrade_to_fewer_workers_leaves_each_worker_its_share() {
    let app = App::new();
    let (mut master, address) = start(&app, &["--workers=3"]);
    let program = program("process_app");
    app.install_script(&format!(
        "exec {} --control {} --fail-before-ready --backoff=1 --workers=1",
        program.display(),
        app.control().display()
    ));
    app.ask("upgrade").unwrap_err();
    let mut served = HashSet::new();
    for _ in 0..1000 {
        served.insert(worker_at(address));
        if served.len() == 3 {
            break;
        }
    }
    assert_eq!(served, app.workers().into_iter().collect());
    master.signal(Signal::TERM);
    assert!(master.end().success());
}

/// The new program once bound sockets for its other workers, and connections to them were
/// never served.
#[test]
fn a_new_program_with_more_workers_takes_nothing_before_it_serves() {
    let app = App::new();
    let (mut master, address) = start(&app, &["--workers=1"]);
    let worker = worker_at(address);
    let program = program("process_app");
    app.install_script(&format!(
        "exec {} --control {} --never-ready --workers=4",
        program.display(),
        app.control().display()
    ));
    master.signal(Signal::USR2);
    // The new program gets no further than this.
    master.address();
    master.line("listening on tcp");
    for _ in 0..100 {
        assert_eq!(worker_at(address), worker);
    }
    master.signal(Signal::TERM);
    assert!(master.end().success());
}

/// As if the program had replaced its standard input before `Supervisor::new`.
#[test]
fn a_successor_that_has_lost_its_channel_is_refused() {
    let app = App::new();
    let mut command = app.command(&[]);
    command.env("CORELOOP_UPGRADE", std::process::id().to_string());
    let mut master = Master::start(command);
    master.line("CORELOOP_UPGRADE is set, but no sockets came from an old master");
    assert!(!master.end().success());
}

/// The variable of a successor reaches all programs that it starts.
#[test]
fn a_program_that_inherits_the_variable_of_a_successor_is_a_master() {
    let app = App::new();
    let mut command = app.command(&["--workers=1"]);
    command.env("CORELOOP_UPGRADE", "1");
    let mut master = Master::start(command);
    master.ready(1);
    master.signal(Signal::TERM);
    assert!(master.end().success());
}

/// With fewer workers than before, the surplus sockets are retired without a loss; with more,
/// the missing sockets are bound.
#[test]
fn the_number_of_workers_may_change() {
    for (before, after) in [("--workers=3", 1), ("--workers=1", 3)] {
        let app = App::new();
        let (mut master, address) = start(&app, &[before]);
        // Of a repeated option the last one counts.
        let program = program("process_app");
        let arguments = "listen=; for argument; do case $argument in \
                         --workers=*) ;; *) listen=\"$listen $argument\";; esac; done";
        app.install_script(&format!(
            "{arguments}; exec {} $listen --workers={after}",
            program.display()
        ));
        app.ask("upgrade").unwrap();
        assert!(master.end_of_first().success());
        app.ask(&format!("scale {after}")).unwrap();
        assert_eq!(app.workers().len(), after);
        for _ in 0..64 {
            assert!(app.workers().contains(&worker_at(address)));
        }
        app.ask("stop").unwrap();
        master.end();
    }
}

/// The kernel kept the steering of the old master, and the new master assumed another: the
/// second worker was ready and got no connection, for ever.
#[test]
fn every_worker_gets_connections_after_scaling_and_an_upgrade() {
    for kind in ["--workers=3", "--threads=3"] {
        let app = App::new();
        let mut master = Master::start(app.command(&[kind]));
        let address = master.address();
        master.ready(3);
        app.ask("scale 1").unwrap();
        app.ask("upgrade").unwrap();
        assert!(master.end_of_first().success());
        app.ask("scale 3").unwrap();
        let mut slots = HashSet::new();
        wait_until(|| {
            let line = ask_worker(address, b'p');
            slots.insert(line.split(' ').nth(1).unwrap().to_owned());
            slots.len() == 3
        });
        app.ask("stop").unwrap();
        master.end();
    }
}

/// A master that was about to be replaced bound sockets that the new one did not have, and their
/// connections were lost; and its answer was void.
#[test]
fn requests_during_an_upgrade_are_refused_and_signals_are_kept() {
    // Either master is left.
    for succeeds in [true, false] {
        let app = App::new();
        let mut master = Master::start(app.command(&["--workers=2"]));
        master.address();
        master.ready(2);
        let next = if succeeds {
            app.script(&["--workers=2"])
        } else {
            "exit 3".to_owned()
        };
        let script = app.install_held_script(&next);
        master.signal(Signal::USR2);
        script.wait_for_start();
        let why = "an upgrade is in progress: request it again when that has ended";
        assert_eq!(app.ask("scale 4").unwrap_err(), why);
        assert_eq!(app.ask("reload").unwrap_err(), why);
        master.signal(Signal::TTIN);
        master.signal(Signal::HUP);
        // Answered after the signals were handled.
        app.ask("status").unwrap();
        assert_eq!(app.workers().len(), 2);
        script.release();
        if succeeds {
            master.line("has taken over");
            assert!(master.end_of_first().success());
        } else {
            master.line("the upgrade failed: ");
        }
        master.line("there are 3 workers");
        master.line("all workers were replaced");
        app.ask("stop").unwrap();
        master.end();
    }
}

/// The new master went on to write to the files that had been renamed.
#[test]
fn usr1_during_an_upgrade_reaches_both_masters() {
    let app = App::new();
    let mut master = Master::start(app.command(&["--workers=1"]));
    master.address();
    master.ready(1);
    let script = app.install_held_script(&app.script(&["--workers=1"]));
    master.signal(Signal::USR2);
    script.wait_for_start();
    master.signal(Signal::USR1);
    master.line("the log files were reopened");
    script.release();
    master.line("has taken over");
    master.line("the log files were reopened");
    assert!(master.end_of_first().success());
    app.ask("stop").unwrap();
    master.end();
}

/// It counted as the second, and cut off what the workers of the old master finished.
#[test]
fn the_first_signal_to_an_old_master_cuts_off_no_request() {
    let app = App::new();
    let (mut master, address) = start(&app, &["--workers=1"]);
    let mut client = connect(address);
    assert!(!ask_on(&client, b'p').is_empty());
    client.write_all(b"s").unwrap();
    app.ask("upgrade").unwrap();
    master.line("has taken over");
    master.signal(Signal::TERM);
    // The signal has woken the master, which handles it before it sleeps again.
    wait_until(|| is_asleep(master.pid()));
    client.write_all(b"!").unwrap();
    let mut answer = String::new();
    BufReader::new(&client).read_line(&mut answer).unwrap();
    assert_eq!(answer, "served\n");
    drop(client);
    assert!(master.end_of_first().success());
    app.ask("stop").unwrap();
    master.end();
}

/// A link such as `current` is resolved again at each upgrade.
#[test]
fn a_link_may_be_pointed_at_the_next_version() {
    let app = App::new();
    let link = app.folder.path("current");
    symlink(app.path(), &link).unwrap();
    let mut command = Command::new(&link);
    command.args(app.arguments(&["--workers=1"]));
    let mut master = Master::start(command);
    master.address();
    master.ready(1);

    let next = app.folder.path("next");
    copy(&program("process_app"), &next);
    let other = app.folder.path("link");
    symlink(&next, &other).unwrap();
    fs::rename(other, &link).unwrap();
    app.ask("upgrade").unwrap();
    let running = fs::read_link(format!("/proc/{}/exe", app.master())).unwrap();
    assert_eq!(running, fs::canonicalize(next).unwrap());
    app.ask("stop").unwrap();
    master.end();
}

/// Starts the app with a pid file, and waits until it serves.
fn start(app: &App, arguments: &[&str]) -> (Master, SocketAddr) {
    let pid_file = app.folder.path("pid");
    let mut command = app.command(arguments);
    command.arg("--pid-file").arg(pid_file);
    let mut master = Master::start(command);
    let address = master.address();
    let mut given = arguments.iter();
    let workers = given.find_map(|argument| argument.strip_prefix("--workers="));
    master.ready(workers.unwrap().parse().unwrap());
    (master, address)
}

/// Upgrades to a script that fails, and checks that the old master continues as before.
fn fails(script: &str, arguments: &[&str], why: &str) {
    fails_on(&App::new(), script, arguments, why);
}

fn fails_on(app: &App, script: &str, arguments: &[&str], why: &str) {
    let (mut master, address) = start(app, &[&["--workers=1"], arguments].concat());
    let worker = worker_at(address);
    let mut client = connect(address);
    exchange(&mut client, b"1");
    app.install_script(script);
    let error = app.ask("upgrade").unwrap_err();
    assert!(error.contains(why), "{script}: {error}");
    master.line("the upgrade failed: ");
    exchange(&mut client, b"2");
    serves_on(app, &mut master, address, worker);
    drop(client);

    // Another upgrade succeeds.
    app.install(&program("process_app"));
    app.ask("upgrade").unwrap();
    assert!(master.end_of_first().success());
    app.ask("stop").unwrap();
    master.end();
}

/// Returns the worker that serves a connection.
fn worker_on(stream: &TcpStream) -> Pid {
    let line = ask_on(stream, b'p');
    let (pid, _) = line.split_once(' ').unwrap();
    Pid::from_raw(pid.parse().unwrap()).unwrap()
}

/// Checks that the same master has the same worker.
fn serves_on(app: &App, master: &mut Master, address: SocketAddr, worker: Pid) {
    assert_eq!(app.master(), master.pid());
    assert_eq!(app.workers(), [worker]);
    assert_eq!(worker_at(address), worker);
    let pid = fs::read_to_string(app.folder.path("pid")).unwrap();
    assert_eq!(pid, format!("{}\n", master.pid()));
}
