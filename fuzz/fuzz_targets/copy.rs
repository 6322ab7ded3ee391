#![no_main]

use coreloop_test_support::models::copy;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| copy::check(bytes));
