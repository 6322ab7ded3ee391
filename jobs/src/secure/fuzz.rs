//! The handshake and the frames, for a fuzz target.

use super::{HELLO, Key, Opener, PROOF, Role, Sealer, Start};

/// The bytes that a peer without the key sends to a manager or to a client.
///
/// # Panics
///
/// Panics if the handshake accepts them.
pub fn handshake(bytes: &[u8]) {
    for role in [Role::Manager, Role::Client] {
        let start = Start::new(role, [7; 32]);
        let Some((hello, rest)) = bytes.split_first_chunk::<HELLO>() else {
            return;
        };
        let Ok(met) = start.meet(hello, &key(), b"") else {
            continue;
        };
        if let Some(proof) = rest.first_chunk::<PROOF>() {
            assert!(met.verify(proof, 1).is_err(), "a forged proof");
        }
    }
}

/// The two ends of one direction after a handshake.
pub struct Channel {
    sealer: Sealer,
    opener: Opener,
}

impl Channel {
    /// Creates the ends of a direction whose frames have bodies of up to `max` bytes.
    ///
    /// # Panics
    ///
    /// Panics if a handshake with the same key fails.
    #[must_use]
    pub fn new(max: usize) -> Self {
        let client = Start::new(Role::Client, [1; 32]);
        let manager = Start::new(Role::Manager, [2; 32]);
        let hellos = (*client.hello(), *manager.hello());
        let client = client.meet(&hellos.1, &key(), b"").expect("a hello");
        let manager = manager.meet(&hellos.0, &key(), b"").expect("a hello");
        let proofs = (client.proof(), manager.proof());
        let (_, opener) = manager.verify(&proofs.0, max).expect("a proof");
        let (sealer, _) = client.verify(&proofs.1, max).expect("a proof");
        Self { sealer, opener }
    }

    /// Returns the bytes of the next frame.
    pub fn seal(&mut self, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.sealer
            .seal(&mut bytes, |out| out.extend_from_slice(body));
        bytes
    }

    /// Gives the reader as many of the bytes as there is space for, as one read would, and
    /// returns how many.
    pub fn fill(&mut self, bytes: &[u8]) -> usize {
        let space = self.opener.space();
        let count = bytes.len().min(space.len());
        space[..count].copy_from_slice(&bytes[..count]);
        self.opener.filled(count);
        count
    }

    /// Returns the body of the next frame; `None` if it is not complete.
    ///
    /// # Errors
    ///
    /// Returns the reason for which the next frame is not accepted.
    pub fn next_body(&mut self) -> Result<Option<&[u8]>, String> {
        self.opener.next().map_err(|broken| broken.to_string())
    }

    /// Returns whether a part of a frame has come.
    #[must_use]
    pub fn is_in_frame(&self) -> bool {
        self.opener.is_in_frame()
    }

    /// Returns how many bytes the reader has allocated.
    #[must_use]
    pub fn allocated(&self) -> usize {
        self.opener.allocated()
    }
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel").finish_non_exhaustive()
    }
}

fn key() -> Key {
    Key::new("the key of the fuzz target").expect("a key")
}
