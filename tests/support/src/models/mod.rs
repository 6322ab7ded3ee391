//! Models whose properties must hold for any bytes.
//!
//! Each model interprets bytes as a program of operations. The fuzz targets in `fuzz` run the
//! models for any time; `tests/io/fuzz_models.rs` runs them for a moment.

pub mod addresses;
pub mod copy;
pub mod duplex;
pub mod frames;
pub mod secure;
pub mod shared;
