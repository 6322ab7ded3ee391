//! [`Protected`], the memory of a lock, as the broker of the lock gives it to a process of the
//! family.

use std::io;
use std::os::fd::OwnedFd;

use crate::family;
use crate::ipc::broker::BrokerError;
use crate::ipc::broker::error::{available, garbled};
use crate::ipc::broker::link::{blocking_call, call};
use crate::ipc::broker::protocol::{Answer, Operation};
use crate::ipc::mutex::Mutex;

/// A lock, and the file whose memory it protects. No other lock has this file.
pub(super) struct Protected {
    lock: Mutex,
    file: OwnedFd,
}

/// Returns what a process has to know to get the memory of a lock. No message to user code
/// contains it.
pub(super) fn password() -> u64 {
    family::sign(&[b"memory of a lock"])
}

impl Protected {
    /// Asks the broker of a lock for its memory.
    ///
    /// # Errors
    ///
    /// Returns an error if the lock is closed, its process cannot be reached, or this process has
    /// too many descriptors.
    pub(super) async fn of(lock: &Mutex) -> Result<Self, BrokerError> {
        let body = password().to_le_bytes();
        let answer = call(lock.handle(), Operation::MEMORY, &body).await?;
        Self::answered(lock, answer)
    }

    /// Does the same as [`of`](Self::of), and blocks this thread meanwhile.
    pub(super) fn blocking_of(lock: &Mutex) -> Result<Self, BrokerError> {
        let body = password().to_le_bytes();
        let answer = blocking_call(lock.handle(), Operation::MEMORY, &body)?;
        Self::answered(lock, answer)
    }

    fn answered(lock: &Mutex, answer: Answer) -> Result<Self, BrokerError> {
        let no_room = |error: &io::Error| BrokerError::failed("the memory did not arrive", error);
        let Some(answer) = available(answer)? else {
            let what = "its process has too many descriptors (see `ulimit -n`)";
            return Err(no_room(&io::Error::other(what)));
        };
        let descriptors = answer.descriptors.map_err(|lost| no_room(&lost.into()))?;
        let mut descriptors = descriptors.into_iter();
        let (Some(file), None) = (descriptors.next(), descriptors.next()) else {
            return Err(garbled());
        };
        Ok(Self {
            lock: lock.clone(),
            file,
        })
    }

    pub(super) fn into_parts(self) -> (Mutex, OwnedFd) {
        (self.lock, self.file)
    }
}
