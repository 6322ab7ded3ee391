//! [`Link`], the way from this thread to a broker, and the requests that go over it.

use std::fmt;
use std::future::poll_fn;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use coreloop_runtime::task::coop::poll_proceed;
use coreloop_runtime::time::timeout;

use super::client::Client;
use super::error::BrokerError;
use super::handle::{Address, Handle};
use super::protocol::{Answer, Operation};
use super::server::{self, Broker};
use super::state::{NO_REQUEST, ObjectNumber};
use super::table::Table;
use crate::home::Home;

/// The way to a broker.
#[derive(Clone)]
pub(crate) enum Link {
    /// The broker is on this thread.
    Local(Rc<Broker>),
    /// It is in another process, or on another thread.
    Remote(Rc<Client>),
}

impl Link {
    pub(super) fn to(address: &Address) -> Result<Self, BrokerError> {
        match server::on_this_thread(address) {
            Some(broker) => Ok(Self::Local(broker)),
            None => Client::of(address).map(Self::Remote),
        }
    }

    fn address(&self) -> &Address {
        match self {
            Self::Local(broker) => broker.address(),
            Self::Remote(client) => client.address(),
        }
    }

    fn table(&self) -> &Table {
        match self {
            Self::Local(broker) => broker.local(),
            Self::Remote(client) => client.table(),
        }
    }

    /// Refuses the use of the link in a copy of the process that has made it: the broker and the
    /// socket belong to the original.
    fn check_home(&self) -> Result<(), BrokerError> {
        match self.home().is_here() {
            true => Ok(()),
            false => Err(BrokerError::forked()),
        }
    }

    /// Returns the process that has made the link.
    pub(crate) fn home(&self) -> Home {
        match self {
            Self::Local(broker) => broker.home(),
            Self::Remote(client) => client.home(),
        }
    }

    fn send(
        &self,
        request: u64,
        operation: Operation,
        object: ObjectNumber,
        body: &[u8],
        descriptors: Vec<OwnedFd>,
    ) -> Result<(), BrokerError> {
        self.check_home()?;
        match self {
            Self::Local(broker) => broker.call(request, operation, object, body, descriptors),
            Self::Remote(client) => client.send(request, operation, object, body, descriptors),
        }
    }

    /// Sends a request.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection has ended, if too many requests of this thread are open,
    /// or if the message is too large.
    pub(crate) fn request(
        &self,
        operation: Operation,
        object: ObjectNumber,
        body: &[u8],
        descriptors: Vec<OwnedFd>,
    ) -> Result<Pending, BrokerError> {
        let request = self.table().add()?;
        let pending = Pending {
            link: self.clone(),
            object,
            request,
            is_open: true,
        };
        self.send(request, operation, object, body, descriptors)?;
        Ok(pending)
    }

    /// Sends an operation that has no answer.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection has ended, or if the message is too large.
    pub(crate) fn notify(
        &self,
        operation: Operation,
        object: ObjectNumber,
        body: &[u8],
        descriptors: Vec<OwnedFd>,
    ) -> Result<(), BrokerError> {
        self.send(NO_REQUEST, operation, object, body, descriptors)
    }

    /// Like [`notify`](Self::notify), but leaves it to the next message, or to
    /// [`poll_flushed`](Self::poll_flushed), to write it.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection has ended, or if the message is too large.
    pub(crate) fn notify_later(
        &self,
        operation: Operation,
        object: ObjectNumber,
        body: &[u8],
        descriptors: Vec<OwnedFd>,
    ) -> Result<(), BrokerError> {
        self.check_home()?;
        match self {
            Self::Local(_) => self.notify(operation, object, body, descriptors),
            Self::Remote(client) => client.push(NO_REQUEST, operation, object, body, descriptors),
        }
    }

    /// Writes all messages. If the socket is full, this is left to the current loop; without one it
    /// blocks.
    pub(crate) fn write(&self) {
        if let Self::Remote(client) = self {
            client.write();
        }
    }

    /// Polls until the kernel has all messages: they arrive even if this process is killed.
    pub(crate) fn poll_flushed(&self, cx: &mut Context<'_>) -> Poll<Result<(), BrokerError>> {
        self.check_home()?;
        match self {
            Self::Local(_) => Poll::Ready(Ok(())),
            Self::Remote(client) => client.poll_flushed(cx),
        }
    }

    /// Blocks this thread until the kernel has all messages.
    pub(crate) fn block_flushed(&self) -> Result<(), BrokerError> {
        self.check_home()?;
        match self {
            Self::Local(_) => Ok(()),
            Self::Remote(client) => client.block_flushed(),
        }
    }

    /// Returns a number for this connection, which no other one has while it exists.
    pub(crate) fn id(&self) -> usize {
        match self {
            Self::Local(broker) => Rc::as_ptr(broker).addr(),
            Self::Remote(client) => Rc::as_ptr(client).addr(),
        }
    }

    fn withdraw(&self, request: u64, operation: Operation) {
        match self {
            Self::Local(broker) => broker.withdraw(request, operation),
            Self::Remote(client) => client.withdraw(request, operation),
        }
    }

    /// Returns why the connection has ended, if it has.
    pub(crate) fn failure(&self) -> Option<BrokerError> {
        match self {
            Self::Local(broker) => broker.failure(),
            Self::Remote(client) => client.failure(),
        }
    }

    /// Like [`failure`](Self::failure), but reads nothing, and so wakes no task.
    pub(crate) fn known_failure(&self) -> Option<BrokerError> {
        match self {
            Self::Local(broker) => broker.failure(),
            Self::Remote(client) => client.table().failure(),
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(broker) => broker.fmt(f),
            Self::Remote(client) => client.fmt(f),
        }
    }
}

