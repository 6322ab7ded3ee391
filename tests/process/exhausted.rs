//! Workers that have no free descriptors.
#![cfg(all(target_os = "linux", not(miri)))]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use coreloop_test_support::deadline::{Deadline, wait_until};
use coreloop_test_support::process::master::{Master, ask_on};
use coreloop_test_support::process::proc::{children, descriptors, is_asleep};
use coreloop_test_support::program::{connect, program};
use rustix::process::{Pid, Signal, kill_process};

/// The limit of descriptors of each process.
const DESCRIPTORS: usize = 64;

fn start(arguments: &[&str]) -> (Master, SocketAddr) {
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -n $0 && exec \"$@\""])
        .arg(DESCRIPTORS.to_string())
        .arg(program("process_app"))
        .args(arguments);
    let mut app = Master::start(command);
    let address = app.address();
    (app, address)
}

fn is_full(worker: Pid) -> bool {
    descriptors(worker).len() == DESCRIPTORS
}

/// Connects until the workers accept no more, and eight times more. Returns the connections
/// that were answered, with the worker, and the others.
fn exhaust(address: SocketAddr, workers: &[Pid]) -> (Vec<(Pid, TcpStream)>, Vec<TcpStream>) {
    let (mut served, mut waiting) = (Vec::new(), Vec::new());
    let deadline = Deadline::new();
    while !workers.iter().all(|&worker| is_full(worker)) {
        deadline.check();
        let stream = ask(address);
        stream.set_nonblocking(true).unwrap();
        // Either it is answered, or it may have come to a worker that is full.
        let is_answered = || stream.peek(&mut [0]).is_ok();
        wait_until(|| is_answered() || workers.iter().any(|&worker| is_full(worker)));
        let is_answered = is_answered();
        stream.set_nonblocking(false).unwrap();
        if is_answered {
            served.push((answer(&stream), stream));
        } else {
            waiting.push(stream);
        }
    }
    waiting.extend((0..8).map(|_| ask(address)));
    // A full worker that is asleep has tried to accept and failed, as its queue is not empty.
    wait_until(|| {
        workers
            .iter()
            .all(|&worker| is_full(worker) && is_asleep(worker))
    });
    (served, waiting)
}

fn ask(address: SocketAddr) -> TcpStream {
    let mut stream = connect(address);
    stream.write_all(b"p").unwrap();
    stream
}

/// Reads which process answers.
fn answer(mut stream: &TcpStream) -> Pid {
    let mut answer = [0; 64];
    let count = stream.read(&mut answer).unwrap();
    let text = str::from_utf8(&answer[..count]).unwrap();
    Pid::from_raw(text.split(' ').next().unwrap().parse().unwrap()).unwrap()
}

/// A worker that could not accept for lack of descriptors accepts as soon as it has some,
/// although the kernel does not report the same connections again.
#[test]
fn a_worker_without_descriptors_accepts_again_as_soon_as_it_has_some() {
    let (mut app, address) = start(&["--workers", "1"]);
    app.ready(1);
    let workers = children(app.pid());
    for _ in 0..3 {
        let (served, waiting) = exhaust(address, &workers);
        assert!(served.len() > 20, "{}", served.len());
        drop(served);
        for stream in waiting {
            assert_eq!(answer(&stream), workers[0]);
        }
    }
    app.signal(Signal::TERM);
    assert!(app.end().success());
    assert!(app.seen().iter().all(|line| !line.contains("killed")));
}

/// A worker without descriptors has no room for the sockets of a worker that is down, and
/// continues with its own. It once took the lack for the end of its master, and ended with
/// all its connections.
#[test]
fn a_worker_without_descriptors_continues_while_another_is_down() {
    let long = ["--backoff=600000", "--longest-backoff=600000"];
    let (mut app, address) = start(&[&["--workers=2", "--restarts=0"], &long[..]].concat());
    app.ready(2);
    let (served, waiting) = exhaust(address, &children(app.pid()));
    let down = served[0].0;
    kill_process(down, Signal::KILL).unwrap();
    app.line("is started again in ");
    app.line("there is no room for their descriptors");
    let mut others = served.iter().filter(|(pid, _)| *pid != down).peekable();
    assert!(others.peek().is_some());
    for (pid, stream) in others {
        assert!(ask_on(stream, b'p').starts_with(&format!("{pid} ")));
    }
    drop((served, waiting));
    app.signal(Signal::TERM);
    assert!(app.end().success());
}
