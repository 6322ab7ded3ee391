//! What the fuzz targets in `fuzz` check, on random bytes and for a moment.
//!
//! Each module takes bytes as a program for something of ours that has to hold
//! whatever it is given. A fuzzer finds rarer programs; this finds that one of
//! them is broken, without any tool.
#![cfg(feature = "net")]

#[path = "../common/chunks.rs"]
mod chunks;

mod addresses;
mod copy;
mod duplex;

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::test_runner::{Config, TestRunner};

fn with_random_bytes(longest: usize, run: impl Fn(&[u8])) {
    let (cases, longest) = if cfg!(miri) {
        (5, (longest / 4).max(2))
    } else {
        (500, longest)
    };
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&vec(any::<u8>(), 0..longest), |bytes| {
            run(&bytes);
            Ok(())
        })
        .expect("it holds whatever the bytes");
}

#[test]
fn a_stream_in_memory_is_two_bounded_queues() {
    with_random_bytes(400, duplex::check);
}

#[test]
fn a_copy_is_accounted_for_at_every_poll() {
    with_random_bytes(400, copy::check);
}

#[test]
fn a_string_is_an_address_or_an_error() {
    with_random_bytes(40, addresses::check);
    // Bytes at random are seldom near an address, these are.
    with_random_bytes(6, |bytes| {
        let pieces = bytes
            .iter()
            .map(|byte| PIECES[usize::from(*byte) % PIECES.len()]);
        addresses::check(pieces.collect::<String>().as_bytes());
    });
}

const PIECES: [&str; 12] = [
    "127.0.0.1",
    "::1",
    "[",
    "]",
    ":",
    "%",
    "65535",
    "65536",
    "0",
    "-1",
    "::ffff:1.2.3.4",
    ".",
];
