//! Waiting for answers without a loop.

use std::io::{self, ErrorKind};
use std::thread;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::Client;
use crate::ipc::broker::protocol::Answer;
use crate::ipc::broker::{BrokerError, PAUSE};
use crate::ipc::wire::is_short_of_memory;

impl Client {
    /// Blocks this thread until a request has an answer, or until the deadline.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection has ended, or at the deadline.
    pub(in crate::ipc::broker) fn block(
        &self,
        request: u64,
        deadline: Option<Instant>,
    ) -> Result<Answer, BrokerError> {
        loop {
            if let Some(result) = self.table.take(request) {
                return result;
            }
            if self.flush() && deadline.is_none() {
                // A single system call instead of two.
                let filled = self.incoming.borrow_mut().fill(&*self.socket);
                match filled {
                    Err(error) if is_short_of_memory(&error) => thread::sleep(PAUSE),
                    filled => self.filled(filled),
                }
            } else if self.wait(deadline).map_err(|error| lost(&error))? {
                self.receive_now();
            } else {
                return Err(BrokerError::timeout());
            }
        }
    }

    /// Blocks this thread until all is written, or the connection has ended. Reads meanwhile,
    /// because the broker does not read while its answers are not.
    pub(super) fn block_to_write(&self) {
        self.block_to_write_until(None);
    }

    /// Like [`block_to_write`](Self::block_to_write), until the deadline at most.
    pub(super) fn block_to_write_until(&self, deadline: Option<Instant>) {
        while self.table.failure().is_none() && !self.flush() {
            match self.wait(deadline) {
                Ok(true) => self.receive_now(),
                Ok(false) => return,
                Err(error) => self.fail(lost(&error)),
            }
        }
    }

    /// Blocks this thread until there is something to read, or room for what is left to write.
    /// Returns false if the deadline has passed.
    fn wait(&self, deadline: Option<Instant>) -> io::Result<bool> {
        if self.must_pause.take() {
            thread::sleep(PAUSE);
        }
        let mut events = PollFlags::IN;
        events.set(PollFlags::OUT, self.out.borrow().has_more());
        let mut watched = [PollFd::new(&*self.socket, events)];
        loop {
            let limit = match deadline {
                None => None,
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    // A limit that is too long for the system is none.
                    Timespec::try_from(left).ok()
                }
            };
            match poll(&mut watched, limit.as_ref()) {
                Ok(0) => return Ok(false),
                Ok(_) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn lost(error: &io::Error) -> BrokerError {
    match error.kind() {
        ErrorKind::WouldBlock => BrokerError::timeout(),
        _ => BrokerError::failed("the socket cannot be waited for", error),
    }
}
