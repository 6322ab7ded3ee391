//! [`Book`], what a manager knows of the requests of one session. It does no I/O.
//!
//! # Invariants
//!
//! 1. Each request is begun once in a session, because numbers only grow.
//! 2. Each request that was begun, and is no notice, is answered once. The answer is kept until
//!    the client has counted it on the connection on which it was sent, or does not name it when
//!    it comes back.

use std::collections::{BTreeMap, VecDeque};

use crate::error::{Error, Kind};
use crate::wire::{MAX_REQUESTS, Malformed, Response, too_many};

/// The requests of one session. `H` is what aborts a request that runs.
pub(crate) struct Book<H> {
    /// The number of the last request that has come.
    last: u64,
    requests: BTreeMap<u64, Request<H>>,
    /// The answers that are to be sent on this connection, in this order.
    unsent: VecDeque<u64>,
    /// How many bytes they have.
    unsent_bytes: usize,
    /// The answers that were sent on this connection, and that the client has not counted.
    sent: VecDeque<u64>,
    /// How many answers the client has counted on this connection.
    counted: u64,
}

enum Request<H> {
    Running(Option<H>),
    Answered(Response<Vec<u8>>),
}

impl<H> Book<H> {
    pub(crate) fn new() -> Self {
        Self {
            last: 0,
            requests: BTreeMap::new(),
            unsent: VecDeque::new(),
            unsent_bytes: 0,
            sent: VecDeque::new(),
            counted: 0,
        }
    }

    /// Returns the number of the last request that has come.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// Begins a request. Returns `false` if the client has too many; the request is answered then.
    pub(crate) fn begin(&mut self, id: u64, is_notice: bool) -> Result<bool, Malformed> {
        if id <= self.last {
            return Err(Malformed);
        }
        self.last = id;
        if is_notice {
            return Ok(true);
        }
        // A client that never counts its answers is broken.
        if self.requests.len() >= 2 * MAX_REQUESTS {
            return Err(Malformed);
        }
        self.requests.insert(id, Request::Running(None));
        if self.requests.len() > MAX_REQUESTS {
            self.answer(id, Response::new(Err(too_many()), 0));
            return Ok(false);
        }
        Ok(true)
    }

    /// Keeps what aborts a request. Returns it if the request was answered already.
    pub(crate) fn set_running(&mut self, id: u64, handle: H) -> Option<H> {
        match self.requests.get_mut(&id) {
            Some(Request::Running(place)) => {
                *place = Some(handle);
                None
            }
            _ => Some(handle),
        }
    }

    /// Answers a request. An answer that is not expected is dropped.
    pub(crate) fn answer(&mut self, id: u64, response: Response<Vec<u8>>) {
        if let Some(request) = self.requests.get_mut(&id)
            && matches!(request, Request::Running(_))
        {
            self.unsent_bytes += response.len();
            *request = Request::Answered(response);
            self.unsent.push_back(id);
        }
    }

    /// Cancels a request that was not answered, and answers that it was. Returns what aborts it.
    pub(crate) fn cancel(&mut self, id: u64) -> Option<H> {
        let Some(Request::Running(handle)) = self.requests.get_mut(&id) else {
            return None;
        };
        let handle = handle.take();
        let error = Error::new(Kind::Closed, "the request was cancelled");
        self.answer(id, Response::new(Err(error), 0));
        handle
    }

    /// The client has counted this number of answers on this connection.
    pub(crate) fn count(&mut self, counted: u64) -> Result<(), Malformed> {
        let more = counted.checked_sub(self.counted).ok_or(Malformed)?;
        if more > self.sent.len() as u64 {
            return Err(Malformed);
        }
        for _ in 0..more {
            if let Some(id) = self.sent.pop_front() {
                self.requests.remove(&id);
            }
        }
        self.counted = counted;
        Ok(())
    }

    /// Returns the next answer to send, and notes that it was sent.
    pub(crate) fn next(&mut self) -> Option<(u64, Response<&[u8]>)> {
        let id = self.unsent.pop_front()?;
        // Only answered requests are in the list, and they are removed after they were sent.
        let Some(Request::Answered(response)) = self.requests.get(&id) else {
            return None;
        };
        self.sent.push_back(id);
        self.unsent_bytes -= response.len();
        Some((id, response.as_ref()))
    }

    /// Returns how many bytes the answers have that are to be sent.
    pub(crate) fn unsent_bytes(&self) -> usize {
        self.unsent_bytes
    }

    /// Returns whether there are answers to send.
    pub(crate) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// The client has come back on a new connection, and waits for these requests, upwards.
    /// Returns what aborts the others.
    pub(crate) fn resume(&mut self, unanswered: &[u64]) -> Vec<H> {
        let mut aborted = Vec::new();
        self.requests.retain(|id, request| {
            let is_awaited = unanswered.binary_search(id).is_ok();
            if !is_awaited && let Request::Running(handle) = request {
                aborted.extend(handle.take());
            }
            is_awaited
        });
        self.sent.clear();
        self.counted = 0;
        self.unsent.clear();
        self.unsent_bytes = 0;
        for (&id, request) in &self.requests {
            if let Request::Answered(response) = request {
                self.unsent.push_back(id);
                self.unsent_bytes += response.len();
            }
        }
        aborted
    }

    /// Ends the session. Returns what aborts the requests that run.
    pub(crate) fn end(&mut self) -> Vec<H> {
        self.resume(&[])
    }

    /// Returns how many requests are known.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        self.requests.len()
    }
}
