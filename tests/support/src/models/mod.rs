//! What must hold whatever bytes are given.
//!
//! Each model takes bytes as a program of operations. The fuzz targets in `fuzz` run
//! them for as long as is wanted; `tests/io/fuzz_models.rs` runs them for a moment.

pub mod addresses;
pub mod copy;
pub mod duplex;
