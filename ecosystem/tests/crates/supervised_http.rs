//! HTTP from supervised workers: the effect of a reload and of a shutdown on clients.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use coreloop_test_support::deadline::Deadline;
use coreloop_test_support::program::{PATIENCE, Server, connect};

fn start(arguments: &[&str]) -> (Server, SocketAddr) {
    let arguments = [&["--addr", "127.0.0.1:0"], arguments].concat();
    let mut server = Server::start("supervised_http", &arguments);
    let address = server.read_address();
    (server, address)
}

#[test]
fn a_request_may_take_as_long_as_the_time_to_drain() {
    let (mut server, address) = start(&["--workers", "1", "--drain", "60000"]);
    let mut client = Client::new(address);
    client.ask("/");
    // The request arrives before the signal, and its answer takes longer than the signal.
    client.send("/slow/2000");
    server.interrupt();
    let answer = client.answer();
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(
        answer.ends_with("Hello from worker 0, generation 0\n"),
        "{answer}"
    );
    assert_eq!(client.stream.read(&mut [0; 1]).unwrap(), 0);
    server.finish();
}

#[test]
fn a_request_that_takes_longer_than_the_drain_is_cut_off() {
    let (mut server, address) = start(&["--workers", "1", "--drain", "100"]);
    let mut client = Client::new(address);
    client.ask("/");
    client.send("/slow/600000");
    server.interrupt();
    let mut rest = Vec::new();
    // The connection may end with or without an error.
    let _ = client.stream.read_to_end(&mut rest);
    assert_eq!(String::from_utf8(rest).unwrap(), "");
    server.finish();
}

#[test]
fn clients_that_keep_their_connections_lose_no_request_in_a_reload() {
    const CLIENTS: usize = 4;
    // With two workers, a client need not see every reload.
    for (workers, reloads) in [("1", 5), ("2", 1)] {
        let (mut server, address) = start(&["--workers", workers]);
        let (sender, receiver) = mpsc::channel();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let sender = sender.clone();
                thread::spawn(move || {
                    let mut client = Client::new(address);
                    for generation in 0..=reloads {
                        let deadline = Deadline::new();
                        while client.ask("/") < generation {
                            deadline.check();
                        }
                        sender.send(generation).unwrap();
                    }
                })
            })
            .collect();
        for generation in 0..=reloads {
            if generation > 0 {
                let master = server.process.id().to_string();
                let status = Command::new("kill").args(["-HUP", &master]).status();
                assert!(status.unwrap().success());
            }
            for _ in 0..CLIENTS {
                // A client that failed sends nothing, so this ends with a timeout.
                let reached = receiver.recv_timeout(PATIENCE).unwrap();
                assert_eq!(reached, generation);
            }
        }
        for client in clients {
            client.join().unwrap();
        }
        server.interrupt();
        server.finish();
    }
}

/// A client that keeps its connection until the server closes it.
struct Client {
    address: SocketAddr,
    stream: TcpStream,
}

impl Client {
    fn new(address: SocketAddr) -> Client {
        let stream = connect(address);
        Client { address, stream }
    }

    /// Sends a request, and returns the generation of the worker that answers.
    fn ask(&mut self, path: &str) -> u64 {
        self.send(path);
        let answer = self.answer();
        if answer.contains("connection: close") {
            assert_eq!(self.stream.read(&mut [0; 1]).unwrap(), 0);
            self.stream = connect(self.address);
        }
        let generation = answer.trim_end().rsplit(' ').next().unwrap();
        generation.parse().unwrap()
    }

    fn send(&mut self, path: &str) {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        self.stream.write_all(request.as_bytes()).unwrap();
    }

    fn answer(&mut self) -> String {
        let mut answer = String::new();
        // The greeting is the only line that ends with LF alone.
        while !answer.ends_with('\n') || answer.ends_with("\r\n") {
            let mut buffer = [0; 1024];
            let count = self.stream.read(&mut buffer).unwrap();
            assert_ne!(count, 0, "no answer, only: {answer}");
            answer += std::str::from_utf8(&buffer[..count]).unwrap();
        }
        answer
    }
}
