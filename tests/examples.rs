//! The examples, as a user meets them. The echo server of the quick start is
//! started, talked to, and stopped with Ctrl-C.
#![cfg(all(feature = "net", not(miri)))]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Nothing here takes long: this only turns a hang into a failure.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn echoes_and_sums_up_on_ctrl_c() {
    let mut server = Server::start();
    let address = server.read_address();

    let mut first = connect(address);
    let mut second = connect(address);
    for round in 0..3 {
        for (client, name) in [(&mut first, "first"), (&mut second, "second")] {
            let message = format!("{name} client, message {round}\n");
            assert_eq!(exchange(client, message.as_bytes()), message.as_bytes());
        }
    }
    // One that is closed by its client, one that the server sees end itself.
    first.shutdown(Shutdown::Write).unwrap();
    assert_eq!(first.read(&mut [0; 1]).unwrap(), 0);
    drop(second);

    server.interrupt();
    let summary = server.finish();
    let sent = 3 * ("first client, message 0\n".len() + "second client, message 0\n".len());
    for expected in [
        "2 connections".to_owned(),
        format!("{sent} bytes"),
        "6 messages".to_owned(),
    ] {
        assert!(summary.contains(&expected), "no {expected:?} in: {summary}");
    }
    TcpStream::connect(address).expect_err("the server is gone, but its port still answers");
}

#[test]
fn a_second_ctrl_c_does_not_wait_for_open_connections() {
    let mut server = Server::start();
    let mut idle = connect(server.read_address());
    assert_eq!(exchange(&mut idle, b"still here"), b"still here");
    server.interrupt();
    let mut line = String::new();
    server.output.read_line(&mut line).unwrap();
    assert!(line.contains("open connections: 1"), "{line}");
    // The server lets connections finish for a moment, and in that it does
    // not stop serving them.
    assert_eq!(exchange(&mut idle, b"still there"), b"still there");
    server.interrupt();
    let summary = server.finish();
    assert!(summary.contains("21 bytes"), "{summary}");
    drop(idle);
}

#[test]
fn the_client_checks_every_byte_and_prints_the_rate() {
    let mut server = Server::start();
    let output = Command::new(program("echo_client"))
        .args(["--addr", &server.read_address().to_string()])
        .args(["--connections", "3", "--size", "100", "--seconds", "1"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    for expected in ["p50", "p99", "p99.9"] {
        assert!(said.contains(expected), "no {expected:?} in: {said}");
    }
    server.interrupt();
    assert!(server.finish().contains("3 connections"));
}

#[test]
fn another_loop_drives_the_runtime() {
    let output = Command::new(program("embed")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(said.contains("runtime: hello came back"), "{said}");
}

#[test]
fn requests_share_a_few_connections() {
    let said = run("connection_pool");
    assert_eq!(said, "100 requests over 4 connections\n");
}

#[test]
fn readers_see_no_change_half_done() {
    let said = run("readers_writers");
    assert!(said.contains("day 3: [3, 3, 3, 3, 3]"), "{said}");
    assert!(said.contains("consistent reads"), "{said}");
}

#[test]
fn a_slow_consumer_gets_all_that_is_produced() {
    let said = run("producer_consumer");
    assert!(
        said.contains("wrote down 12 readings of 3 gauges"),
        "{said}"
    );
    let count = |what| said.lines().filter(|line| line.contains(what)).count();
    assert_eq!((count("done"), count("reading ")), (3, 12), "{said}");
}

#[test]
fn a_slow_subscriber_is_told_what_it_missed() {
    let said = run("publish_subscribe");
    for name in ["quick", "slow"] {
        let line = said
            .lines()
            .find(|line| line.contains("saw") && line.starts_with(name));
        let numbers: Vec<u32> = line
            .unwrap()
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        assert_eq!(numbers.iter().sum::<u32>(), 20, "{said}");
    }
}

#[test]
fn a_bad_address_is_reported() {
    let output = Command::new(program("echo_server"))
        .args(["--addr", "256.0.0.1:1"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        !message.is_empty() && !message.contains("panicked"),
        "{message}"
    );
}

/// Runs an example to its end and returns what it says.
fn run(example: &str) -> String {
    let output = Command::new(program(example)).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn exchange(stream: &mut TcpStream, message: &[u8]) -> Vec<u8> {
    stream.write_all(message).unwrap();
    let mut echo = vec![0; message.len()];
    stream.read_exact(&mut echo).unwrap();
    echo
}

/// Killed if the test fails.
struct Server {
    process: Child,
    output: BufReader<Box<dyn Read>>,
}

impl Server {
    fn start() -> Self {
        let mut process = Command::new(program("echo_server"))
            .args(["--addr", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = process.stdout.take().unwrap();
        Self {
            process,
            output: BufReader::new(Box::new(output)),
        }
    }

    /// Reads on until a line names the address that port 0 became.
    fn read_address(&mut self) -> SocketAddr {
        let mut seen = String::new();
        loop {
            let from = seen.len();
            let read = self.output.read_line(&mut seen).unwrap();
            assert_ne!(read, 0, "the server said no address, only: {seen}");
            let words = seen[from..].split([' ', ',', ';', '\n']);
            if let Some(address) = words.filter_map(|word| word.parse().ok()).next() {
                return address;
            }
        }
    }

    /// Presses Ctrl-C.
    fn interrupt(&self) {
        let status = Command::new("kill")
            .args(["-INT", &self.process.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Waits for the end and returns what the server says until then.
    fn finish(&mut self) -> String {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        let status = self.process.wait().unwrap();
        assert!(status.success(), "{status}: {rest}");
        rest
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails if it has ended already, as it should have.
        let _: io::Result<()> = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `cargo test` builds the examples beside the tests.
fn program(example: &str) -> PathBuf {
    let mut path = env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples");
    path.push(format!("{example}{}", env::consts::EXE_SUFFIX));
    assert!(
        path.exists(),
        "{} is missing: run `cargo build --examples`",
        path.display()
    );
    path
}
