//! Workers that have no descriptors left. The numbers are those of the list of
//! failures that a supervisor has to cope with.
#![cfg(all(target_os = "linux", not(miri)))]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use coreloop_test_support::process::master::{Master, ask_on};
use coreloop_test_support::program::{PATIENCE, connect, program};
use rustix::process::{Pid, Signal, kill_process};

/// Of each process.
const DESCRIPTORS: &str = "64";

fn start(arguments: &[&str]) -> (Master, SocketAddr) {
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -n $0 && exec \"$@\"", DESCRIPTORS])
        .arg(program("process_app"))
        .args(arguments);
    let mut app = Master::start(command);
    let address = app.address();
    (app, address)
}

/// Connects until a worker accepts no more, which is when one of several clients has no
/// answer for a while. The first are those that were answered.
fn exhaust(address: SocketAddr) -> (Vec<(Pid, TcpStream)>, Vec<TcpStream>) {
    let (mut served, mut waiting) = (Vec::new(), Vec::new());
    while waiting.len() < 8 {
        let mut stream = connect(address);
        stream.write_all(b"p").unwrap();
        let mut answer = [0; 64];
        let while_it_may_take = Some(Duration::from_millis(300));
        stream.set_read_timeout(while_it_may_take).unwrap();
        match stream.read(&mut answer) {
            Ok(count) => {
                let text = str::from_utf8(&answer[..count]).unwrap();
                let pid = text.split(' ').next().unwrap().parse().unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                served.push((Pid::from_raw(pid).unwrap(), stream));
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                waiting.push(stream);
            }
        }
    }
    (served, waiting)
}

/// 24.
#[test]
fn a_worker_without_descriptors_goes_on_as_soon_as_it_has_some() {
    let (mut app, address) = start(&["--workers", "1"]);
    app.ready(1);
    for _ in 0..3 {
        let (served, waiting) = exhaust(address);
        assert!(served.len() > 20, "{}", served.len());
        drop(served);
        for mut stream in waiting {
            assert_ne!(stream.read(&mut [0; 64]).unwrap(), 0);
        }
    }
    app.signal(Signal::TERM);
    assert!(app.end().success());
    assert!(app.seen().iter().all(|line| !line.contains("killed")));
}

/// 24, and 7: it has no room for the sockets of a sibling that is down. It took that
/// for the end of its master, and ended with all its connections.
#[test]
fn a_worker_without_descriptors_serves_on_though_a_sibling_is_down() {
    let long = ["--backoff=600000", "--longest-backoff=600000"];
    let (mut app, address) = start(&[&["--workers=2", "--restarts=0"], &long[..]].concat());
    app.ready(2);
    // Chance gives more to one of them, so both have no room a little later.
    let (mut served, mut waiting) = exhaust(address);
    loop {
        let (more, others) = exhaust(address);
        waiting.extend(others);
        if more.is_empty() {
            break;
        }
        served.extend(more);
    }
    let down = served[0].0;
    kill_process(down, Signal::KILL).unwrap();
    app.line("is started again in ");
    app.line("there is no room for their descriptors");
    for (pid, stream) in served.iter().filter(|(pid, _)| *pid != down) {
        assert!(ask_on(stream, b'p').starts_with(&format!("{pid} ")));
    }
    drop((served, waiting));
    app.signal(Signal::TERM);
    assert!(app.end().success());
}
