//! Socket activation by systemd and the messages to it, with a stand-in for systemd.
#![cfg(all(target_os = "linux", not(miri)))]

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::{self, Command};

use coreloop_test_support::deadline::Deadline;
use coreloop_test_support::process::master::{App, Master, ask_worker, worker_at};
use coreloop_test_support::process::proc::descriptors;
use coreloop_test_support::program::{PATIENCE, program};
use rustix::process::{Pid, Signal};

/// Descriptor 3 is another file, descriptor 4 is the socket.
const ACTIVATE: &str = "export LISTEN_PID=${PID:-$$}; exec \"$@\" 3<\"$OTHER\" 4<&0 0</dev/null";

/// The supervisor serves the socket of `LISTEN_FDS` that has the name, leaves the others
/// to the program, and hides the variables from workers.
#[test]
fn an_activated_socket_is_taken_by_its_name_and_no_other_descriptor_is() {
    let app = App::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut master = activated(&app, &["--workers=2", "--activated=web"], None, listener);
    assert_eq!(master.address(), address);
    master.ready(2);

    assert_eq!(ask_worker(address, b'v'), "CORELOOP_WORKER");
    // The program keeps the descriptor that was not taken, and no worker gets it.
    let other = app.folder.path("other");
    assert!(holds(master.pid(), &other));
    assert!(app.workers().iter().all(|worker| !holds(*worker, &other)));

    // The new master gets the socket from the old one, as LISTEN_PID is not its id.
    app.ask("upgrade").unwrap();
    assert!(master.end_of_first().success());
    assert!(app.workers().contains(&worker_at(address)));
    assert!(!holds(app.master(), &other));
    app.ask("stop").unwrap();
    master.end();
}

#[test]
fn a_socket_may_be_named_by_its_position() {
    let app = App::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut master = activated(&app, &["--workers=1", "--activated=1"], None, listener);
    master.ready(1);
    assert_eq!(app.workers(), [worker_at(address)]);
    master.signal(Signal::TERM);
    assert!(master.end().success());
}

/// A process whose id is not `LISTEN_PID` does not take the sockets, because they are meant
/// for another process.
#[test]
fn sockets_of_another_process_are_not_taken() {
    let app = App::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut master = activated(&app, &["--activated=web"], Some("1"), listener);
    master.line("no socket is called `web`: LISTEN_FDS brings none to this process");
    assert!(!master.end().success());
}

#[test]
fn a_descriptor_that_is_not_a_listening_socket_is_refused() {
    for (name, why) in [
        ("other", "socket `other` of LISTEN_FDS is not a socket"),
        (
            "admin",
            "no socket is called `admin`: LISTEN_FDNAMES has other, web",
        ),
    ] {
        let app = App::new();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let named = format!("--activated={name}");
        let mut master = activated(&app, &[&named], None, listener);
        master.line(why);
        assert!(!master.end().success());
    }
}

