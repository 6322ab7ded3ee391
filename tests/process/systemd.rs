//! What systemd gives to a service and hears of it, by a stand-in for it.
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

/// Descriptor 3 is another's, 4 is the socket.
const ACTIVATE: &str = "export LISTEN_PID=${PID:-$$}; exec \"$@\" 3<\"$OTHER\" 4<&0 0</dev/null";

/// The supervisor serves the socket of `LISTEN_FDS` that has the name, leaves the others
/// to the program, and hides the variables from workers.
#[test]
fn a_socket_of_systemd_is_served_by_its_name_and_is_all_that_is_taken() {
    let app = App::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut master = activated(&app, &["--workers=2", "--activated=web"], None, listener);
    assert_eq!(master.address(), address);
    master.ready(2);

    assert_eq!(ask_worker(address, b'v'), "CORELOOP_WORKER");
    // What was not asked for is the program's, and no worker's.
    let other = app.folder.path("other");
    assert!(holds(master.pid(), &other));
    assert!(app.workers().iter().all(|worker| !holds(*worker, &other)));

    // The new master gets it from the old one, as LISTEN_PID is not its own.
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

/// Sockets are not taken by a process whose number is not `LISTEN_PID`, because they are
/// meant for another one.
#[test]
fn sockets_of_another_process_are_not_taken() {
    let app = App::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut master = activated(&app, &["--activated=web"], Some("1"), listener);
    master.line("no socket is called `web`: LISTEN_FDS brings none to this process");
    assert!(!master.end().success());
}

#[test]
fn what_is_not_a_socket_that_listens_is_refused() {
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

/// The service manager gets each message of its protocol, in the order of what happens:
/// ready, reloading, an upgrade that fails, the main process after one that succeeds, the
/// end.
#[test]
fn systemd_has_a_message_of_each_step_in_order() {
    let app = App::new();
    let path = app.folder.path("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    hears_of_each_step(&app, path.to_str().unwrap(), &systemd);
}

#[test]
fn systemd_may_be_at_an_abstract_address() {
    let name = format!("coreloop-systemd-{}", process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let systemd = UnixDatagram::bind_addr(&address).unwrap();
    hears_of_each_step(&App::new(), &format!("@{name}"), &systemd);
}

fn hears_of_each_step(app: &App, address: &str, systemd: &UnixDatagram) {
    systemd.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = app.command(&["--workers=1"]);
    command.env("NOTIFY_SOCKET", address);
    let mut master = Master::start(command);
    let server = master.address();
    assert_eq!(hear(systemd), "READY=1");
    // It was true.
    assert_eq!(app.workers().len(), 1);
    assert_eq!(ask_worker(server, b'v'), "CORELOOP_WORKER");

    master.signal(Signal::HUP);
    assert_reloading(&hear(systemd));
    assert_eq!(hear(systemd), "STATUS=all workers were replaced");
    assert_eq!(hear(systemd), "READY=1");

    // An upgrade that fails ends as a reload does.
    app.install_script("exit 1");
    master.signal(Signal::USR2);
    assert_reloading(&hear(systemd));
    assert!(hear(systemd).starts_with("STATUS=the upgrade failed: "));
    assert_eq!(hear(systemd), "READY=1");

    // For one that succeeds the old main process has the last word, before it ends;
    // what the new one says may come before or after.
    app.install(&program("process_app"));
    master.signal(Signal::USR2);
    assert_reloading(&hear(systemd));
    let mut words = [hear(systemd), hear(systemd)];
    words.sort();
    let main = format!("MAINPID={}\nREADY=1", app.master());
    assert_eq!(words, [main, "READY=1".to_owned()]);
    assert!(master.end_of_first().success());

    app.ask("stop").unwrap();
    assert_eq!(hear(systemd), "STOPPING=1");
    master.end();
}

#[test]
fn the_watchdog_is_fed_if_it_is_asked_for() {
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
        match hear(&systemd).as_str() {
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

/// Whether the process has the file open.
fn holds(process: Pid, file: &Path) -> bool {
    descriptors(process)
        .iter()
        .any(|open| Path::new(open) == file)
}

fn hear(systemd: &UnixDatagram) -> String {
    let mut buffer = [0; 1024];
    // With a timeout the kernel does not go on by itself after an interruption.
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
