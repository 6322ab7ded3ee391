//! The keys of jobs (invariant 6).

use async_nats::jetstream::kv::CreateErrorKind;
use sha2::{Digest, Sha256};

use super::buckets::sending;
use super::names;
use super::server::{Server, engine};
use crate::engine::JobId;
use crate::error::Error;
use crate::secure::random;

/// The longest key that is the key of an entry. The hash of a longer one is.
const MAX_KEY: usize = 128;

/// The id for a job that is pushed.
pub(super) struct NewId {
    pub(super) id: JobId,
    /// Whether the job may be stored already, by an earlier push with its key.
    pub(super) is_known: bool,
}

impl NewId {
    /// Returns a random id.
    pub(super) fn random() -> Result<Self, Error> {
        Ok(Self {
            id: JobId(hexadecimal(&random::<16>()?)),
            is_known: false,
        })
    }

    /// Returns the id of the first push with a key.
    pub(super) async fn of_key(server: &Server, key: &str) -> Result<Self, Error> {
        let key = entry_key(key);
        let new = Self::random()?;
        loop {
            match server.keys.create(&key, new.id.0.clone().into()).await {
                Ok(_) => return Ok(new),
                Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {}
                Err(error) => return Err(sending(error)),
            }
            // It may have ended meanwhile.
            if let Some(id) = server.keys.get(&key).await.map_err(engine)? {
                let id = String::from_utf8_lossy(&id).into_owned();
                return Ok(Self {
                    id: JobId(id),
                    is_known: true,
                });
            }
        }
    }
}

fn entry_key(key: &str) -> String {
    if key.len() <= MAX_KEY {
        // It may be empty.
        return format!("key-{}", names::encode(key));
    }
    format!("hash-{}", hexadecimal(&Sha256::digest(key.as_bytes())))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
