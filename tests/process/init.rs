//! Process 1 of a container, in a PID namespace. Where namespaces are not allowed, the tests
//! print that and do nothing.
#![cfg(all(target_os = "linux", not(miri)))]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use coreloop_test_support::deadline::{wait_for, wait_until};
use coreloop_test_support::process::master::{App, Master, ask_worker, worker_at};
use coreloop_test_support::process::proc::children;
use coreloop_test_support::program::{connect, exchange};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

const UNSHARE: [&str; 4] = ["-Upf", "--map-root-user", "--mount-proc", "--"];

/// The kernel ignores a signal to process 1 that has no handler. So the first process of a
/// container forwards signals to the master, its child, which stops.
#[test]
fn process_1_is_not_the_master_and_stops_it_by_a_signal() {
    for signal in [Signal::TERM, Signal::INT] {
        let Some((mut container, app, address)) = start(&["--workers=1"]) else {
            return;
        };
        assert_ne!(app.master(), Pid::INIT);
        let mut client = connect(address);
        exchange(&mut client, b"1");
        kill_process(container.init(), signal).unwrap();
        assert_eq!(container.master.end().code(), Some(0));
    }
}

#[test]
fn signals_reach_the_master() {
    let Some((mut container, app, address)) = start(&["--workers=1"]) else {
        return;
    };
    let before = worker_at(address);
    kill_process(container.init(), Signal::HUP).unwrap();
    container.master.line("all workers were replaced");
    // The old worker may accept another connection until it reads the message to drain.
    wait_until(|| worker_at(address) != before);
    kill_process(container.init(), Signal::TTIN).unwrap();
    container.master.line("there are 2 workers");
    kill_process(container.init(), Signal::TTOU).unwrap();
    container.master.line("there are 1 workers");
    app.ask("stop").unwrap();
    assert_eq!(container.master.end().code(), Some(0));
}

/// Process 1 reaps an orphan, which becomes its child when the parent ends.
#[test]
fn orphans_are_reaped() {
    let Some((mut container, app, address)) = start(&["--workers=1"]) else {
        return;
    };
    let init = container.init();
    let within = ask_worker(address, b'd');
    assert!(within.parse::<u32>().unwrap() > 1, "{within}");
    // Its parent is process 1 now, which the namespace of the test shows too.
    let orphan = wait_for(|| {
        let mut children = children(init).into_iter();
        children.find(|&child| is_called(child, "sleep"))
    });
    kill_process(orphan, Signal::KILL).unwrap();
    // There is no event for the reaping of a process.
    wait_until(|| test_kill_process(orphan).is_err());
    app.ask("stop").unwrap();
    assert_eq!(container.master.end().code(), Some(0));
}

#[test]
fn init_ends_with_the_status_of_the_master() {
    let failing = ["--workers=1", "--fail-before-ready", "--backoff=1"];
    let Some((mut container, _app)) = launch(&failing) else {
        return;
    };
    assert_eq!(container.master.end().code(), Some(1));

    let (mut container, _app, _) = start(&["--workers=1"]).unwrap();
    let masters = children(container.init());
    assert_eq!(masters.len(), 1);
    kill_process(masters[0], Signal::KILL).unwrap();
    assert_eq!(container.master.end().code(), Some(128 + 9));
}

#[test]
fn init_continues_with_the_new_master_of_an_upgrade() {
    let Some((mut container, app, address)) = start(&["--workers=1"]) else {
        return;
    };
    for _ in 0..2 {
        let old = children(container.init());
        app.ask("upgrade").unwrap();
        // Once the old master is reaped, the new one is the only child.
        wait_until(|| {
            let masters = children(container.init());
            masters.len() == 1 && masters != old
        });
        assert_eq!(ask_worker(address, b'v'), "CORELOOP_WORKER");
    }
    kill_process(container.init(), Signal::TERM).unwrap();
    assert_eq!(container.master.end().code(), Some(0));
}

