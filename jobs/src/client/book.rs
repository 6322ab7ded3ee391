//! [`Book`], what a client knows of its requests. It does no I/O.
//!
//! # Invariants
//!
//! 1. Requests are sent in the order of their numbers. So `sent` says which were sent: all up to
//!    this number.
//! 2. A request is kept until it was answered, or, if it is a notice, until the manager says that
//!    it has come.
//! 3. A request whose caller has gone is kept as well, if it was sent: its answer may be one that
//!    has to be given back.
//! 4. If the manager has lost the session, a request that was sent may have been carried out. It
//!    fails, unless it may be made twice.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use crate::wire::{ClientFrame, MAX_REQUESTS};

/// The requests of a client. `A` is the caller that waits for an answer.
pub(crate) struct Book<A> {
    /// The number of the last request.
    last: u64,
    /// The number of the last request that was sent in this session.
    sent: u64,
    calls: BTreeMap<u64, Call<A>>,
    /// How many of them are no notices.
    unanswered: usize,
    /// The notices that were sent, and about which the manager has not said that they have come.
    notices: VecDeque<u64>,
    /// The requests to cancel.
    cancels: VecDeque<u64>,
    /// How many answers have come on this connection.
    received: u64,
    /// What the manager has called its record of the session.
    record: Option<u64>,
}

/// A request.
pub(crate) struct Call<A> {
    pub(crate) service: Rc<str>,
    pub(crate) body: Vec<u8>,
    /// Whether it may be made twice.
    pub(crate) repeat: bool,
    pub(crate) caller: Caller<A>,
}

/// The callers whose requests are not made on a new connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dropped<A> {
    /// The manager may have carried out their requests.
    pub(crate) lost: Vec<A>,
    /// Their requests are longer than the manager accepts now: they have this number of bytes.
    pub(crate) too_long: Vec<(A, usize)>,
}

/// What waits for the answer of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Caller<A> {
    Waiting(A),
    /// The caller has gone.
    Gone(Rc<str>),
    /// The request is a notice, to which there is no answer.
    Notice,
}

impl<A> Book<A> {
    pub(crate) fn new() -> Self {
        Self {
            last: 0,
            sent: 0,
            calls: BTreeMap::new(),
            unanswered: 0,
            notices: VecDeque::new(),
            cancels: VecDeque::new(),
            received: 0,
            record: None,
        }
    }

    /// Returns whether the client has as many requests without an answer as the manager accepts.
    /// The manager has no more of them: each request that it gets says which answers have come.
    pub(crate) fn is_full(&self) -> bool {
        self.unanswered >= MAX_REQUESTS
    }

    /// Adds a request, and returns its number.
    pub(crate) fn add(&mut self, call: Call<A>) -> u64 {
        self.last += 1;
        self.unanswered += usize::from(call.caller.gets_answer());
        self.calls.insert(self.last, call);
        self.last
    }

    /// The caller of a request has gone. Returns the caller.
    pub(crate) fn leave(&mut self, id: u64) -> Option<A> {
        let call = self.calls.get_mut(&id)?;
        if id > self.sent {
            let call = self.calls.remove(&id)?;
            self.unanswered -= usize::from(call.caller.gets_answer());
            return call.caller.waiting();
        }
        let gone = Caller::Gone(Rc::clone(&call.service));
        let caller = std::mem::replace(&mut call.caller, gone).waiting();
        // The bytes are not sent again.
        call.body = Vec::new();
        self.cancels.push_back(id);
        caller
    }

    /// Returns the requests that were made, and whose answers have not come.
    pub(crate) fn unanswered(&self) -> Vec<u64> {
        let calls = self.calls.iter();
        let awaited = calls.filter(|(_, call)| call.caller.gets_answer());
        awaited.map(|(&id, _)| id).collect()
    }

