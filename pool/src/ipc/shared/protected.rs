//! [`Protected`], the memory of a lock, as the broker of the lock gives it to a process of the
//! family.

use std::io;
use std::os::fd::OwnedFd;

use crate::ipc::broker::BrokerError;
use crate::ipc::broker::error::{available, garbled, unproved};
use crate::ipc::broker::link::{blocking_call, call};
use crate::ipc::broker::proof::{Purpose, Question};
use crate::ipc::broker::protocol::{Answer, Operation};
use crate::ipc::mutex::Mutex;

/// A lock, and the file whose memory it protects. No other lock has this file.
pub(super) struct Protected {
    lock: Mutex,
    file: OwnedFd,
}

impl Protected {
    /// Asks the broker of a lock for its memory.
    ///
    /// # Errors
    ///
    /// Returns an error if the lock is closed, its process cannot be reached or is not of the
    /// family, or this process has too many descriptors.
    pub(super) async fn of(lock: &Mutex) -> Result<Self, BrokerError> {
        let question = Question::new(lock.handle(), Purpose::Ask);
        let answer = call(lock.handle(), Operation::MEMORY, question.body()).await?;
        Self::answered(lock, &question, answer)
    }

    /// Does the same as [`of`](Self::of), and blocks this thread meanwhile.
    pub(super) fn blocking_of(lock: &Mutex) -> Result<Self, BrokerError> {
        let question = Question::new(lock.handle(), Purpose::Ask);
        let answer = blocking_call(lock.handle(), Operation::MEMORY, question.body())?;
        Self::answered(lock, &question, answer)
    }

    fn answered(lock: &Mutex, question: &Question, answer: Answer) -> Result<Self, BrokerError> {
        let no_room = |error: &io::Error| BrokerError::failed("the memory did not arrive", error);
        let Some(answer) = available(answer)? else {
            let what = "its process has too many descriptors (see `ulimit -n`)";
            return Err(no_room(&io::Error::other(what)));
        };
        if !question.is_answered_by(&answer.body) {
            return Err(unproved());
        }
        let descriptors = answer.descriptors.map_err(|lost| no_room(&lost.into()))?;
        let mut descriptors = descriptors.into_iter();
        let (Some(file), None) = (descriptors.next(), descriptors.next()) else {
            return Err(garbled());
        };
        Ok(Self {
            lock: lock.clone().of_memory(),
            file,
        })
    }

    pub(super) fn into_parts(self) -> (Mutex, OwnedFd) {
        (self.lock, self.file)
    }
}
