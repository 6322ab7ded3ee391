//! What processes say to each other, and what they share.

mod attach;
mod fd;
pub(crate) mod wire;

pub use fd::Fd;

pub(crate) use attach::{MAX_DESCRIPTORS, attach, decode, detach, encode};
