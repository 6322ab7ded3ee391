#![no_main]

use coreloop_test_support::models::shared;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| shared::check(bytes));
