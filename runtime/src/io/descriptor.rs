//! [`Async`]: a non-blocking descriptor whose operations wait on the loop.
#![expect(
    clippy::inline_always,
    reason = "the path of every read and write; see `net`'s `transfer`, which is polled through it"
)]

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::engine::core::sleep::Sleep;
use crate::engine::reactor::interest::Interest;
use crate::engine::reactor::readiness::Direction;
use crate::io::nonblocking::Nonblocking;
use crate::io::registration::{DeregisterMode, Failure, Registration};

/// A descriptor on the loop, whose operations wait instead of blocking the thread.
///
/// An operation is a closure that makes a non-blocking system call. It is called at
/// once, and again whenever the kernel reports that it may succeed, until it returns
/// anything but [`WouldBlock`](io::ErrorKind::WouldBlock) or `Interrupted`.
///
/// There are three ways to wait. The async methods may be awaited by any number of
/// tasks at once. The `poll_*` methods remember one task for each direction, the one
/// that polled last. The `try_*` methods never wait.
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
/// use coreloop::io::Async;
///
/// # fn main() -> std::io::Result<()> {
/// # coreloop::block_on(async {
/// let (reader, mut writer) = std::io::pipe()?;
/// let reader = Async::new(reader)?;
/// writer.write_all(b"ping")?;
/// let mut buffer = [0; 4];
/// let count = reader
///     .read_with(|mut reader: &PipeReader| reader.read(&mut buffer))
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

    /// Puts a descriptor on the loop that is already non-blocking, and stays so.
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

    /// Puts a non-blocking descriptor on the loop that `T` closes when it is dropped.
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

    /// Puts a non-blocking descriptor on the loop that several loops share.
    ///
    /// The loops of other threads or processes each have a duplicate of the descriptor.
    /// An event wakes one of the loops that are idle, not all of them.
    ///
    /// Use it for listeners. Of the loops that sleep, the kernel wakes the one that has
    /// waited for this descriptor longest (`EPOLLEXCLUSIVE`). It does not report the
    /// same connection to the others, though the next connection may wake them. So a
    /// task that was woken must accept until no connection is left. A task that wants
    /// no more connections takes the descriptor off the loop by
    /// [`into_inner`](Async::into_inner), and then accepts the ones that are there. If
    /// a loop dies before that, its connection waits for the next accept on another
    /// loop: a loop that is new to the descriptor polls the kernel first, and a loop
    /// that sleeps is woken by the next connection.
    ///
    /// Only reads can wait. On systems other than Linux this is
    /// [`from_nonblocking`](Async::from_nonblocking), and all loops are woken. The
    /// descriptor is deregistered before it is closed, because the duplicates would
    /// keep it registered.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no current runtime. On Linux, writes that have to
    /// wait return an error of kind [`InvalidInput`](io::ErrorKind::InvalidInput).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::TcpListener;
    /// use coreloop::io::Async;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// listener.set_nonblocking(true)?;
    /// let threads: Vec<_> = (0..2)
    ///     .map(|_| {
    ///         let listener = listener.try_clone()?;
    ///         Ok(std::thread::spawn(move || {
    ///             coreloop::block_on(async {
    ///                 let listener = Async::from_owned_exclusive(listener)?;
    ///                 listener.read_with(TcpListener::accept).await
    ///             })
    ///         }))
    ///     })
    ///     .collect::<std::io::Result<_>>()?;
    /// let address = listener.local_addr()?;
    /// let clients = [(); 2].map(|()| std::net::TcpStream::connect(address));
    /// for thread in threads {
    ///     thread.join().expect("no thread panics")?;
    /// }
    /// # drop(clients);
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_owned_exclusive(io: T) -> io::Result<Self> {
        Self::with(io, DeregisterMode::Exclusive)
    }

    #[inline]
    fn with(io: T, mode: DeregisterMode) -> io::Result<Self> {
        Ok(Self {
            registration: Registration::new(mode)?,
            io,
        })
    }

    /// Leaves events to other loops, until a task waits for this descriptor here again.
    ///
    /// This is for descriptors that are [exclusive](Async::from_owned_exclusive).
    ///
    /// Does nothing if the descriptor is not exclusive, or while another task waits for
    /// it.
    ///
    /// Use it in a loop that cannot accept for a while. A loop that is out of
    /// descriptors, for instance, would be woken for each connection, and no other loop
    /// would. A connection that this loop was already woken for waits for the next
    /// accept on any loop.
    pub fn leave_to_others(&self) {
        self.registration.leave_to_others(self.io.as_fd());
    }

    /// Returns a reference to the inner value, which owns the descriptor.
    #[inline]
    pub fn get_ref(&self) -> &T {
        &self.io
    }

    /// Returns a future that waits for `duration` on the loop of this descriptor.
    ///
    /// It may be polled anywhere; [`sleep`](crate::time::sleep) needs a current
    /// runtime.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        Sleep::on(Rc::clone(&self.registration.event_loop), duration)
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

    /// Waits until the read `operation` does not block, and returns its result.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost, if `operation` loses nothing when it would block.
    ///
    /// # Errors
    ///
    /// Returns an error if `operation` does, or if [`readable`](Async::readable) would.
    pub async fn read_with<R>(&self, operation: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.async_io(Interest::READABLE, operation).await
    }

    /// Waits until the write `operation` does not block, and returns its result.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost, if `operation` loses nothing when it would block.
    ///
    /// # Errors
    ///
    /// Returns an error if `operation` does, or if [`readable`](Async::readable) would.
    pub async fn write_with<R>(&self, operation: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.async_io(Interest::WRITABLE, operation).await
    }

    /// Polls a read `operation`, like [`read_with`](Async::read_with).
    ///
    /// Only the task that polled last is woken.
    ///
    /// # Errors
    ///
    /// Returns an error if `operation` does, or if [`readable`](Async::readable) would.
    #[inline]
    pub fn poll_read_with<R>(
        &self,
        cx: &mut Context<'_>,
        operation: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.poll_with(Direction::Read, cx, operation, |_| false)
    }

    /// Polls a write `operation`, like [`write_with`](Async::write_with).
    ///
    /// Only the task that polled last is woken.
    ///
    /// # Errors
    ///
    /// Returns an error if `operation` does, or if [`readable`](Async::readable) would.
    #[inline]
    pub fn poll_write_with<R>(
        &self,
        cx: &mut Context<'_>,
        operation: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.poll_with(Direction::Write, cx, operation, |_| false)
    }

    /// Polls a read `operation`, and wakes every task that polled.
    ///
    /// This is like [`poll_read_with`](Async::poll_read_with), which wakes only the
    /// last one.
    ///
    /// It costs a clone of each waker.
    ///
    /// It is for types that are polled through a shared reference. Any number of tasks
    /// may wait, and all of them are woken. A task that no longer waits is remembered
    /// until the next event, or until it has finished. A foreign waker, such as a
    /// collection of futures makes for each of them, is remembered until the next
    /// event. If there are more than 256, all are woken to poll again, and up to 256 of
    /// those that do are remembered.
    ///
    /// # Errors
    ///
    /// Returns an error if `operation` does, or if [`readable`](Async::readable) would.
    pub fn poll_read_shared<R>(
        &self,
        cx: &mut Context<'_>,
        operation: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.poll_shared(Direction::Read, cx, operation)
    }

    /// Polls a write `operation`, and wakes every task that polled.
    ///
    /// This is like [`poll_write_with`](Async::poll_write_with), which wakes only the
    /// last one.
    ///
    /// See [`poll_read_shared`](Async::poll_read_shared).
    ///
    /// # Errors
    ///
    /// Returns an error if `operation` does, or if [`readable`](Async::readable) would.
    pub fn poll_write_shared<R>(
        &self,
        cx: &mut Context<'_>,
        operation: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.poll_shared(Direction::Write, cx, operation)
    }

    /// Polls a read of up to `length` bytes from a stream.
    ///
    /// Only the task that polled last is woken.
    ///
    /// A read that returns fewer bytes has emptied the kernel's buffer, and the next
    /// one waits for an event without another system call; see epoll(7), question 9. So
    /// `operation` must be a read of a TCP connection, a pipe, or another stream on
    /// which a read is short for no other reason: not a peek, not a read of datagrams,
    /// and not a read of a Unix socket that may transfer descriptors, where the message
    /// that carries one ends a read.
    ///
    /// If `length` is 0, this returns 0 at once, without calling `operation`.
    ///
    /// # Errors
    ///
    /// Returns an error if `operation` does, or if [`readable`](Async::readable) would.
    #[inline(always)]
    pub fn poll_read_stream(
        &self,
        cx: &mut Context<'_>,
        length: usize,
        operation: impl FnMut(&T) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if length == 0 {
            return self.poll_nothing(cx);
        }
        self.poll_with(Direction::Read, cx, operation, |&count| {
            is_short(count, length)
        })
    }

    /// Polls a write of up to `length` bytes to a stream.
    ///
    /// Only the task that polled last is woken.
    ///
    /// A write that takes fewer bytes has filled the kernel's buffer, and the next one
    /// waits for an event without another system call.
    ///
    /// If `length` is 0, this returns 0 at once, without calling `operation`.
    ///
    /// # Errors
    ///
    /// Returns an error if `operation` does, or if [`readable`](Async::readable) would.
    #[inline(always)]
    pub fn poll_write_stream(
        &self,
        cx: &mut Context<'_>,
        length: usize,
        operation: impl FnMut(&T) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if length == 0 {
            return self.poll_nothing(cx);
        }
        self.poll_with(Direction::Write, cx, operation, |&count| {
            is_short(count, length)
        })
    }

    /// Calls a read `operation` if it may succeed now.
    ///
    /// # Errors
    ///
    /// Returns [`WouldBlock`](io::ErrorKind::WouldBlock) if the read would block,
    /// without calling `operation` if the loop knows that. Otherwise returns an error
    /// if `operation` does.
    pub fn try_read_with<R>(&self, operation: impl FnOnce(&T) -> io::Result<R>) -> io::Result<R> {
        self.try_with(Direction::Read, operation, |_| false)
    }

    /// Calls a write `operation` if it may succeed now.
    ///
    /// # Errors
    ///
    /// Returns an error under the same conditions as
    /// [`try_read_with`](Async::try_read_with).
    pub fn try_write_with<R>(&self, operation: impl FnOnce(&T) -> io::Result<R>) -> io::Result<R> {
        self.try_with(Direction::Write, operation, |_| false)
    }

    /// Reads up to `length` bytes of a stream, if there are any now.
    ///
    /// See [`poll_read_stream`](Async::poll_read_stream).
    ///
    /// # Errors
    ///
    /// Returns an error under the same conditions as
    /// [`try_read_with`](Async::try_read_with).
    pub fn try_read_stream(
        &self,
        length: usize,
        operation: impl FnOnce(&T) -> io::Result<usize>,
    ) -> io::Result<usize> {
        if length == 0 {
            return Ok(0);
        }
        self.try_with(Direction::Read, operation, |&count| is_short(count, length))
    }

    /// Writes up to `length` bytes to a stream, if it takes any now.
    ///
    /// See [`poll_write_stream`](Async::poll_write_stream).
    ///
    /// # Errors
    ///
    /// Returns an error under the same conditions as
    /// [`try_read_with`](Async::try_read_with).
    pub fn try_write_stream(
        &self,
        length: usize,
        operation: impl FnOnce(&T) -> io::Result<usize>,
    ) -> io::Result<usize> {
        if length == 0 {
            return Ok(0);
        }
        self.try_with(Direction::Write, operation, |&count| {
            is_short(count, length)
        })
    }

    /// Polls an operation. Every task that polled is woken.
    fn poll_shared<R>(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
        mut operation: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        loop {
            let failure = match self.attempt(direction, cx, &mut operation, |_| false) {
                Attempt::Done(value) => return Poll::Ready(Ok(value)),
                Attempt::Failed(failure) => failure,
            };
            match failure {
                Failure::Wait => {
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
                Failure::Again => {}
                Failure::Yield => return Poll::Pending,
                Failure::Error(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Polls an operation. Only the task that polled last in `direction` is woken.
    /// `short` returns whether a result shows that the next operation would block.
    #[inline(always)]
    fn poll_with<R>(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
        mut operation: impl FnMut(&T) -> io::Result<R>,
        short: impl Fn(&R) -> bool,
    ) -> Poll<io::Result<R>> {
        loop {
            let failure = match self.attempt(direction, cx, &mut operation, &short) {
                Attempt::Done(value) => return Poll::Ready(Ok(value)),
                Attempt::Failed(failure) => failure,
            };
            match failure {
                Failure::Wait => {
                    return match self
                        .registration
                        .register_waker(self.io.as_fd(), direction, cx)
                    {
                        None => Poll::Pending,
                        Some(error) => Poll::Ready(Err(error)),
                    };
                }
                Failure::Again => {}
                Failure::Yield => return Poll::Pending,
                Failure::Error(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Polls a transfer of no bytes, which never waits.
    #[cold]
    fn poll_nothing(&self, cx: &Context<'_>) -> Poll<io::Result<usize>> {
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
            return Attempt::Failed(Failure::Wait);
        }
        let budget = &self.registration.event_loop.tasks.budget;
        if budget.poll_left(cx).is_pending() {
            return Attempt::Failed(Failure::Yield);
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
            Err(error) => Attempt::Failed(self.registration.handle_error(error, direction)),
        }
    }

    /// Calls the operation unless the source knows that it would block. Spends no budget.
    fn try_with<R>(
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
fn is_short(count: usize, length: usize) -> bool {
    count < length && count != 0
}

/// The result of an attempt at an operation.
enum Attempt<R> {
    Done(R),
    Failed(Failure),
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
