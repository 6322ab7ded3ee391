//! [`Link`], what the handles of a client and its task share.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use coreloop_runtime::__panics::caught;
use coreloop_runtime::time::Instant;
use coreloop_sync::{Event, oneshot};

use super::book::{Book, Call, Caller};
use crate::connection::{Address, Connector};
use crate::error::{Error, Kind};
use crate::items;
use crate::secure::Key;
use crate::wire::{MAX_NAME, too_many};

/// How a client was set up.
pub(super) struct Settings {
    pub(super) address: Address,
    pub(super) key: Key,
    pub(super) allows_network: bool,
    pub(super) max_message: usize,
    pub(super) connect_timeout: Duration,
    pub(super) call_timeout: Duration,
    pub(super) unreachable_after: Duration,
    pub(super) tls: Option<Connector>,
}

/// A caller that waits for an answer.
pub(super) struct Waiting {
    pub(super) answer: oneshot::Sender<Result<Vec<u8>, Error>>,
    pub(super) since: Instant,
}

/// What the handles of a client and its task share.
pub(super) struct Link {
    pub(super) settings: Settings,
    pub(super) session: [u8; 16],
    pub(super) book: RefCell<Book<Waiting>>,
    /// The maximum length of a body that the manager accepts.
    pub(super) max_body: Cell<usize>,
    /// Why there is no connection, and since when.
    trouble: RefCell<Option<(Error, Instant)>>,
    waker: RefCell<Option<Waker>>,
    is_leaving: Cell<bool>,
    has_ended: Event,
}

impl Link {
    pub(super) fn new(settings: Settings, session: [u8; 16]) -> Rc<Self> {
        Rc::new(Self {
            max_body: Cell::new(settings.max_message),
            settings,
            session,
            book: RefCell::new(Book::new()),
            trouble: RefCell::default(),
            waker: RefCell::default(),
            is_leaving: Cell::new(false),
            has_ended: Event::new(),
        })
    }

    /// Adds a request, and returns its number.
    pub(super) fn add(
        &self,
        service: &Rc<str>,
        body: Vec<u8>,
        repeat: bool,
        answer: oneshot::Sender<Result<Vec<u8>, Error>>,
    ) -> Result<u64, Error> {
        let max = self.max_body.get();
        if body.len() > max {
            return Err(too_long(body.len(), max));
        }
        if service.len() > MAX_NAME {
            let text = format!("the name of a service has more than {MAX_NAME} bytes");
            return Err(Error::new(Kind::Invalid, text));
        }
        if self.is_leaving.get() {
            return Err(closed());
        }
        if self.book.borrow().is_full() {
            return Err(too_many());
        }
        let since = Instant::now();
        let id = self.book.borrow_mut().add(Call {
            service: Rc::clone(service),
            body,
            repeat,
            caller: Caller::Waiting(Waiting { answer, since }),
        });
        self.wake();
        Ok(id)
    }

    /// Adds a request whose answer is not of interest.
    pub(super) fn notify(&self, service: &Rc<str>, body: Vec<u8>) {
        // After the end there is no session, and so no lease.
        if self.has_ended.is_set() {
            return;
        }
        self.book.borrow_mut().add(Call {
            service: Rc::clone(service),
            body,
            repeat: false,
            caller: Caller::Notice,
        });
        self.wake();
    }

    /// The caller of a request has gone.
    pub(super) fn cancel(&self, id: u64) {
        let caller = self.book.borrow_mut().leave(id);
        drop(caller);
        self.wake();
    }

    /// Gives back an answer for which no caller waits any more.
    pub(super) fn undelivered(&self, service: &Rc<str>, answer: &[u8]) {
        if service.starts_with(items::PREFIX)
            && let Some(body) = items::give_back(answer)
        {
            self.notify(service, body);
        }
    }

    /// Leaves the manager.
    pub(super) fn leave(&self) {
        self.is_leaving.set(true);
        self.wake();
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.is_leaving.get()
    }

    /// Waits until the client leaves.
    pub(super) async fn leaving(&self) {
        poll_fn(|cx| {
            self.keep_waker(cx.waker());
            if self.is_leaving() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// Waits until the task of the client has ended.
    pub(super) async fn ended(&self) {
        self.has_ended.wait().await;
    }

    pub(super) fn is_connected(&self) -> bool {
        !self.has_ended.is_set() && self.trouble.borrow().is_none()
    }

    /// Returns what to say about the connection when a deadline has passed.
    pub(super) fn trouble(&self) -> String {
        match &*self.trouble.borrow() {
            Some((error, _)) => format!(": there is no connection with the manager: {error}"),
            None => String::new(),
        }
    }

    /// There is a connection.
    pub(super) fn set_connected(&self) {
        self.trouble.borrow_mut().take();
    }

    /// There is no connection, for this reason. Requests that have waited for too long fail.
    pub(super) fn set_trouble(&self, error: Error) {
        let now = Instant::now();
        let mut trouble = self.trouble.borrow_mut();
        let since = trouble.as_ref().map_or(now, |(_, since)| *since);
        let text = format!(
            "the manager at {} was out of reach for {:?}: {error}",
            self.settings.address, self.settings.unreachable_after
        );
        *trouble = Some((error, since));
        drop(trouble);
        let limit = self.settings.unreachable_after;
        let is_late = |caller: &Waiting| {
            let since = since.max(caller.since);
            now.saturating_duration_since(since) >= limit
        };
        let late = self.book.borrow_mut().leave_all(is_late);
        let error = Error::new(Kind::Io(std::io::ErrorKind::NotConnected), text);
        fail(late, &error);
    }

    /// Ends all requests, because the task of the client has ended.
    pub(super) fn end(&self) {
        self.is_leaving.set(true);
        self.has_ended.set();
        let callers = self.book.borrow_mut().leave_all(|_| true);
        fail(callers, &closed());
    }

    pub(super) fn keep_waker(&self, waker: &Waker) {
        let mut place = self.waker.borrow_mut();
        match &mut *place {
            Some(own) => own.clone_from(waker),
            None => *place = Some(waker.clone()),
        }
    }

    fn wake(&self) {
        let waker = self.waker.borrow().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Gives callers an error. Their wakers may be user code.
pub(super) fn fail(callers: Vec<Waiting>, error: &Error) {
    for caller in callers {
        let error = error.clone();
        caught(|| drop(caller.answer.send(Err(error))));
    }
}

/// Returns the error of a request that has more bytes than the manager accepts.
pub(super) fn too_long(length: usize, max: usize) -> Error {
    let text = format!("the request has {length} bytes, and at most {max} are allowed");
    Error::new(Kind::Codec, text)
}

pub(super) fn closed() -> Error {
    Error::new(Kind::Closed, "the client was closed")
}
