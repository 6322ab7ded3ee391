#![no_main]

use coreloop_test_support::models::secure;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| secure::check(bytes));
