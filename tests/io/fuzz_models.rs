//! What the fuzz targets in `fuzz` check, on random bytes and for a moment.
//!
//! Each module takes bytes as a program for something of ours that has to hold
//! whatever it is given. A fuzzer finds rarer programs; this finds that one of
//! them is broken, without any tool.
#![cfg(not(miri))] // Too many rounds for it, of safe code.

use coreloop_test_support::models::{addresses, copy, duplex};
use coreloop_test_support::sequence::of_bytes;

#[test]
fn a_stream_in_memory_is_two_bounded_queues() {
    of_bytes(400, duplex::check);
}

#[test]
fn a_copy_is_accounted_for_at_every_poll() {
    of_bytes(400, copy::check);
}

#[test]
fn a_string_is_an_address_or_an_error() {
    of_bytes(40, addresses::check);
    // Bytes at random are seldom near an address, these are.
    of_bytes(6, |bytes| {
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