    /// A new connection begins: the manager calls its record of the session so, the last request
    /// that has come has the number `last`, and a request may have `max` bytes. Returns the callers
    /// whose requests are not made.
    pub(crate) fn welcome(&mut self, record: u64, last: u64, max: usize) -> Dropped<A> {
        let is_known = self.record == Some(record);
        let sent = self.sent;
        let (mut lost, mut too_long) = (Vec::new(), Vec::new());
        let mut kept = BTreeMap::new();
        for (id, call) in std::mem::take(&mut self.calls) {
            let has_come = id <= last;
            let keep = match &call.caller {
                Caller::Waiting(_) => is_known || id > sent || call.repeat,
                // A request that has not come is not sent any more.
                Caller::Gone(_) => is_known && has_come,
                Caller::Notice if is_known => !has_come,
                Caller::Notice => id > sent,
            };
            let length = call.body.len();
            if !keep {
                lost.extend(call.caller.waiting());
            } else if !has_come && length > max {
                // The manager would end each connection on which it is sent.
                too_long.extend(call.caller.waiting().map(|caller| (caller, length)));
            } else {
                kept.insert(id, call);
            }
        }
        self.calls = kept;
        let calls = self.calls.values();
        self.unanswered = calls.filter(|call| call.caller.gets_answer()).count();
        self.record = Some(record);
        self.sent = last;
        self.received = 0;
        self.notices.clear();
        let gone = self.calls.iter();
        let gone = gone.filter(|(_, call)| matches!(call.caller, Caller::Gone(_)));
        self.cancels = gone.map(|(&id, _)| id).collect();
        Dropped { lost, too_long }
    }

    /// Calls `write` with the next frame; returns `false` if there is none.
    pub(crate) fn next(&mut self, write: impl FnOnce(&ClientFrame<'_>)) -> bool {
        let received = self.received;
        if let Some(id) = self.cancels.pop_front() {
            write(&ClientFrame::Cancel { received, id });
            return true;
        }
        let Some((&id, call)) = self.calls.range(self.sent + 1..).next() else {
            return false;
        };
        let is_notice = matches!(call.caller, Caller::Notice);
        write(&ClientFrame::Request {
            received,
            id,
            is_notice,
            service: &call.service,
            body: &call.body,
        });
        self.sent = id;
        if is_notice {
            self.notices.push_back(id);
        }
        true
    }

    /// Returns whether there are frames to send.
    pub(crate) fn has_unsent(&self) -> bool {
        !self.cancels.is_empty() || self.calls.range(self.sent + 1..).next().is_some()
    }

    /// An answer has come. Returns its caller; `None` if the manager has made the answer up.
    pub(crate) fn answered(&mut self, id: u64) -> Option<Caller<A>> {
        self.received += 1;
        if id > self.sent {
            return None;
        }
        let caller = self.calls.remove(&id)?.caller;
        if !caller.gets_answer() {
            return None;
        }
        self.unanswered -= 1;
        Some(caller)
    }

    /// The manager says which request has come last.
    pub(crate) fn confirm(&mut self, last: u64) {
        while self.notices.front().is_some_and(|&id| id <= last) {
            if let Some(id) = self.notices.pop_front() {
                self.calls.remove(&id);
            }
        }
    }

    /// Returns how many answers have come on this connection.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Returns the callers that `is_late` chooses, and forgets their requests: they leave.
    pub(crate) fn leave_all(&mut self, is_late: impl Fn(&A) -> bool) -> Vec<A> {
        let late: Vec<u64> = self
            .calls
            .iter()
            .filter(|(_, call)| matches!(&call.caller, Caller::Waiting(caller) if is_late(caller)))
            .map(|(&id, _)| id)
            .collect();
        late.into_iter().filter_map(|id| self.leave(id)).collect()
    }

    /// Returns whether no request waits to be sent, answered or confirmed.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }
}

impl<A> Caller<A> {
    /// Returns whether the manager answers the request.
    fn gets_answer(&self) -> bool {
        match self {
            Self::Waiting(_) | Self::Gone(_) => true,
            Self::Notice => false,
        }
    }

    fn waiting(self) -> Option<A> {
        match self {
            Self::Waiting(caller) => Some(caller),
            Self::Gone(_) | Self::Notice => None,
        }
    }
}
