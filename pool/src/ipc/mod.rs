//! What processes say to each other, and what they share.

mod attach;
mod fd;
mod shared;
pub(crate) mod wire;

pub use fd::Fd;

pub(crate) use attach::{MAX_DESCRIPTORS, attach, decode, detach, encode, refuse};
pub(crate) use shared::Cells;
pub use shared::{Atomic, Shared, SharedAtomics, SharedSlice, SharedSliceBuilder};
