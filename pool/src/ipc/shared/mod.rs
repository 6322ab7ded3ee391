//! Memory that processes share.
//!
//! | type | what is in it | what other processes can do |
//! |---|---|---|
//! | [`SharedSlice`] | values that were written before the memory was sealed | read |
//! | [`Shared`], [`SharedAtomics`] | atomic numbers | read, and write any value |

mod atomics;
mod check;
pub mod fuzz;
mod map;
mod slice;
#[cfg(test)]
#[cfg(all(target_os = "linux", not(miri)))] // Miri has no files in memory.
mod tests;
mod wire;

pub use atomics::{Atomic, Shared, SharedAtomics};
pub use slice::{SharedSlice, SharedSliceBuilder};

pub(crate) use map::Cells;
