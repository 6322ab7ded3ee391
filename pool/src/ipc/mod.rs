//! What processes say to each other, and what they share.

mod attach;
mod error;
mod fd;
mod pipe;
pub(crate) mod shared;
mod socket;
mod travel;
pub(crate) mod wire;

pub use error::TrySendError;
pub use fd::Fd;
pub use pipe::{Pipe, PipeReceiver, PipeSender, pipe, simplex};

pub(crate) use attach::{MAX_DESCRIPTORS, attach, decode, detach, encode, fail, refuse};
pub(crate) use shared::Cells;
pub use shared::{Atomic, Shared, SharedAtomics, SharedSlice, SharedSliceBuilder};
