//! The standard streams of the process: [`stdin`], [`stdout`] and [`stderr`].
//!
//! They are often a terminal or a file that other processes use too. On the loop they would
//! have to be non-blocking, for all of these processes. So threads read and write them
//! instead.

mod input;
mod output;
#[cfg(feature = "tokio-io")]
mod tokio_io;

pub use input::{Stdin, stdin};
pub use output::{Stderr, Stdout, stderr, stdout};