/// The old master, which still has a connection, is asked to stop. The request is for the new
/// master too.
#[test]
fn a_stop_during_an_upgrade_stops_both_masters() {
    let Some((mut container, app, address)) = start(&["--workers=1"]) else {
        return;
    };
    let _client = hold_worker(address);
    app.ask("upgrade").unwrap();
    kill_process(container.init(), Signal::TERM).unwrap();
    assert_eq!(container.master.end().code(), Some(0));
}

/// They once reached only the old master, which has no use for them while it drains.
#[test]
fn signals_during_an_upgrade_reach_the_new_master() {
    let Some((mut container, app, address)) = start(&["--workers=1", "--drain=60000"]) else {
        return;
    };
    let client = hold_worker(address);
    app.ask("upgrade").unwrap();
    container.master.line("has taken over");
    container.master.ready(1);
    // The old master drains as long as the client is connected.
    kill_process(container.init(), Signal::HUP).unwrap();
    container.master.line("all workers were replaced");
    kill_process(container.init(), Signal::TTIN).unwrap();
    container.master.line("there are 2 workers");
    assert_eq!(app.workers().len(), 2);

    // One signal drains the new master, although the old one gets it too.
    let mut slow = connect(address);
    exchange(&mut slow, b"1");
    slow.write_all(b"w").unwrap();
    kill_process(container.init(), Signal::TERM).unwrap();
    let mut answer = String::new();
    BufReader::new(slow).read_line(&mut answer).unwrap();
    assert_eq!(answer, "waited\n");
    drop(client);
    assert_eq!(container.master.end().code(), Some(0));
}

/// The workers of the old master have ended, but a client does not take its answers. Signals
/// that came in that second were lost.
#[test]
fn signals_reach_the_new_master_while_the_old_one_waits_for_its_last_client() {
    let Some((mut container, app, address)) = start(&["--workers=1", "--drain=60000"]) else {
        return;
    };
    let client = hold_worker(address);
    let mut deaf = UnixStream::connect(app.control()).unwrap();
    deaf.set_nonblocking(true).unwrap();
    wait_until(|| deaf.write(b"help\n").is_err());
    app.ask("upgrade").unwrap();
    container.master.line("has taken over");
    container.master.ready(1);
    drop(client);
    container.master.line(" ended");
    kill_process(container.init(), Signal::HUP).unwrap();
    container.master.line("all workers were replaced");
    kill_process(container.init(), Signal::TERM).unwrap();
    assert_eq!(container.master.end().code(), Some(0));
}

/// Returns a connection that keeps its worker from ending.
fn hold_worker(address: SocketAddr) -> TcpStream {
    let mut client = connect(address);
    exchange(&mut client, b"1");
    client.write_all(b"s").unwrap();
    client
}

struct Container {
    /// The process that creates the namespace, and waits for its process 1.
    master: Master,
}

impl Container {
    /// Returns process 1, by its id outside of the namespace.
    fn init(&self) -> Pid {
        let children = children(self.master.pid());
        assert_eq!(children.len(), 1);
        children[0]
    }
}

fn start(arguments: &[&str]) -> Option<(Container, App, SocketAddr)> {
    let (mut container, app) = launch(arguments)?;
    let address = container.master.address();
    container.master.ready(1);
    Some((container, app, address))
}

fn launch(arguments: &[&str]) -> Option<(Container, App)> {
    let mut probe = Command::new("unshare");
    probe.args(UNSHARE).arg("true").stderr(Stdio::null());
    if !probe.status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: no user and PID namespaces are available here");
        return None;
    }
    let app = App::new();
    let mut command = Command::new("unshare");
    command
        .args(UNSHARE)
        .arg(app.path())
        .args(app.arguments(arguments));
    let master = Master::start(command);
    Some((Container { master }, app))
}

fn is_called(process: Pid, name: &str) -> bool {
    let found = fs::read_to_string(format!("/proc/{process}/comm")).unwrap();
    found.trim_end() == name
}
