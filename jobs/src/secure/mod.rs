//! How a manager and a client prove to each other that they have the same key, and how their
//! messages are protected afterwards. Nothing here does I/O.
//!
//! # The handshake
//!
//! ```text
//! client                                   manager
//!    | hello: version, role, nonce            |
//!    |--------------------------------------->|
//!    |            hello: version, role, nonce |
//!    |<---------------------------------------|
//!    | proof                                  |
//!    |--------------------------------------->|  refuses a wrong proof
//!    |                                  proof |
//!    |<---------------------------------------|  the client refuses a wrong proof
//!    | frames                                 |
//!    |<-------------------------------------->|
//! ```
//!
//! # Invariants
//!
//! 1. Before a proof is accepted, exactly [`HELLO`] and [`PROOF`] bytes are taken from the peer,
//!    and nothing else of it is parsed.
//! 2. A proof is the HMAC-SHA256 under the key of the role of its sender, of both hellos and of
//!    the channel binding. A peer without the key cannot use a proof that it has seen: not of an
//!    earlier connection (the nonces differ), not of the other role, not of another TLS session.
//! 3. The manager sends its proof only to a client whose proof it has accepted, so a stranger
//!    gets nothing at which to guess the key.
//! 4. Each direction has a key of its own. A frame is accepted only at its place in its
//!    direction, so frames cannot be left out, repeated, exchanged or sent back.
//! 5. The length of a frame is checked before memory is allocated for it, and memory grows as
//!    bytes come. A frame whose code is wrong ends the connection; none of it is decoded.
//! 6. Codes and proofs are compared in constant time.

mod frame;
pub(crate) mod fuzz;
mod handshake;
mod key;
#[cfg(test)]
mod tests;

#[cfg(test)]
use frame::{Broken, HEADER};
pub(crate) use frame::{Opener, Sealer};
#[cfg(test)]
use handshake::Met;
pub(crate) use handshake::{HELLO, PROOF, Refusal, Role, Start};
pub use key::Key;
pub(crate) use key::random;
