//! What processes say to each other, and what they share.

mod attach;
pub(crate) mod wire;

pub(crate) use attach::{MAX_DESCRIPTORS, attach, decode, detach, encode};
