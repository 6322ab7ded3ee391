#![no_main]

#[path = "../../tests/fuzz_models/addresses.rs"]
mod addresses;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| addresses::check(bytes));
