//! The workers of the quick start's server, as processes and as threads.
#![cfg(not(miri))]

use std::io::BufRead;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use coreloop_test_support::program::{Server, connect, exchange, program};

#[test]
fn processes_and_threads_serve_alike() {
    for kind in ["--workers", "--threads"] {
        let mut server = Server::start("echo_server", &["--addr", "127.0.0.1:0", kind, "2"]);
        let address = server.read_address();
        let mut clients: Vec<_> = (0..8).map(|_| connect(address)).collect();
        for client in &mut clients {
            assert_eq!(exchange(client, b"hello"), b"hello");
        }
        server.interrupt();
        // No connection is cut off, so each client ends by itself.
        for client in &mut clients {
            assert_eq!(exchange(client, b"bye"), b"bye");
        }
        drop(clients);
        let said = server.finish();
        let counts: Vec<_> = said.lines().map(connections).collect();
        assert_eq!(counts.len(), 2, "{said}");
        assert_eq!(counts.iter().sum::<u64>(), 8, "{said}");
    }
}

#[test]
fn a_reload_refuses_and_cuts_off_no_connection() {
    for kind in ["--workers", "--threads"] {
        let mut server = Server::start("echo_server", &["--addr", "127.0.0.1:0", kind, "2"]);
        let address = server.read_address();
        // The signal is sent after the master has installed its handlers.
        assert_eq!(exchange(&mut connect(address), b"there?"), b"there?");
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let clients = [(); 4].map(|()| {
                scope.spawn(|| {
                    let mut served = 0;
                    while !over.load(Ordering::SeqCst) {
                        assert_eq!(exchange(&mut connect(address), b"hello"), b"hello");
                        served += 1;
                    }
                    served
                })
            });
            let _over = SetOnDrop(&over);
            let mut served = 0;
            for _ in 0..3 {
                kill("-HUP", server.process.id());
                // Each of the two workers reports when it has ended.
                for _ in 0..2 {
                    let mut line = String::new();
                    server.output.read_line(&mut line).unwrap();
                    served += connections(&line);
                }
            }
            over.store(true, Ordering::SeqCst);
            let asked: u64 = clients.map(|client| client.join().unwrap()).iter().sum();
            server.interrupt();
            served += server.finish().lines().map(connections).sum::<u64>();
            assert_eq!(served, asked + 1);
        });
    }
}

/// As if the program had read or replaced its standard input before `Supervisor::new`. If it took
/// itself for a master, it would start workers that do the same.
#[test]
fn a_worker_that_has_lost_its_channel_reports_what_is_wrong() {
    let output = Command::new(program("echo_server"))
        .args(["--addr", "127.0.0.1:0", "--workers", "1"])
        .env("CORELOOP_WORKER", format!("{} 0:0", std::process::id()))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("the standard input is no channel"), "{said}");
}

/// Parses how many connections a worker reports to have served.
fn connections(line: &str) -> u64 {
    let (_, count) = line.split_once("served ").unwrap();
    count.split(' ').next().unwrap().parse().unwrap()
}

fn kill(signal: &str, process: u32) {
    let mut command = Command::new("kill");
    let status = command.args([signal, &process.to_string()]).status();
    assert!(status.unwrap().success());
}

/// Kills the clients even if a test fails.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::net::SocketAddr;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// Returns the processes that a process has started.
    fn children(process: u32) -> Vec<u32> {
        let path = format!("/proc/{process}/task/{process}/children");
        let children = fs::read_to_string(path).unwrap();
        let numbers = children.split_whitespace();
        numbers.map(|number| number.parse().unwrap()).collect()
    }

    /// Starts a server with one worker, and waits until it serves. Returns their process ids.
    fn one_worker() -> (Server, SocketAddr, u32, u32) {
        let mut server = Server::start("echo_server", &["--addr", "127.0.0.1:0", "--workers", "1"]);
        let address = server.read_address();
        assert_eq!(exchange(&mut connect(address), b"there?"), b"there?");
        let master = server.process.id();
        let [worker] = children(master)[..] else {
            panic!("not one worker: {:?}", children(master));
        };
        (server, address, master, worker)
    }

    #[test]
    fn a_worker_process_is_prepared() {
        let (_server, _, _, worker) = one_worker();
        let name = fs::read_to_string(format!("/proc/{worker}/comm")).unwrap();
        assert_eq!(name, "echo_server 0\n");
        let input = fs::read_link(format!("/proc/{worker}/fd/0")).unwrap();
        assert_eq!(input.to_str(), Some("/dev/null"));
        let status = fs::read_to_string(format!("/proc/{worker}/status")).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = u64::from_str_radix(caught.unwrap().trim(), 16).unwrap();
        // HUP, INT, QUIT, USR2, TERM, TTIN, TTOU: none of them ends the worker at once.
        for signal in [1, 2, 3, 12, 15, 21, 22] {
            assert_ne!(caught & (1 << (signal - 1)), 0, "signal {signal}: {status}");
        }
        // Children of a worker do not inherit that it ignores signals.
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let ignored = u64::from_str_radix(ignored.unwrap().trim(), 16).unwrap();
        assert_eq!(ignored & (1 << (2 - 1)), 0, "{status}");
    }

    /// A script between them may have created the namespace. For the worker the master has the
    /// id 0, which was once read into a number that cannot be zero: "Success (os error 0)".
    #[test]
    fn a_worker_in_another_namespace_than_its_master_reports_it() {
        let (input, _master) = UnixStream::pair().unwrap();
        let output = Command::new("unshare")
            .args(["--user", "--map-root-user", "--pid", "--fork"])
            .arg(program("echo_server"))
            .args(["--addr", "127.0.0.1:0", "--workers", "1"])
            .env("CORELOOP_WORKER", mark(&input))
            .stdin(OwnedFd::from(input))
            .output();
        let said = output.map(|output| String::from_utf8(output.stderr).unwrap());
        match said {
            Ok(said) if !said.starts_with("unshare:") => {
                assert!(
                    said.contains("in the PID namespace of this process"),
                    "{said}"
                );
            }
            _ => eprintln!("skipped: no user and PID namespaces are available here"),
        }
    }

    /// Returns the value by which a worker knows that it is one.
    fn mark(input: &UnixStream) -> String {
        let socket = rustix::fs::fstat(input).unwrap();
        format!("0 {}:{}", socket.st_dev, socket.st_ino)
    }

    #[test]
    fn a_worker_that_gets_a_signal_to_end_drains_and_is_replaced() {
        let (mut server, address, _master, worker) = one_worker();
        let mut open = connect(address);
        assert_eq!(exchange(&mut open, b"open"), b"open");
        kill("-INT", worker);
        kill("-TERM", worker);
        // The successor serves connections from now on, whether or not it was ready before.
        assert_eq!(exchange(&mut connect(address), b"new"), b"new");
        assert_eq!(exchange(&mut open, b"still open"), b"still open");
        drop(open);
        server.interrupt();
        server.finish();
    }
}
