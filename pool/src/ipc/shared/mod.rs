//! Memory that processes share.
//!
//! | type | what is in it | what other processes can do |
//! |---|---|---|
//! | [`SharedSlice`] | values that were written before the memory was sealed | read |
//! | [`Shared`], [`SharedAtomics`] | atomic numbers | read, and write any value |
//! | [`SharedArray`] | values that a lock protects | nothing, except processes of the same family in turn |

mod array;
mod atomics;
mod check;
pub mod fuzz;
mod map;
mod protected;
mod slice;
#[cfg(test)]
#[cfg(all(target_os = "linux", not(miri)))] // Miri has no files in memory.
mod tests;
mod wire;

pub use array::{SharedArray, SharedArrayGuard};
pub use atomics::{Atomic, Shared, SharedAtomics};
pub use slice::{SharedSlice, SharedSliceBuilder};

pub(crate) use map::Cells;
