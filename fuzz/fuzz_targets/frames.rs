#![no_main]

use coreloop_test_support::models::frames;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| frames::check(bytes));
