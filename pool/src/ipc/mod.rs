//! What processes say to each other, and what they share.

mod attach;

pub(crate) use attach::{MAX_DESCRIPTORS, attach, decode, detach, encode};