/// The service manager gets a message for each step, in order: ready, a reload, an upgrade
/// that fails, the new main process after an upgrade that succeeds, the end.
#[test]
fn systemd_gets_a_message_for_each_step_in_order() {
    let app = App::new();
    let path = app.folder.path("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    check_each_step(&app, path.to_str().unwrap(), &systemd);
}

#[test]
fn systemd_may_be_at_an_abstract_address() {
    let name = format!("coreloop-systemd-{}", process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let systemd = UnixDatagram::bind_addr(&address).unwrap();
    check_each_step(&App::new(), &format!("@{name}"), &systemd);
}

fn check_each_step(app: &App, address: &str, systemd: &UnixDatagram) {
    systemd.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = app.command(&["--workers=1"]);
    command.env("NOTIFY_SOCKET", address);
    let mut master = Master::start(command);
    let server = master.address();
    assert_eq!(receive(systemd), "READY=1");
    // The message was true.
    assert_eq!(app.workers().len(), 1);
    assert_eq!(ask_worker(server, b'v'), "CORELOOP_WORKER");

    master.signal(Signal::HUP);
    assert_reloading(&receive(systemd));
    assert_eq!(receive(systemd), "STATUS=all workers were replaced");
    assert_eq!(receive(systemd), "READY=1");

    // An upgrade that fails ends like a reload.
    app.install_script("exit 1");
    master.signal(Signal::USR2);
    assert_reloading(&receive(systemd));
    assert!(receive(systemd).starts_with("STATUS=the upgrade failed: "));
    assert_eq!(receive(systemd), "READY=1");

    // After an upgrade that succeeds, the old main process sends its last message, and the
    // new one sends none until then: systemd accepts messages of the main process only. The new
    // one once sent `READY=1`, which the journal reported as an error.
    app.install(&program("process_app"));
    master.signal(Signal::USR2);
    assert_reloading(&receive(systemd));
    let last = receive(systemd);
    let main = format!("MAINPID={}\nREADY=1\nWATCHDOG=1", app.master());
    assert_eq!(last, main);
    assert!(master.end_of_first().success());

    app.ask("stop").unwrap();
    assert_eq!(receive(systemd), "STOPPING=1");
    master.end();
}

/// A reload that was requested during a reload is answered by the second pass. The service
/// manager once got `READY=1` after the first pass, and reported a reload as done whose
/// workers had not been started yet.
#[test]
fn systemd_learns_that_a_reload_is_done_after_the_last_pass() {
    let (app, mut master, systemd) = with_gates();
    master.signal(Signal::HUP);
    assert_reloading(&receive(&systemd));
    // The first pass waits for its worker.
    master.signal(Signal::HUP);
    assert_reloading(&receive(&systemd));
    for generation in 1..=2 {
        app.open_gate(0, generation);
        assert_eq!(receive(&systemd), "STATUS=all workers were replaced");
    }
    assert_eq!(receive(&systemd), "READY=1");
    master.signal(Signal::TERM);
    assert!(master.end().success());
}

/// The program is ready again when both the reload and the upgrade have ended, whichever
/// ends first.
#[test]
fn systemd_learns_that_the_program_is_ready_after_a_reload_and_an_upgrade() {
    for upgrade_ends_first in [true, false] {
        let (app, mut master, systemd) = with_gates();
        let go = app.folder.path("go");
        app.install_script(&format!(
            "until [ -e {} ]; do sleep 0.01; done; exit 1",
            go.display()
        ));
        master.signal(Signal::HUP);
        assert_reloading(&receive(&systemd));
        master.signal(Signal::USR2);
        assert_reloading(&receive(&systemd));
        let end_upgrade = || {
            fs::write(&go, "").unwrap();
            assert!(receive(&systemd).starts_with("STATUS=the upgrade failed: "));
        };
        let end_reload = || {
            app.open_gate(0, 1);
            assert_eq!(receive(&systemd), "STATUS=all workers were replaced");
        };
        if upgrade_ends_first {
            end_upgrade();
            end_reload();
        } else {
            end_reload();
            end_upgrade();
        }
        assert_eq!(receive(&systemd), "READY=1");
        master.signal(Signal::TERM);
        assert!(master.end().success());
    }
}

/// Starts an app whose later workers wait for their gates, and waits until it is ready.
fn with_gates() -> (App, Master, UnixDatagram) {
    let app = App::new();
    let path = app.folder.path("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = app.command(&["--workers=1", &app.gates()]);
    command.env("NOTIFY_SOCKET", &path);
    let mut master = Master::start(command);
    master.address();
    assert_eq!(receive(&systemd), "READY=1");
    (app, master, systemd)
}

#[test]
fn the_watchdog_gets_messages_if_it_is_enabled() {
    let app = App::new();
    let path = app.folder.path("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = app.command(&["--workers=1"]);
    command
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "100000");
    let mut master = Master::start(command);
    let (mut fed, mut is_ready) = (0, false);
    let deadline = Deadline::new();
    while fed < 3 || !is_ready {
        deadline.check();
        match receive(&systemd).as_str() {
            "WATCHDOG=1" => fed += 1,
            words => {
                assert_eq!((words, is_ready), ("READY=1", false));
                is_ready = true;
            }
        }
    }
    master.signal(Signal::TERM);
    assert!(master.end().success());
}

/// A container or a virtual machine may hand on a variable whose socket is not there.
#[test]
fn a_service_manager_that_is_not_there_is_reported_once() {
    for address in ["/run/no/such/notify", "vsock:2:1234", "@coreloop-nowhere"] {
        let app = App::new();
        let mut command = app.command(&["--workers=1"]);
        command.env("NOTIFY_SOCKET", address);
        let mut master = Master::start(command);
        let words = format!("the service manager cannot be notified: NOTIFY_SOCKET is {address}: ");
        master.line(&words);
        master.ready(1);
        master.signal(Signal::HUP);
        master.line("all workers were replaced");
        app.ask("upgrade").unwrap();
        assert!(master.end_of_first().success());
        app.ask("stop").unwrap();
        master.end();
        let reports = master.seen().into_iter();
        // The new master reports it too.
        assert_eq!(reports.filter(|line| line.contains(&words)).count(), 2);
    }
}

/// The old master could once not be upgraded any more.
#[test]
fn a_service_manager_that_ends_stops_no_upgrade() {
    let app = App::new();
    let path = app.folder.path("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    let mut command = app.command(&["--workers=1"]);
    command.env("NOTIFY_SOCKET", &path);
    let mut master = Master::start(command);
    master.ready(1);
    drop(systemd);
    fs::remove_file(&path).unwrap();
    app.ask("upgrade").unwrap();
    assert!(master.end_of_first().success());
    app.ask("stop").unwrap();
    master.end();
}

/// Starts the app as systemd does, with a file and a listener from descriptor 3 on.
fn activated(app: &App, arguments: &[&str], pid: Option<&str>, listener: TcpListener) -> Master {
    let other = app.folder.path("other");
    fs::write(&other, "").unwrap();
    let mut command = Command::new("sh");
    command
        .args(["-c", ACTIVATE, "sh"])
        .arg(app.path())
        .args(app.arguments(arguments))
        .env("OTHER", other)
        .env("LISTEN_FDS", "2")
        .env("LISTEN_FDNAMES", "other:web");
    if let Some(pid) = pid {
        command.env("PID", pid);
    }
    Master::start_with(command, OwnedFd::from(listener).into())
}

/// Returns whether the process has the file open.
fn holds(process: Pid, file: &Path) -> bool {
    descriptors(process)
        .iter()
        .any(|open| Path::new(open) == file)
}

fn receive(systemd: &UnixDatagram) -> String {
    let mut buffer = [0; 1024];
    // The kernel does not restart a receive that has a timeout after an interruption.
    let count = loop {
        match systemd.recv(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            received => break received.unwrap(),
        }
    };
    str::from_utf8(&buffer[..count]).unwrap().to_owned()
}

fn assert_reloading(words: &str) {
    let since = words.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
    assert!(
        since.is_some_and(|since| since.parse::<u64>().is_ok()),
        "{words}"
    );
}
