//! Encoded values, with the descriptors in them: [`Encoded`], and [`Input`], one that was
//! received.

use std::os::fd::OwnedFd;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ipc;
use crate::ipc::wire::rights::{Descriptors, Lost};

/// Encoded values, and duplicates of the descriptors in them.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct Encoded {
    pub(crate) bytes: Vec<u8>,
    /// The descriptors of the first value, then of the next one. A value holds the
    /// positions of its own.
    pub(crate) descriptors: Vec<OwnedFd>,
}

/// How much was appended to an [`Encoded`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    pub(crate) bytes: usize,
    pub(crate) descriptors: usize,
}

impl Encoded {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            descriptors: Vec::new(),
        }
    }

    /// Appends a value. If that fails, nothing is appended.
    ///
    /// # Errors
    ///
    /// Returns the text of the error.
    pub(crate) fn push<T: Serialize>(&mut self, value: &T) -> Result<(), String> {
        let descriptors = ipc::encode(value, &mut self.bytes)?;
        if self.descriptors.is_empty() {
            self.descriptors = descriptors;
        } else {
            self.descriptors.extend(descriptors);
        }
        Ok(())
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark {
            bytes: self.bytes.len(),
            descriptors: self.descriptors.len(),
        }
    }

    /// Removes what was appended after the mark.
    pub(crate) fn truncate(&mut self, mark: Mark) {
        self.bytes.truncate(mark.bytes);
        self.descriptors.truncate(mark.descriptors);
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.descriptors.clear();
    }

    /// Removes and returns what was appended after the mark.
    pub(crate) fn split_off(&mut self, mark: Mark) -> Self {
        Self {
            bytes: self.bytes.split_off(mark.bytes),
            descriptors: self.descriptors.split_off(mark.descriptors),
        }
    }

    /// Returns the value, which is the only one.
    pub(crate) fn input(&mut self) -> Input<'_> {
        Input {
            bytes: &self.bytes,
            descriptors: Ok(std::mem::take(&mut self.descriptors)),
        }
    }
}

/// A received value, and the descriptors in it, unless they were lost.
#[doc(hidden)]
#[derive(Debug)]
pub struct Input<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) descriptors: Descriptors,
}

impl Input<'_> {
    /// Decodes the value from all of its bytes.
    ///
    /// # Errors
    ///
    /// Returns the text of the error.
    pub(crate) fn decode<T: DeserializeOwned>(self) -> Result<T, String> {
        let descriptors = self.descriptors.map_err(|lost| lost.to_string())?;
        ipc::decode(self.bytes, descriptors)
    }
}

/// A received value that may be decoded several times.
#[derive(Debug)]
pub(crate) struct Kept {
    bytes: Vec<u8>,
    descriptors: Descriptors,
}

impl Kept {
    /// Returns the value with duplicates of its descriptors.
    ///
    /// # Errors
    ///
    /// Returns the text of the error if the process has too many descriptors.
    pub(crate) fn input(&self) -> Result<Input<'_>, String> {
        let descriptors = match &self.descriptors {
            Ok(descriptors) => Ok(duplicates(descriptors)?),
            Err(Lost) => Err(Lost),
        };
        Ok(Input {
            bytes: &self.bytes,
            descriptors,
        })
    }
}

impl From<Encoded> for Kept {
    fn from(encoded: Encoded) -> Self {
        Self {
            bytes: encoded.bytes,
            descriptors: Ok(encoded.descriptors),
        }
    }
}

impl From<Input<'_>> for Kept {
    fn from(input: Input<'_>) -> Self {
        Self {
            bytes: input.bytes.to_vec(),
            descriptors: input.descriptors,
        }
    }
}

fn duplicates(descriptors: &[OwnedFd]) -> Result<Vec<OwnedFd>, String> {
    let duplicate = |descriptor: &OwnedFd| {
        let duplicate = descriptor.try_clone();
        duplicate.map_err(|error| format!("a descriptor could not be duplicated: {error}"))
    };
    descriptors.iter().map(duplicate).collect()
}
