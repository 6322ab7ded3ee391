//! [`QueueService`], a queue as a service of a manager.

use std::cell::RefCell;
use std::collections::HashMap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use coreloop_runtime::__panics::caught;

use super::ops::{self, Op};
use super::state::{AtMost, Closed, Outcome, State, Step};
use crate::error::{Error, Kind};
use crate::services::{Answer, Peer, Serve, SessionId};

/// The names of the services that are queues begin with this.
pub(crate) const PREFIX: &str = "coreloop.queue:";

/// A queue as a service of a manager.
pub(crate) struct QueueService {
    name: String,
    state: RefCell<State>,
    /// The tasks of the requests that wait.
    wakers: RefCell<HashMap<u64, Waker>>,
}

impl QueueService {
    pub(crate) fn new(name: &str, capacity: usize) -> Self {
        Self {
            name: name.to_owned(),
            state: RefCell::new(State::new(capacity, fastrand::u64(..) >> 1)),
            wakers: RefCell::default(),
        }
    }

    /// Changes the state, and then wakes the requests that have an outcome.
    fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.borrow_mut();
        let result = change(&mut state);
        let woken = state.take_woken();
        drop(state);
        for waiter in woken {
            let waker = self.wakers.borrow_mut().remove(&waiter);
            if let Some(waker) = waker {
                // A waker may be user code, of a request in this process.
                caught(|| waker.wake());
            }
        }
        result
    }

    fn closed(&self) -> Error {
        Error::new(
            Kind::Closed,
            format!("the queue {:?} was closed", self.name),
        )
    }

    fn wait(self: &Rc<Self>, waiter: u64, session: SessionId) -> Answer {
        Answer::Later(Box::pin(Wait {
            queue: Rc::clone(self),
            waiter,
            session,
        }))
    }

    fn put(self: &Rc<Self>, session: SessionId, bodies: &[&[u8]], waits: bool) -> Answer {
        let bodies = bodies.iter().map(|body| body.to_vec()).collect();
        if !waits {
            let put = self.change(|state| state.try_put(bodies));
            return Answer::Now(put.map(ops::put).map_err(|Closed| self.closed()));
        }
        match self.change(|state| state.put(bodies)) {
            Ok(Step::Done(())) => Answer::Now(Ok(ops::put(true))),
            Ok(Step::Waits(waiter)) => self.wait(waiter, session),
            Err(Closed) => Answer::Now(Err(self.closed())),
        }
    }

    fn get(self: &Rc<Self>, peer: &Peer, max: u32, waits: bool) -> Answer {
        let session = peer.session();
        let max = AtMost {
            items: usize::try_from(max).unwrap_or(usize::MAX),
            bytes: peer.max_answer(),
        };
        let got = if waits {
            self.change(|state| state.get(session, max))
        } else {
            let got = self.change(|state| state.try_get(session, max));
            got.map(Step::Done)
        };
        match got {
            Ok(Step::Done(granted)) => Answer::Now(Ok(ops::granted(&granted))),
            Ok(Step::Waits(waiter)) => self.wait(waiter, session),
            Err(Closed) => Answer::Now(Err(self.closed())),
        }
    }

    /// Changes several leases, and answers how many of them the client had.
    fn leases(&self, leases: &[u64], mut change: impl FnMut(&mut State, u64) -> bool) -> Answer {
        let held = self.change(|state| {
            let changed = leases.iter().filter(|&&lease| change(state, lease));
            changed.count()
        });
        Answer::Now(Ok(ops::number(held as u64)))
    }
}

impl Serve for QueueService {
    fn request(self: Rc<Self>, peer: &Peer, body: &[u8]) -> Answer {
        let session = peer.session();
        match Op::parse(body) {
            Ok(Op::Put { waits, bodies }) => self.put(session, &bodies, waits),
            Ok(Op::Get { waits, max }) => self.get(peer, max, waits),
            Ok(Op::Ack(leases)) => self.leases(&leases, |state, lease| state.ack(session, lease)),
            Ok(Op::GiveBack(leases)) => {
                self.leases(&leases, |state, lease| state.give_back(session, lease))
            }
            Ok(Op::Len) => Answer::Now(Ok(ops::number(self.state.borrow().len() as u64))),
            Ok(Op::Join) => match self.change(State::join) {
                Step::Done(()) => Answer::Now(Ok(ops::done())),
                Step::Waits(waiter) => self.wait(waiter, session),
            },
            Ok(Op::Close) => {
                self.change(State::close);
                Answer::Now(Ok(ops::done()))
            }
            Err(malformed) => Answer::Now(Err(malformed.into())),
        }
    }

    fn gone(&self, session: SessionId) {
        self.change(|state| state.gone(session));
    }

    fn undelivered(&self, session: SessionId, answer: &[u8]) {
        for (lease, ..) in ops::parse_granted(answer).unwrap_or_default() {
            self.change(|state| state.give_back(session, lease));
        }
    }
}

/// A request that waits.
struct Wait {
    queue: Rc<QueueService>,
    waiter: u64,
    session: SessionId,
}

impl Future for Wait {
    type Output = Result<Vec<u8>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let queue = &self.queue;
        let outcome = queue.state.borrow_mut().take(self.waiter);
        Poll::Ready(match outcome {
            None => {
                let waker = cx.waker().clone();
                let previous = queue.wakers.borrow_mut().insert(self.waiter, waker);
                // Its destructor may be user code.
                drop(previous);
                return Poll::Pending;
            }
            Some(Outcome::Got(granted)) => Ok(ops::granted(&granted)),
            // The answer of a put. The client does not read the body of the answer of a join.
            Some(Outcome::Done) => Ok(ops::put(true)),
            Some(Outcome::Closed) => Err(queue.closed()),
        })
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let waker = self.queue.wakers.borrow_mut().remove(&self.waiter);
        let (waiter, session) = (self.waiter, self.session);
        self.queue.change(|state| state.cancel(waiter, session));
        drop(waker);
    }
}
