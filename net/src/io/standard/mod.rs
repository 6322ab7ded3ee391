//! The standard streams of the process: [`stdin`], [`stdout`] and [`stderr`].
//!
//! They are often a terminal or a file, which other processes have too. So they are not
//! put on the loop, for which they would have to be non-blocking for all of these, but
//! read and written by threads.

mod input;
mod output;
#[cfg(feature = "tokio-io")]
mod tokio_io;

pub use input::{Stdin, stdin};
pub use output::{Stderr, Stdout, stderr, stdout};
