//! Well-known crates running on coreloop.
//!
//! This package is not published. Its `examples` are programs to start from, and
//! its `tests` run each crate on the loop, so that every claim of compatibility is
//! tested. The dependencies are here and not in the root package, so that
//! the echo server does not have to compile them.
#![forbid(unsafe_code)]
