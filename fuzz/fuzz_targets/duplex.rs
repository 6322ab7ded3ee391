#![no_main]

use coreloop_test_support::models::duplex;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| duplex::check(bytes));