/// A request that was sent. Dropping it withdraws the request, whatever has become of it.
#[derive(Debug)]
pub(crate) struct Pending {
    link: Link,
    object: ObjectNumber,
    request: u64,
    is_open: bool,
}

impl Pending {
    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    /// The number of the request, by which other operations can refer to it.
    pub(crate) fn number(&self) -> u64 {
        self.request
    }

    /// Polls for the next answer. In a copy of the process that has asked, it is an error: what was
    /// granted belongs to the original.
    pub(crate) fn poll_answer(&self, cx: &Context<'_>) -> Poll<Result<Answer, BrokerError>> {
        self.link.check_home()?;
        let answer = self.link.table().poll(self.request, cx);
        if answer.is_pending()
            && let Link::Remote(client) = &self.link
        {
            client.watch()?;
        }
        answer
    }

    /// Blocks this thread until the next answer, or until the deadline.
    pub(crate) fn block(&self, deadline: Option<Instant>) -> Result<Answer, BrokerError> {
        self.link.check_home()?;
        match &self.link {
            Link::Local(broker) => broker
                .local()
                .take(self.request)
                .unwrap_or_else(|| Err(BrokerError::would_deadlock())),
            Link::Remote(client) => client.block(self.request, deadline),
        }
    }

    /// Returns the next answer if it was read already.
    pub(crate) fn take_read(&self) -> Option<Result<Answer, BrokerError>> {
        if let Err(error) = self.link.check_home() {
            return Some(Err(error));
        }
        self.link.table().take(self.request)
    }

    /// Ends a request whose last answer has come.
    pub(crate) fn finish(mut self) {
        self.is_open = false;
        self.link.table().remove(self.request);
    }

    /// Turns a request that was granted into what it holds.
    pub(crate) fn hold(mut self) -> Held {
        self.is_open = false;
        self.link.table().hold(self.request);
        Held {
            link: self.link.clone(),
            object: self.object,
            request: self.request,
            panicked_before: thread::panicking(),
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.is_open {
            self.link.table().remove(self.request);
            self.link.withdraw(self.request, Operation::WITHDRAW);
        }
    }
}

/// What a request holds. It is released when this value is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    link: Link,
    object: ObjectNumber,
    request: u64,
    /// The thread panicked already when the value was created.
    panicked_before: bool,
}

impl Held {
    /// Returns whether this is held of the object of a handle.
    pub(crate) fn is_of(&self, handle: &Handle) -> bool {
        self.object == handle.number() && self.link.address() == handle.address()
    }

    /// Returns whether the connection over which this was granted still stands.
    pub(crate) fn is_valid(&self) -> bool {
        self.link.failure().is_none()
    }

    /// Sends an operation on the object about this request, which has no answer.
    pub(crate) fn notify(&self, operation: Operation, object: ObjectNumber) {
        // Without a connection, the item goes back to the queue when this is dropped.
        let request = self.request.to_le_bytes();
        let _ = self.link.notify(operation, object, &request, Vec::new());
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.link.table().released();
        let operation = if thread::panicking() && !self.panicked_before {
            Operation::WITHDRAW_PANICKING
        } else {
            Operation::WITHDRAW
        };
        self.link.withdraw(self.request, operation);
    }
}

/// Sends a request once this task may, and returns it with its first answer.
pub(crate) async fn ask(
    handle: &Handle,
    operation: Operation,
    body: &[u8],
) -> Result<(Answer, Pending), BrokerError> {
    poll_fn(poll_proceed).await;
    let link = handle.link()?;
    let pending = link.request(operation, handle.number(), body, Vec::new())?;
    let answer = poll_fn(|cx| pending.poll_answer(cx)).await?;
    Ok((answer, pending))
}

/// Like [`ask`], but returns an error when the time has passed.
pub(crate) async fn ask_timeout(
    handle: &Handle,
    operation: Operation,
    body: &[u8],
    limit: Duration,
) -> Result<(Answer, Pending), BrokerError> {
    match timeout(limit, ask(handle, operation, body)).await {
        Ok(result) => result,
        Err(_) => Err(BrokerError::timeout()),
    }
}

/// Like [`ask`], and blocks this thread, until the deadline at most.
pub(crate) fn blocking_ask(
    handle: &Handle,
    operation: Operation,
    body: &[u8],
    deadline: Option<Instant>,
) -> Result<(Answer, Pending), BrokerError> {
    let link = handle.link()?;
    let pending = link.request(operation, handle.number(), body, Vec::new())?;
    let answer = pending.block(deadline)?;
    Ok((answer, pending))
}

/// Sends a request that has one answer, and returns it.
pub(crate) async fn call(
    handle: &Handle,
    operation: Operation,
    body: &[u8],
) -> Result<Answer, BrokerError> {
    let (answer, pending) = ask(handle, operation, body).await?;
    pending.finish();
    Ok(answer)
}

/// Like [`call`], and blocks this thread.
pub(crate) fn blocking_call(
    handle: &Handle,
    operation: Operation,
    body: &[u8],
) -> Result<Answer, BrokerError> {
    let (answer, pending) = blocking_ask(handle, operation, body, None)?;
    pending.finish();
    Ok(answer)
}

/// The time at which a limit that begins now has passed; `None` if that is never.
pub(crate) fn deadline(limit: Duration) -> Option<Instant> {
    Instant::now().checked_add(limit)
}
