#![no_main]

#[path = "../../tests/fuzz_models/duplex.rs"]
mod duplex;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| duplex::check(bytes));
