//! The handshake: [`Start`], then [`Met`], then the two keys of the frames.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::frame::{Opener, Sealer};
use super::key::{Key, hmac};

/// The length of a hello: the name of the protocol, version, role, a zero, and the nonce.
pub(crate) const HELLO: usize = 8 + 2 + 1 + 1 + NONCE;

/// The length of a proof.
pub(crate) const PROOF: usize = 32;

const NONCE: usize = 32;

const NAME: &[u8; 8] = b"coreloop";

/// The version of the handshake and of all messages.
const VERSION: u16 = 1;

const ROLE_AT: usize = 10;
const NONCE_AT: usize = 12;

/// The side of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Client,
    Manager,
}

impl Role {
    fn peer(self) -> Self {
        match self {
            Self::Client => Self::Manager,
            Self::Manager => Self::Client,
        }
    }

    fn byte(self) -> u8 {
        match self {
            Self::Client => b'C',
            Self::Manager => b'M',
        }
    }
}

/// Why a handshake failed. A manager does not tell its peer which it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The hello is not of this protocol.
    Stranger,
    /// The peer speaks this version.
    Version(u16),
    /// The peer is on the same side.
    SameRole,
    /// The peer does not have the key, or bytes were changed on the way.
    Proof,
}

/// A handshake in which the peer's hello has not come yet.
#[derive(Debug)]
pub(crate) struct Start {
    role: Role,
    hello: [u8; HELLO],
}

impl Start {
    /// Begins a handshake. The nonce is fresh for each connection.
    pub(crate) fn new(role: Role, nonce: [u8; NONCE]) -> Self {
        Self {
            role,
            hello: hello(role, nonce),
        }
    }

    /// Returns the hello for the peer.
    pub(crate) fn hello(&self) -> &[u8; HELLO] {
        &self.hello
    }

    /// Takes the hello of the peer. `binding` names the channel under the connection, if that
    /// protects it; otherwise it is empty.
    pub(crate) fn meet(
        self,
        peer: &[u8; HELLO],
        key: &Key,
        binding: &[u8],
    ) -> Result<Met, Refusal> {
        let role = self.role;
        if &peer[..NAME.len()] != NAME {
            return Err(Refusal::Stranger);
        }
        let version = u16::from_be_bytes([peer[8], peer[9]]);
        if version != VERSION {
            return Err(Refusal::Version(version));
        }
        if peer[ROLE_AT] == role.byte() {
            return Err(Refusal::SameRole);
        }
        if peer[ROLE_AT] != role.peer().byte() || peer[ROLE_AT + 1] != 0 {
            return Err(Refusal::Stranger);
        }
        let (client, manager) = match role {
            Role::Client => (&self.hello, peer),
            Role::Manager => (peer, &self.hello),
        };
        Ok(Met {
            role,
            key: hmac(key.bytes()),
            transcript: transcript(client, manager, binding),
        })
    }
}

/// A handshake in which both hellos are known.
#[derive(Debug)]
pub(crate) struct Met {
    role: Role,
    /// The HMAC under the key.
    key: Hmac<Sha256>,
    /// Both hellos and the channel binding.
    transcript: Vec<u8>,
}

impl Met {
    /// Returns the proof for the peer.
    pub(crate) fn proof(&self) -> [u8; PROOF] {
        self.prove(self.role).finalize().into_bytes().into()
    }

    /// Checks the proof of the peer, and returns what protects the frames, of which none may be
    /// longer than `max`.
    pub(crate) fn verify(
        self,
        proof: &[u8; PROOF],
        max: usize,
    ) -> Result<(Sealer, Opener), Refusal> {
        let expected = self.prove(self.role.peer());
        // Invariant 6.
        expected.verify_slice(proof).map_err(|_| Refusal::Proof)?;
        let secret = self.label(b"secret").finalize().into_bytes();
        let key_of = |sender: Role| {
            let mut mac = hmac(&secret);
            mac.update(b"coreloop frames of ");
            mac.update(&[sender.byte()]);
            hmac(&mac.finalize().into_bytes())
        };
        let sealer = Sealer::new(key_of(self.role));
        Ok((sealer, Opener::new(key_of(self.role.peer()), max)))
    }

    /// Returns the HMAC that proves that the side `role` has the key.
    fn prove(&self, role: Role) -> Hmac<Sha256> {
        let mut mac = self.label(b"proof ");
        mac.update(&[role.byte()]);
        mac
    }

    /// Returns an HMAC of the transcript for one purpose. All labels have the same length, so
    /// the input for one purpose is never an input for another.
    fn label(&self, label: &[u8; 6]) -> Hmac<Sha256> {
        let mut mac = self.key.clone();
        mac.update(label);
        mac.update(&self.transcript);
        mac
    }
}

fn hello(role: Role, nonce: [u8; NONCE]) -> [u8; HELLO] {
    let mut hello = [0; HELLO];
    hello[..NAME.len()].copy_from_slice(NAME);
    hello[NAME.len()..ROLE_AT].copy_from_slice(&VERSION.to_be_bytes());
    hello[ROLE_AT] = role.byte();
    hello[NONCE_AT..].copy_from_slice(&nonce);
    hello
}

fn transcript(client: &[u8; HELLO], manager: &[u8; HELLO], binding: &[u8]) -> Vec<u8> {
    let mut transcript = Vec::with_capacity(2 * HELLO + 8 + binding.len());
    transcript.extend_from_slice(client);
    transcript.extend_from_slice(manager);
    transcript.extend_from_slice(&(binding.len() as u64).to_be_bytes());
    transcript.extend_from_slice(binding);
    transcript
}
