//! Encoded values, with the descriptors in them: [`Encoded`], and [`Input`], one that was
//! received.

use std::mem;
use std::os::fd::OwnedFd;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ipc::wire::rights::{Descriptors, Lost};
use crate::ipc::{self, Fds};

/// Encoded values, and duplicates of the descriptors in them.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct Encoded {
    pub(crate) bytes: Vec<u8>,
    /// The descriptors of the first value, then of the next one. A value holds the
    /// positions of its own.
    pub(crate) descriptors: Fds,
}

/// How much was appended to an [`Encoded`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    pub(crate) bytes: usize,
    pub(crate) descriptors: usize,
}

impl Encoded {
    #[inline]
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            descriptors: Fds::default(),
        }
    }

    /// Appends a value. If that fails, nothing is appended.
    ///
    /// # Errors
    ///
    /// Returns the text of the error.
    #[inline]
    pub(crate) fn push<T: Serialize>(&mut self, value: &T) -> Result<(), String> {
        ipc::append(value, &mut self.bytes, &mut self.descriptors)
    }

    #[inline]
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            bytes: self.bytes.len(),
            descriptors: self.descriptors.len(),
        }
    }

    /// Removes what was appended after the mark.
    pub(crate) fn truncate(&mut self, mark: Mark) {
        self.bytes.truncate(mark.bytes);
        drop(self.descriptors.split_off(mark.descriptors));
    }

    #[inline]
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.descriptors = Fds::default();
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
            descriptors: Attachment::from(mem::take(&mut self.descriptors)),
        }
    }
}

/// A received value, and the descriptors in it.
#[doc(hidden)]
#[derive(Debug)]
pub struct Input<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) descriptors: Attachment,
}

/// The descriptors of a received value, or the news that they were lost. If there are none, it
/// takes little space.
#[derive(Debug, Default)]
pub(crate) struct Attachment(Option<Box<Descriptors>>);

impl Attachment {
    #[inline]
    pub(crate) fn into_descriptors(self) -> Descriptors {
        self.0.map_or(Ok(Vec::new()), |some| *some)
    }
}

impl From<Descriptors> for Attachment {
    fn from(descriptors: Descriptors) -> Self {
        match descriptors {
            Ok(none) if none.is_empty() => Self(None),
            some => Self(Some(Box::new(some))),
        }
    }
}

impl From<Fds> for Attachment {
    #[inline]
    fn from(descriptors: Fds) -> Self {
        if descriptors.is_empty() {
            return Self(None);
        }
        Self::from(Ok(descriptors.into_vec()))
    }
}

impl Input<'_> {
    /// Decodes the value from all of its bytes.
    ///
    /// # Errors
    ///
    /// Returns the text of the error.
    #[inline]
    pub(crate) fn decode<T: DeserializeOwned>(self) -> Result<T, String> {
        match self.descriptors.0 {
            None => ipc::decode_plain(self.bytes),
            Some(descriptors) => decode_with(self.bytes, *descriptors),
        }
    }
}

#[cold]
fn decode_with<T: DeserializeOwned>(bytes: &[u8], descriptors: Descriptors) -> Result<T, String> {
    ipc::decode(bytes, descriptors.map_err(|lost| lost.to_string())?)
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
            descriptors: descriptors.into(),
        })
    }
}

impl From<Encoded> for Kept {
    fn from(encoded: Encoded) -> Self {
        Self {
            bytes: encoded.bytes,
            descriptors: Ok(encoded.descriptors.into_vec()),
        }
    }
}

impl From<Input<'_>> for Kept {
    fn from(input: Input<'_>) -> Self {
        Self {
            bytes: input.bytes.to_vec(),
            descriptors: input.descriptors.into_descriptors(),
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
