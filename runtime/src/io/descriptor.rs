//! [`Async`]: a non-blocking descriptor whose operations wait on the loop.
#![expect(
    clippy::inline_always,
    reason = "the path of every read and write; see `stream/futures.rs` in `net`, which is polled through it"
)]

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::task::{Context, Poll, ready};

use crate::engine::reactor::readiness::Direction;
use crate::io::nonblocking::Nonblocking;
use crate::io::registration::{DeregisterMode, NotDone, Registration};

/// A descriptor on the loop, whose operations wait instead of blocking the thread.
///
/// An operation is a closure that makes a non-blocking system call. It is called at
/// once, and again whenever the kernel reports that it may succeed, until it returns
/// anything but [`WouldBlock`](io::ErrorKind::WouldBlock) or `Interrupted`.
///
/// [`async_io`](Async::async_io) waits until an operation succeeds. To wait first and to
/// operate later, use [`ready`](Async::ready), [`readable`](Async::readable) or
/// [`writable`](Async::writable), and then [`try_io`](Async::try_io), which never waits.
/// Any number of tasks may await these at once. [`poll_readable`](Async::poll_readable)
/// and [`poll_writable`](Async::poll_writable) remember one task for each direction, the
/// one that polled last.
///
/// Each operation spends a unit of the task's [budget](crate::task::coop). An operation
/// that finds none is pending without having been tried, and is tried when the task is
/// polled again.
///
/// An `Async` keeps its loop alive, and may be dropped after its runtime. If the
/// runtime has been dropped, operations that would have to wait return an error of kind
/// `Other`. They also do in the `block_on` of [another
/// runtime](crate::Runtime#several-runtimes-on-one-thread) of the thread.
///
/// `T` must always return the same descriptor. Once it is registered, changing the
/// registration to another descriptor returns an error of kind
/// [`InvalidInput`](io::ErrorKind::InvalidInput).
///
/// # Examples
///
/// ```
/// use std::io::{PipeReader, Read, Write};
/// use coreloop::io::{Async, Interest};
///
/// # fn main() -> std::io::Result<()> {
/// # coreloop::block_on(async {
/// let (reader, mut writer) = std::io::pipe()?;
/// let reader = Async::new(reader)?;
/// writer.write_all(b"ping")?;
/// let mut buffer = [0; 4];
/// let count = reader
///     .async_io(Interest::READABLE, |mut reader: &PipeReader| reader.read(&mut buffer))
///     .await?;
/// assert_eq!(&buffer[..count], b"ping");
/// # Ok(())
/// # })
/// # }
/// ```
pub struct Async<T: AsFd> {
    // Dropped before the descriptor, which must still be open then.
    pub(super) registration: Registration,
    pub(super) io: T,
}

impl<T: AsFd> Async<T> {
    /// Puts a descriptor on the loop, and makes it non-blocking.
    ///
    /// It is registered with the kernel only when an operation would block.
    ///
    /// # Blocking again
    ///
    /// A descriptor that was blocking before is made blocking again when this `Async`
    /// is dropped, or when [`into_inner`](Async::into_inner) returns it. If several
    /// `Async`s have duplicates of it, the last of them does that. For this purpose a
    /// duplicate is kept until then.
    ///
    /// Meanwhile all duplicates are non-blocking, because the mode belongs to the open
    /// file description and not to the descriptor. Other code that uses a duplicate
    /// finds [`WouldBlock`](io::ErrorKind::WouldBlock). The standard streams of a
    /// program on a terminal are such duplicates: with the standard input in an
    /// `Async`, `println!` may panic. `coreloop::io::stdin` and its siblings leave them
    /// blocking.
    ///
    /// The descriptor stays non-blocking if the `Async` is forgotten, if the process
    /// ends without dropping it, for instance by a signal or
    /// [`exit`](std::process::exit), or if the system has no descriptor left for the
    /// duplicate.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no current runtime, or if the descriptor cannot be
    /// made non-blocking.
    pub fn new(io: T) -> io::Result<Self> {
        let mut registration = Registration::new(DeregisterMode::Own)?;
        registration.nonblocking = Nonblocking::make(io.as_fd())?;
        Ok(Self { registration, io })
    }

    /// Puts on the loop a descriptor that is already non-blocking, and that stays so.
    ///
    /// If it is blocking, its operations block the whole loop. A descriptor that is
    /// non-blocking because [`new`](Async::new) was given a duplicate of it does not
    /// stay so.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no current runtime.
    pub fn from_nonblocking(io: T) -> io::Result<Self> {
        Self::with(io, DeregisterMode::Own)
    }

    /// Puts on the loop a non-blocking descriptor that `T` closes when it is dropped.
    ///
    /// Closing a descriptor deregisters it, so this saves the system call that
    /// [`from_nonblocking`](Async::from_nonblocking) needs for that. If the descriptor
    /// was duplicated, the kernel continues to report events for the duplicate, which
    /// the loop ignores.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no current runtime.
    #[inline]
    pub fn from_owned(io: T) -> io::Result<Self>
    where
        T: Into<OwnedFd>,
    {
        Self::with(io, DeregisterMode::UntilClosed)
    }

    #[inline]
    pub(super) fn with(io: T, mode: DeregisterMode) -> io::Result<Self> {
        Ok(Self {
            registration: Registration::new(mode)?,
            io,
        })
    }

    /// Returns a reference to the inner value, which owns the descriptor.
    #[inline]
    pub fn get_ref(&self) -> &T {
        &self.io
    }

