//! Tests of the storm client itself: it counts connections correctly whose outcome the test
//! knows, so its counts can be trusted for others.

// Linux only: it depends on how the kernel ends connections that were not accepted.
#![cfg(all(target_os = "linux", not(miri)))]

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use coreloop_test_support::deadline::wait_until;
use coreloop_test_support::process::storm::{Storm, Summary};
use coreloop_test_support::program::{PATIENCE, Server};
use socket2::SockRef;

fn listen() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // This also limits how long the listener waits for a connection.
    let waits = SockRef::from(&listener).set_read_timeout(Some(PATIENCE));
    waits.unwrap();
    listener
}

/// Starts a storm of this many connections at once, which the server greets.
fn greeted(listener: &TcpListener, connections: u32) -> Storm {
    let count = connections.to_string();
    Storm::start(
        listener.local_addr().unwrap(),
        &["--greeted", "--clients", &count, "--connections", &count],
    )
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn assert_counts(summary: &Summary, expected: &[(&str, u64)]) {
    for (name, count) in expected {
        assert_eq!(summary.number(name), *count, "{name} of {summary:?}");
    }
}

/// Returns the length of a listener's accept queue, which the kernel shows in the column of
/// received bytes.
fn queued(listener: &TcpListener) -> u64 {
    let port = format!(":{:04X}", listener.local_addr().unwrap().port());
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let rows = table.lines().map(|row| row.split_whitespace());
    rows.filter_map(|mut row| {
        let (address, state, queues) = (row.nth(1)?, row.nth(1)?, row.next()?);
        let (_, received) = queues.split_once(':')?;
        let is_it = address.ends_with(&port) && state == "0A";
        is_it.then(|| u64::from_str_radix(received, 16).unwrap())
    })
    .sum()
}

#[test]
fn connections_that_were_not_accepted_count_as_lost_in_the_queue() {
    let listener = listen();
    let storm = greeted(&listener, 8);
    wait_until(|| queued(&listener) >= 8);
    drop(listener);
    let summary = storm.finish();
    assert_counts(
        &summary,
        &[
            ("failed", 8),
            ("queue_loss", 8),
            ("waiting_reset", 8),
            ("answered", 0),
        ],
    );
    assert!(!summary.status.success());
}

/// A server that is killed before it has announced an accepted connection.
#[test]
fn accepted_connections_do_not_count_as_lost_in_the_queue() {
    let listener = listen();
    let storm = greeted(&listener, 3);
    for _ in 0..3 {
        drop(accept(&listener));
    }
    let summary = storm.finish();
    assert_counts(
        &summary,
        &[
            ("failed", 3),
            ("queue_loss", 0),
            ("unannounced", 3),
            ("waiting_closed", 3),
        ],
    );
    assert!(!summary.status.success(), "no server was killed");
}

#[test]
fn dropped_connections_that_were_announced_count_as_failures() {
    let listener = listen();
    let storm = greeted(&listener, 5);
    for number in 0..5 {
        let mut stream = accept(&listener);
        stream.write_all(b"1 2 3\n").unwrap();
        if number < 3 {
            stream.read_exact(&mut [0]).unwrap();
        } else {
            // The request has come, and is not read.
            assert_eq!(stream.peek(&mut [0]).unwrap(), 1);
        }
    }
    let summary = storm.finish();
    assert_counts(
        &summary,
        &[
            ("failed", 5),
            ("dropped", 5),
            ("queue_loss", 0),
            ("awaiting_closed", 3),
            ("awaiting_reset", 2),
        ],
    );
    assert!(!summary.status.success());
}

#[test]
fn refused_connections_are_lost() {
    let listener = listen();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let storm = Storm::start(address, &["--greeted", "--clients=2", "--connections=6"]);
    let summary = storm.finish();
    assert_counts(&summary, &[("queue_loss", 6), ("connecting_refused", 6)]);
}

#[test]
fn a_queue_that_is_not_served_is_lost() {
    let listener = listen();
    let arguments = [
        "--greeted",
        "--clients=2",
        "--connections=4",
        "--patience=0.1",
    ];
    let summary = Storm::start(listener.local_addr().unwrap(), &arguments).finish();
    assert_counts(&summary, &[("queue_loss", 4), ("waiting_timedout", 4)]);
}

#[test]
fn answers_are_counted_by_server() {
    let listener = listen();
    let address = listener.local_addr().unwrap();
    let mut storm = Storm::start(address, &["--clients=2", "--progress=3"]);
    for number in 0..6_u32 {
        let mut stream = accept(&listener);
        stream.read_exact(&mut [0]).unwrap();
        writeln!(stream, "77 {} 5", number / 3).unwrap();
        // The client closes, as it has all its answers.
        assert!(!matches!(stream.read(&mut [0]), Ok(1..)));
    }
    for slot in 0..2 {
        let server = storm.await_word("server");
        let said = ["pid", "slot", "generation"].map(|name| server.number(name));
        assert_eq!(said, [77, slot, 5]);
        let progress = storm.await_word("progress");
        assert_eq!(progress.number("answered"), 3 * (slot + 1));
    }
    // Connections that have begun meanwhile are finished too.
    let rest = thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            if stream.read_exact(&mut [0]).is_ok() {
                writeln!(stream, "77 0 5").unwrap();
            } else {
                return;
            }
        }
    });
    storm.stop().assert_flawless(6);
    drop(TcpStream::connect(address));
    rest.join().unwrap();
}

/// A server that ends a connection after an answer has not failed.
#[test]
fn a_connection_that_is_kept_alive_may_end_between_requests() {
    let listener = listen();
    let arguments = ["--keep-alive", "--clients=1", "--connections=2"];
    let storm = Storm::start(listener.local_addr().unwrap(), &arguments);
    for answers in [3, 2] {
        let mut stream = accept(&listener);
        for _ in 0..answers {
            stream.read_exact(&mut [0]).unwrap();
            writeln!(stream, "77 0 0").unwrap();
        }
        // Reads to the end, as closing a socket with unread data resets the connection.
        stream.read_exact(&mut [0]).unwrap();
    }
    let summary = storm.finish();
    summary.assert_flawless(5);
    assert_eq!(summary.number("answered"), 5);
}

/// This shows that the storm detects losses, and so that a storm without losses means
/// something.
#[test]
fn workers_that_bind_their_own_sockets_lose_their_queues() {
    let mut apart = Server::start("process_apart", &["--workers=2"]);
    let arguments = ["--greeted", "--clients=64", "--kill=6", "--every=100"];
    let mut storm = Storm::start(apart.read_address(), &arguments);
    let mut restarted = 0;
    let summary = loop {
        let said = storm.next_line();
        match said.what.as_str() {
            "restarted" => restarted += 1,
            "summary" => break said,
            _ => {}
        }
    };
    assert_eq!((restarted, summary.number("kills")), (6, 6));
    assert!(summary.number("queue_loss") > 6, "{summary:?}");
    assert_eq!(summary.number("dropped"), 0, "{summary:?}");
}
