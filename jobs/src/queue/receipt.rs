//! [`Receipt`], the id of a job with the type of its result.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::engine::JobId;

/// The receipt of a pushed job: its id, and the type of its result.
///
/// A receipt can be stored, and the result asked for by another process. It is encoded as its id.
pub struct Receipt<R> {
    id: JobId,
    output: PhantomData<fn() -> R>,
}

impl<R> Receipt<R> {
    /// Creates the receipt of a job whose id is known, and whose result is an `R`.
    #[must_use]
    pub fn of(id: JobId) -> Self {
        Self {
            id,
            output: PhantomData,
        }
    }

    /// Returns the id of the job.
    #[must_use]
    pub fn id(&self) -> &JobId {
        &self.id
    }
}

impl<R> Clone for Receipt<R> {
    fn clone(&self) -> Self {
        Self::of(self.id.clone())
    }
}

impl<R> PartialEq for Receipt<R> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl<R> Eq for Receipt<R> {}

impl<R> Hash for Receipt<R> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl<R> fmt::Debug for Receipt<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receipt").field(&self.id).finish()
    }
}

impl<R> fmt::Display for Receipt<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

impl<R> Serialize for Receipt<R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.id.serialize(serializer)
    }
}

impl<'de, R> Deserialize<'de> for Receipt<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        JobId::deserialize(deserializer).map(Self::of)
    }
}
