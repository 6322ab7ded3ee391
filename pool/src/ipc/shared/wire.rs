//! How shared memory is encoded in a message.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::os::fd::OwnedFd;

use bytemuck::{AnyBitPattern, NoUninit};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::check;
use super::map::size_of_element;
use crate::ipc::{attach, detach, refuse};

/// A file beside the message, and how many elements it has.
#[derive(Serialize, Deserialize)]
pub(super) struct Attached {
    descriptor: u32,
    length: u64,
}

impl Attached {
    /// Adds a duplicate of the descriptor to the message that is being encoded.
    pub(super) fn new(file: &OwnedFd, length: u64) -> Result<Self, String> {
        Ok(Self {
            descriptor: attach(file)?,
            length,
        })
    }

    /// Takes the descriptor from the message that is being decoded.
    pub(super) fn take(self) -> Result<(OwnedFd, u64), String> {
        Ok((detach(self.descriptor)?, self.length))
    }
}

/// Returns the error of a deserializer, whose text the receiver of the message gets.
pub(super) fn refused<E: de::Error>(why: &impl ToString) -> E {
    E::custom(refuse(why.to_string()))
}

/// Values within the message, as bytes in the order of this machine.
pub(super) enum Bytes<'a, T> {
    Sent(&'a [T]),
    Received(Box<[T]>),
}

impl<'a, T: AnyBitPattern + NoUninit> Bytes<'a, T> {
    pub(super) fn of(values: &'a [T]) -> Self {
        Self::Sent(values)
    }

    pub(super) fn into_values(self) -> Box<[T]> {
        match self {
            Self::Sent(values) => values.into(),
            Self::Received(values) => values,
        }
    }
}

impl<T: AnyBitPattern + NoUninit> Serialize for Bytes<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let values: &[T] = match self {
            Self::Sent(values) => values,
            Self::Received(values) => values,
        };
        serializer.serialize_bytes(bytemuck::cast_slice(values))
    }
}

impl<'de, T: AnyBitPattern + NoUninit> Deserialize<'de> for Bytes<'_, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_bytes(Values(PhantomData))
            .map(Self::Received)
    }
}

struct Values<T>(PhantomData<T>);

impl<T: AnyBitPattern + NoUninit> de::Visitor<'_> for Values<T> {
    type Value = Box<[T]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the bytes of values that have {} bytes each",
            size_of::<T>()
        )
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        copy(bytes).map_err(|error| refused(&error))
    }
}

/// Copies bytes, which may not be aligned, to values.
fn copy<T: AnyBitPattern + NoUninit>(bytes: &[u8]) -> io::Result<Box<[T]>> {
    let length = check::elements_in(bytes.len() as u64, size_of_element::<T>())?;
    let mut values = zeroed(usize::try_from(length).map_err(io::Error::other)?)?;
    bytemuck::cast_slice_mut(&mut values).copy_from_slice(bytes);
    Ok(values)
}

/// Allocates values whose bytes are zero.
pub(super) fn zeroed<T: AnyBitPattern>(length: usize) -> io::Result<Box<[T]>> {
    check::bytes_of(length, size_of_element::<T>())?;
    bytemuck::try_zeroed_slice_box(length).map_err(|()| io::ErrorKind::OutOfMemory.into())
}
