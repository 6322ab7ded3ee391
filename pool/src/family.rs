//! The family of a process: the process that has built a pool, the workers, and the workers of
//! the pools that these have built. All of them run this very program, as the hash of the
//! registry confirms.
//!
//! The processes of a family know a key, which a worker gets in its first message. With the key a
//! process recognizes what another one of the family has encoded, and shows that it belongs to the
//! family itself. The key does not leave this module, except for that message.

use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// What the processes of a family know.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Key([u64; 2]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

static KEY: Mutex<Option<Key>> = Mutex::new(None);

/// Returns the key of this process, for a worker.
pub(crate) fn key() -> Key {
    let mut key = KEY.lock().unwrap_or_else(PoisonError::into_inner);
    *key.get_or_insert_with(|| {
        // Each of these hashers has random keys of the system.
        Key([(); 2].map(|()| RandomState::new().hash_one(std::process::id())))
    })
}

/// Makes this process, a worker, belong to the family of its master. What it has signed before
/// belongs to no family.
pub(crate) fn join(family: Key) {
    *KEY.lock().unwrap_or_else(PoisonError::into_inner) = Some(family);
}

/// Returns a number that only a process of the family can compute, and that is another one for
/// other parts.
pub(crate) fn sign(parts: &[&[u8]]) -> u64 {
    let Key(key) = key();
    let mut hasher = DefaultHasher::new();
    for half in key {
        hasher.write_u64(half);
    }
    for part in parts {
        hasher.write_usize(part.len());
        hasher.write(part);
    }
    hasher.finish()
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
