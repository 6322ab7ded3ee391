#![no_main]

use coreloop_test_support::models::addresses;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| addresses::check(bytes));
