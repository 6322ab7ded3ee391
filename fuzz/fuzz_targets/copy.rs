#![no_main]

#[path = "../../tests/common/chunks.rs"]
mod chunks;
#[path = "../../tests/fuzz_models/copy.rs"]
mod copy;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| copy::check(bytes));
