//! [`Proofs`] and [`Question`], by which the processes of a family recognize each other at the
//! lock of an array.
//!
//! A client finds a broker by its address. Once the broker has ended, any process of the same user
//! can listen at this address. With a plain lock, such a process can do no more than grant it
//! twice. But the grant of an array's lock lets a process borrow memory, so it takes a proof:
//!
//! ```text
//!  client                                          broker
//!    │  MEMORY: nonce, signature of `Ask`            │
//!    │ ─────────────────────────────────────────────>│
//!    │ <──── the file, signature of `Give` ───────── │
//!    │                                               │
//!    │  LOCK or TRY_LOCK: nonce, signature of `Lock` │
//!    │ ─────────────────────────────────────────────>│
//!    │ <──── the grant, signature of `Grant` ─────── │
//! ```
//!
//! # Invariants
//!
//! 1. No message contains the key of the family, or anything with which another message could be
//!    signed.
//! 2. A signature covers its purpose, the address and the number of the lock, the nonce, and the
//!    rest of the answer. So it proves nothing in another place.
//! 3. A nonce is random, and belongs to one request. So the answer to another request proves
//!    nothing.
//! 4. A broker signs only for a request that is signed itself. So a process that is not of the
//!    family gets no signature from it.

use super::handle::{Address, Handle};
use super::protocol::Body;
use super::state::ObjectNumber;
use crate::family;
use crate::sys;

/// What a signature is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// A client asks for the memory of the lock.
    Ask,
    /// The broker gives the memory.
    Give,
    /// A client asks for the lock.
    Lock,
    /// The broker grants the lock.
    Grant,
}

impl Purpose {
    fn name(self) -> &'static [u8] {
        match self {
            Self::Ask => b"ask for the memory of a lock",
            Self::Give => b"give the memory of a lock",
            Self::Lock => b"ask for the lock of memory",
            Self::Grant => b"grant the lock of memory",
        }
    }

    /// The purpose of the answer to a request that has this purpose.
    fn of_answer(self) -> Self {
        match self {
            Self::Ask | Self::Give => Self::Give,
            Self::Lock | Self::Grant => Self::Grant,
        }
    }
}

/// The signatures for one lock.
#[derive(Debug, Clone)]
pub(crate) struct Proofs {
    address: Address,
    number: ObjectNumber,
}

impl Proofs {
    pub(crate) fn new(address: Address, number: ObjectNumber) -> Self {
        Self { address, number }
    }

    pub(crate) fn sign(&self, purpose: Purpose, nonce: u64, rest: &[u8]) -> u64 {
        family::sign(&[
            purpose.name(),
            self.address.as_bytes(),
            &self.number.to_le_bytes(),
            &nonce.to_le_bytes(),
            rest,
        ])
    }

    fn is_signed(&self, purpose: Purpose, nonce: u64, rest: &[u8], signature: u64) -> bool {
        family::is_same(self.sign(purpose, nonce, rest), signature)
    }

    /// Returns the nonce of a request whose body is signed for this purpose.
    pub(crate) fn asked(&self, purpose: Purpose, mut body: Body<'_>) -> Option<u64> {
        let (nonce, signature) = (body.u64()?, body.only_u64()?);
        self.is_signed(purpose, nonce, &[], signature)
            .then_some(nonce)
    }

    /// Signs the body of an answer.
    pub(crate) fn signed(&self, purpose: Purpose, nonce: u64, mut body: Vec<u8>) -> Vec<u8> {
        let signature = self.sign(purpose, nonce, &body);
        body.extend_from_slice(&signature.to_le_bytes());
        body
    }
}

/// A request whose answer has to be signed.
#[derive(Debug)]
pub(crate) struct Question {
    proofs: Proofs,
    purpose: Purpose,
    nonce: u64,
    body: [u8; 16],
}

impl Question {
    /// Asks the broker of a handle.
    pub(crate) fn new(handle: &Handle, purpose: Purpose) -> Self {
        let proofs = Proofs::new(handle.address().clone(), handle.number());
        let nonce = sys::random();
        let signature = proofs.sign(purpose, nonce, &[]);
        let mut body = [0; 16];
        body[..8].copy_from_slice(&nonce.to_le_bytes());
        body[8..].copy_from_slice(&signature.to_le_bytes());
        Self {
            proofs,
            purpose,
            nonce,
            body,
        }
    }

    /// The body of the request.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Returns whether this is the body of an answer to this very request, by a process of the
    /// family.
    pub(crate) fn is_answered_by(&self, body: &[u8]) -> bool {
        let Some((rest, signature)) = body.split_last_chunk() else {
            return false;
        };
        let signature = u64::from_le_bytes(*signature);
        self.proofs
            .is_signed(self.purpose.of_answer(), self.nonce, rest, signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle(address: &[u8], number: ObjectNumber) -> Handle {
        let bytes = postcard::to_stdvec(&(address, number)).unwrap();
        postcard::from_bytes(&bytes).unwrap()
    }

    fn proofs(handle: &Handle) -> Proofs {
        Proofs::new(handle.address().clone(), handle.number())
    }

    #[test]
    fn a_signed_answer_is_for_one_request() {
        let handle = handle(b"broker", 7);
        let proofs = proofs(&handle);
        let lock = Question::new(&handle, Purpose::Lock);
        let nonce = proofs.asked(Purpose::Lock, Body(lock.body())).unwrap();
        let granted = proofs.signed(Purpose::Grant, nonce, vec![1, 2, 3]);
        assert!(lock.is_answered_by(&granted));
        // A changed answer, in each bit.
        for at in 0..granted.len() * 8 {
            let mut changed = granted.clone();
            changed[at / 8] ^= 1 << (at % 8);
            assert!(!lock.is_answered_by(&changed));
        }
        for length in 0..granted.len() {
            assert!(!lock.is_answered_by(&granted[..length]));
        }
        // The same answer to another request.
        assert!(!Question::new(&handle, Purpose::Lock).is_answered_by(&granted));
        // An answer for another purpose.
        for purpose in [Purpose::Ask, Purpose::Give, Purpose::Lock] {
            assert!(!lock.is_answered_by(&proofs.signed(purpose, nonce, vec![1, 2, 3])));
        }
        // The request itself, sent back.
        assert!(!lock.is_answered_by(lock.body()));
    }

    #[test]
    fn a_request_is_for_one_lock_and_one_purpose() {
        let question = Question::new(&handle(b"broker", 7), Purpose::Ask);
        let asked = |handle: &Handle, purpose| {
            let proofs = proofs(handle);
            proofs.asked(purpose, Body(question.body())).is_some()
        };
        assert!(asked(&handle(b"broker", 7), Purpose::Ask));
        assert!(!asked(&handle(b"broker", 8), Purpose::Ask));
        assert!(!asked(&handle(b"brokes", 7), Purpose::Ask));
        for purpose in [Purpose::Give, Purpose::Lock, Purpose::Grant] {
            assert!(!asked(&handle(b"broker", 7), purpose));
        }
        let proofs = proofs(&handle(b"broker", 7));
        for length in 0..16 {
            let cut = Body(&question.body()[..length]);
            assert!(proofs.asked(Purpose::Ask, cut).is_none());
        }
        let longer = [question.body(), &[0]].concat();
        assert!(proofs.asked(Purpose::Ask, Body(&longer)).is_none());
    }
}
