//! What a client and a manager say to each other after the handshake: the bodies of frames.
//!
//! # Invariants
//!
//! 1. A client numbers its requests upwards, over all its connections, and sends them in this
//!    order. So the manager's record of a session needs one number to know which requests have
//!    come: `last`, which each of its frames returns.
//! 2. An answer is kept by the manager until the client has counted it: each frame of a client
//!    has the number of answers that have come on this connection.
//! 3. When a client comes back, it says which requests it waits for, and the manager says which
//!    requests have come. Each side then repeats what the other one does not have. No request is
//!    carried out twice in a session.

mod client;
mod manager;
mod parse;
#[cfg(test)]
mod tests;

use crate::error::{Error, Kind};

pub(crate) use client::ClientFrame;
pub(crate) use manager::{ManagerFrame, Response};
pub(crate) use parse::{Malformed, Parser};

/// The maximum length of the name of a service.
pub(crate) const MAX_NAME: usize = 255;

/// How many bytes of a frame are not the body of a request or of an answer, at most.
pub(crate) const OVERHEAD: usize = 512;

/// The maximum number of requests of a client that were not answered, or whose answers it has
/// not counted.
pub(crate) const MAX_REQUESTS: usize = 65_536;

/// Returns the error of a request above this number. A client does not make it, and a manager does
/// not carry it out.
pub(crate) fn too_many() -> Error {
    let text = format!("the client has more than {MAX_REQUESTS} requests without an answer");
    Error::new(Kind::Engine, text)
}