    /// Takes the descriptor off the loop, and returns it.
    ///
    /// If [`new`](Async::new) has made the descriptor non-blocking, it is made blocking
    /// again, unless another `Async` has a duplicate of it. Otherwise it stays
    /// non-blocking.
    ///
    /// # Errors
    ///
    /// Returns an error if the descriptor cannot be deregistered. It is closed then.
    pub fn into_inner(self) -> io::Result<T> {
        let Self { registration, io } = self;
        registration.close()?;
        Ok(io)
    }

    /// Polls an operation. Every task that polled is woken.
    pub(super) fn poll_shared<R>(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
        mut operation: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        loop {
            let not_done = match self.attempt(direction, cx, &mut operation, |_| false) {
                Attempt::Done(value) => return Poll::Ready(Ok(value)),
                Attempt::NotDone(not_done) => not_done,
            };
            match not_done {
                NotDone::Wait => {
                    let may_wait = self.registration.may_wait();
                    let watched = || self.registration.watched(self.io.as_fd(), direction);
                    match may_wait.and_then(|()| watched()) {
                        Ok(source) => {
                            let timers = &self.registration.event_loop.timers;
                            source.register_shared(direction, cx, || timers.read_clock());
                            return Poll::Pending;
                        }
                        // The operation was not tried yet: try it before failing.
                        Err(_) if self.registration.forget_short(direction) => {}
                        Err(error) => return Poll::Ready(Err(error)),
                    }
                }
                NotDone::Again => {}
                NotDone::Yield => return Poll::Pending,
                NotDone::Error(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Polls an operation. Only the task that polled last in `direction` is woken.
    /// `short` returns whether a result shows that the next operation would block.
    #[inline(always)]
    pub(super) fn poll_with<R>(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
        mut operation: impl FnMut(&T) -> io::Result<R>,
        short: impl Fn(&R) -> bool,
    ) -> Poll<io::Result<R>> {
        loop {
            let not_done = match self.attempt(direction, cx, &mut operation, &short) {
                Attempt::Done(value) => return Poll::Ready(Ok(value)),
                Attempt::NotDone(not_done) => not_done,
            };
            match not_done {
                NotDone::Wait => {
                    return match self
                        .registration
                        .register_waker(self.io.as_fd(), direction, cx)
                    {
                        None => Poll::Pending,
                        Some(error) => Poll::Ready(Err(error)),
                    };
                }
                NotDone::Again => {}
                NotDone::Yield => return Poll::Pending,
                NotDone::Error(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Polls a transfer of no bytes, which never waits.
    #[cold]
    pub(super) fn poll_nothing(&self, cx: &Context<'_>) -> Poll<io::Result<usize>> {
        let budget = &self.registration.event_loop.tasks.budget;
        ready!(budget.poll_left(cx));
        budget.spend();
        Poll::Ready(Ok(0))
    }

    /// Calls the operation if it may succeed and the task has budget left.
    #[inline(always)]
    fn attempt<R>(
        &self,
        direction: Direction,
        cx: &Context<'_>,
        operation: &mut impl FnMut(&T) -> io::Result<R>,
        short: impl Fn(&R) -> bool,
    ) -> Attempt<R> {
        let source = self.registration.source.get();
        let is_ready = match source {
            Some(source) => source.is_ready(direction),
            None => !self.registration.was_short(direction),
        };
        if !is_ready {
            return Attempt::NotDone(NotDone::Wait);
        }
        let budget = &self.registration.event_loop.tasks.budget;
        if budget.poll_left(cx).is_pending() {
            return Attempt::NotDone(NotDone::Yield);
        }
        match operation(&self.io) {
            Ok(value) => {
                budget.spend();
                if short(&value) {
                    match source {
                        Some(source) => source.clear_after_short(direction),
                        None => self.registration.note_short(direction),
                    }
                }
                Attempt::Done(value)
            }
            Err(error) => Attempt::NotDone(self.registration.handle_error(error, direction)),
        }
    }

    /// Calls the operation unless the source knows that it would block. Spends no budget.
    pub(super) fn try_with<R>(
        &self,
        direction: Direction,
        operation: impl FnOnce(&T) -> io::Result<R>,
        short: impl Fn(&R) -> bool,
    ) -> io::Result<R> {
        let source = self.registration.source.get();
        // A direction that the kernel does not watch may have become ready since.
        if source.is_some_and(|source| !source.is_ready(direction) && source.watches(direction)) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let result = operation(&self.io);
        if let Some(source) = source {
            match &result {
                Ok(value) if short(value) => source.clear_after_short(direction),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => source.clear(direction),
                _ => {}
            }
        }
        result
    }
}

/// Returns whether a transfer of `count` bytes shows that the next one would block. A
/// transfer of 0 bytes is the end of the stream, which stays, and for which no other
/// event comes.
#[inline]
pub(super) fn is_short(count: usize, length: usize) -> bool {
    count < length && count != 0
}

/// The result of an attempt at an operation.
enum Attempt<R> {
    Done(R),
    NotDone(NotDone),
}

impl<T: AsFd> AsFd for Async<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

impl<T: AsFd> AsRawFd for Async<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.io.as_fd().as_raw_fd()
    }
}

impl<T: AsFd + fmt::Debug> fmt::Debug for Async<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Async")
            .field("io", &self.io)
            .finish_non_exhaustive()
    }
}
