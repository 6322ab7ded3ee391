//! Descriptors on the loop, copying, splicing, and streams in memory.
#![cfg(test)]

mod async_descriptor;
mod blocking_mode;
mod copy;
mod copy_errors;
mod duplex;
mod empty_repeat_sink;
mod exclusive;
mod fuzz_models;
mod interest;
mod shared_polls;
mod splice;
