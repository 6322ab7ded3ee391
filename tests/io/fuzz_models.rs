//! Runs the checks of the fuzz targets in `fuzz` on random bytes, for a moment.
//!
//! Each check reads the bytes as a program for a part of this library, which has to
//! behave like its model whatever the program does. A fuzzer finds rarer programs;
//! these tests find that a check is broken, without any tool.
#![cfg(not(miri))] // Too many rounds of safe code for Miri.

use coreloop_test_support::models::{addresses, copy, duplex, frames, secure, shared};
use coreloop_test_support::sequence::of_bytes;

#[test]
fn a_stream_in_memory_behaves_like_two_bounded_queues() {
    of_bytes(400, duplex::check);
}

#[test]
fn the_counts_of_a_copy_are_right_at_every_poll() {
    of_bytes(400, copy::check);
}

#[test]
fn a_string_is_an_address_or_an_error() {
    of_bytes(40, addresses::check);
    // Random bytes rarely resemble an address; these pieces do.
    of_bytes(6, |bytes| {
        let pieces = bytes
            .iter()
            .map(|byte| PIECES[usize::from(*byte) % PIECES.len()]);
        addresses::check(pieces.collect::<String>().as_bytes());
    });
}

#[test]
fn frames_of_a_pool_are_found_however_they_come() {
    of_bytes(160, frames::check);
}

#[test]
fn shared_memory_that_could_change_is_refused() {
    of_bytes(160, shared::check);
}

#[test]
fn messages_of_a_manager_that_were_changed_are_refused() {
    of_bytes(40, secure::check);
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
