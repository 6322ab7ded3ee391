//! The family of a process: the process that has built a pool, the workers, and the workers of
//! the pools that these have built. All of them run this very program, as the hash of the
//! registry confirms.
//!
//! The processes of a family know a key, which a worker gets in its first message. With the key a
//! process recognizes what another one of the family has encoded, and shows that it belongs to the
//! family itself. The key does not leave this module, except for that message.

use std::hash::Hasher;
#[expect(deprecated, reason = "see `sign`")]
use std::hash::SipHasher;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::sys;

/// What the processes of a family know.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Key([u64; 2]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

/// The halves of the key; zero stands for a half that is not known yet. There is no lock: another
/// thread could hold it when this process is copied by `fork`, and it would stay locked in the copy.
static KEY: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// Returns the key of this process, for a worker.
pub(crate) fn key() -> Key {
    Key(KEY
        .each_ref()
        .map(|half| match half.load(Ordering::Relaxed) {
            0 => {
                let new = sys::random().max(1);
                let stored = half.compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed);
                stored.map_or_else(|other| other, |_zero| new)
            }
            known => known,
        }))
}

/// Makes this process, a worker, belong to the family of its master. What it has signed before
/// belongs to no family. No other thread signs anything meanwhile.
pub(crate) fn join(family: Key) {
    for (half, new) in KEY.iter().zip(family.0) {
        half.store(new, Ordering::Relaxed);
    }
}

/// Returns a number that only a process of the family can compute, and that is another one for
/// other parts.
///
/// It is SipHash-2-4 under the key of the family, a function that was made to authenticate short
/// messages. A process that does not have the key can only guess: each guess is right once in
/// 2^64 times, and costs a message to a process of the family.
#[expect(
    deprecated,
    reason = "the standard library has no other hasher that takes a key, and has deprecated this \
              one because hash tables do not need one"
)]
pub(crate) fn sign(parts: &[&[u8]]) -> u64 {
    let Key([one, other]) = key();
    let mut hasher = SipHasher::new_with_keys(one, other);
    for part in parts {
        hasher.write(&(part.len() as u64).to_le_bytes());
        hasher.write(part);
    }
    hasher.finish()
}

/// Compares two signatures. The time that this takes does not depend on them.
pub(crate) fn is_same(one: u64, other: u64) -> bool {
    let difference = (one ^ other).to_ne_bytes();
    black_box(difference.iter().fold(0, |all, byte| all | byte)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_depends_on_each_part() {
        let parts: [&[&[u8]]; 6] = [
            &[],
            &[b""],
            &[b"ab"],
            &[b"a", b"b"],
            &[b"b", b"a"],
            &[b"", b"ab"],
        ];
        for (at, part) in parts.iter().enumerate() {
            assert_eq!(sign(part), sign(part));
            assert!(parts[..at].iter().all(|other| sign(other) != sign(part)));
        }
        assert_eq!(format!("{:?}", key()), "Key(..)");
    }
}
