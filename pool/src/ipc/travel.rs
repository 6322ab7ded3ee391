//! [`End`], the encoded form of an end that travels to another process.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;

use serde::de::Error as _;
use serde::ser::{Error, SerializeTuple};
use serde::{Deserialize, Deserializer, Serializer};

use super::socket::Socket;
use super::{attach, detach, error, fail};

/// An end that has come from another process. It is encoded as the position of its socket and its
/// limit.
pub(super) struct End {
    pub(super) socket: OwnedFd,
    pub(super) max_message: usize,
}

impl End {
    pub(super) fn serialize<S: Serializer>(
        socket: BorrowedFd<'_>,
        max_message: usize,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let position = attach(socket).map_err(S::Error::custom)?;
        let mut end = serializer.serialize_tuple(2)?;
        end.serialize_element(&position)?;
        end.serialize_element(&(max_message as u64))?;
        end.end()
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Self, D::Error> {
        let (position, max_message) = <(u32, u64)>::deserialize(deserializer)?;
        Ok(Self {
            socket: detach(position).map_err(D::Error::custom)?,
            max_message: usize::try_from(max_message).unwrap_or(usize::MAX),
        })
    }
}

/// Converts the error of an end that cannot travel to an error of its encoding.
pub(super) fn check<E: Error>(checked: io::Result<()>) -> Result<(), E> {
    checked.map_err(|error| {
        let text = format!("the end of a pipe cannot be sent: {error}");
        fail(&text);
        E::custom(text)
    })
}

/// Returns an error if an end is a half.
pub(super) fn check_whole(is_half: bool) -> io::Result<()> {
    match is_half {
        false => Ok(()),
        true => Err(error::invalid("it is a half of a pipe that was split")),
    }
}

/// Returns the descriptor of a socket, whose other owner is dropped.
pub(super) fn descriptor<T>(socket: Rc<Socket>, owner: T) -> io::Result<OwnedFd> {
    drop(owner);
    match Rc::try_unwrap(socket) {
        Ok(socket) => socket.into_descriptor(),
        Err(shared) => std::os::fd::AsFd::as_fd(&*shared).try_clone_to_owned(),
    }
}
