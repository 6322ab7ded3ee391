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

use crate::engine::reactor::interest::Interest;
use crate::engine::reactor::readiness::Direction;
use crate::engine::timers::sleep::Sleep;
use crate::io::nonblocking::Nonblocking;
use crate::io::registration::{Failure, Hold, Registration};

/// A descriptor on the loop: its operations wait instead of blocking.
///
/// An operation is a closure that does a non-blocking system call. It is called
/// at once, and again whenever the kernel says that it may succeed, until it
/// returns anything but [`WouldBlock`](io::ErrorKind::WouldBlock).
/// `Interrupted` is tried again.
///
/// There are three ways to wait. The async methods may be awaited by any number
/// of tasks at once. The `poll_*` methods remember one task for each direction,
/// the last that polled. The `try_*` methods never wait.
///
/// Each operation spends a unit of the task's [budget](crate::task::coop). One that finds
/// none is pending without having been tried, and is tried when the task is polled again.
///
/// An `Async` holds its loop, and may be dropped after its runtime. Operations
/// that would have to wait then give an error of kind `Other`. So do they in the `block_on`
/// of [another runtime](crate::Runtime#several-runtimes-on-one-thread) of the thread.
///
/// The descriptor that `T` gives must stay the same. Once it is registered, a change
/// of the registration for another one is refused, with an error of kind
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
    // Before the descriptor, which must be open when this is dropped.
    pub(super) registration: Registration,
    pub(super) io: T,
}

impl<T: AsFd> Async<T> {
    /// Puts a descriptor on the loop, after making it non-blocking.
    ///
    /// Nothing is registered with the kernel before an operation would block.
    ///
    /// # Blocking again
    ///
    /// A descriptor that was blocking before is so again when this `Async` is dropped,
    /// or gives it back by [`into_inner`](Async::into_inner); if several have
    /// duplicates of it, when the last of them does. For that, a duplicate is kept
    /// until then.
    ///
    /// Meanwhile all duplicates are non-blocking, as the mode belongs to what is open and
    /// not to the descriptor, and other code that uses one finds
    /// [`WouldBlock`](io::ErrorKind::WouldBlock). The standard streams of a program on a
    /// terminal are such duplicates: with its input in an `Async`, `println!` may panic.
    /// `coreloop::io::stdin` and its siblings leave them blocking.
    ///
    /// The descriptor stays non-blocking if the `Async` is forgotten, if the process
    /// ends without dropping it, as by a signal or [`exit`](std::process::exit), and if
    /// the system has no descriptor left for the duplicate.
    ///
    /// # Errors
    ///
    /// Outside a runtime, or if the descriptor cannot be made non-blocking.
    pub fn new(io: T) -> io::Result<Async<T>> {
        let mut registration = Registration::new(Hold::Own)?;
        registration.nonblocking = Nonblocking::make(io.as_fd())?;
        Ok(Async { registration, io })
    }

    /// Puts a descriptor on the loop that is non-blocking already, and stays so.
    ///
    /// If it is not, its operations block the whole loop. One that is non-blocking
    /// because [`new`](Async::new) has made a duplicate so does not stay so.
    ///
    /// # Errors
    ///
    /// Outside a runtime.
    pub fn from_nonblocking(io: T) -> io::Result<Async<T>> {
        Async::with(io, Hold::Own)
    }

    /// Puts a descriptor on the loop that is non-blocking already, and that
    /// `T` closes when it is dropped.
    ///
    /// As closing takes it out of the kernel's list, this saves the system call
    /// that [`from_nonblocking`](Async::from_nonblocking) needs for that. If
    /// the descriptor was duplicated, the kernel goes on reporting events for
    /// the duplicate, which are ignored.
    ///
    /// # Errors
    ///
    /// Outside a runtime.
    #[inline]
    pub fn from_owned(io: T) -> io::Result<Async<T>>
    where
        T: Into<OwnedFd>,
    {
        Async::with(io, Hold::UntilClosed)
    }

    /// Puts a descriptor on the loop that is non-blocking already, and that others
    /// have too: other processes or threads, each with a duplicate on a loop of its
    /// own. What comes wakes one of those that are idle, not all of them.
    ///
    /// It is for listeners. Of the loops that sleep, the kernel takes the one that has
    /// waited for this descriptor first (`EPOLLEXCLUSIVE`), and counts on it: the
    /// others are not told of the same connection, though the next one may wake them.
    /// So who was woken accepts until nothing is left, and who wants no more takes the
    /// descriptor off the loop by [`into_inner`](Async::into_inner) and then accepts what
    /// is there. A loop that dies before that leaves a connection to whoever looks next:
    /// one that is new to the descriptor asks the kernel first, and one that sleeps is
    /// woken by the next connection.
    ///
    /// Only reads can wait. On other systems than Linux this is
    /// [`from_nonblocking`](Async::from_nonblocking), and all loops are woken. The
    /// descriptor is taken off the loop before it is closed, since the duplicates keep
    /// it in the kernel's list.
    ///
    /// # Errors
    ///
    /// Outside a runtime. On Linux, operations that have to wait to write fail with
    /// [`InvalidInput`](io::ErrorKind::InvalidInput).
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
    pub fn from_owned_exclusive(io: T) -> io::Result<Async<T>> {
        Async::with(io, Hold::Exclusive)
    }

    #[inline]
    fn with(io: T, hold: Hold) -> io::Result<Async<T>> {
        Ok(Async {
            registration: Registration::new(hold)?,
            io,
        })
    }

    /// Lets other loops have what comes to a descriptor that is
    /// [exclusive](Async::from_owned_exclusive), until somebody waits for it here again.
    /// Does nothing to one that is not, or while another task waits for it.
    ///
    /// For a loop that cannot accept for a while: one that is out of descriptors, say,
    /// would be woken for each connection, and nobody else would. What it was woken for
    /// already is left to whoever looks next.
    pub fn leave_to_others(&self) {
        self.registration.leave_to_others(self.io.as_fd());
    }

    /// The descriptor.
    #[inline]
    pub fn get_ref(&self) -> &T {
        &self.io
    }

    /// Waits for `duration` on the loop of this descriptor, wherever the result
    /// is polled. [`sleep`](crate::time::sleep) needs to be in a runtime.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        Sleep::on(Rc::clone(&self.registration.event_loop), duration)
    }

    /// Takes the descriptor off the loop.
    ///
    /// If [`new`](Async::new) has made it non-blocking it is blocking again, unless
    /// another `Async` has a duplicate of it. Otherwise it stays non-blocking.
    ///
    /// # Errors
    ///
    /// If the kernel does not let it go; the descriptor is closed then.
    pub fn into_inner(self) -> io::Result<T> {
        let Async { registration, io } = self;
        registration.close()?;
        Ok(io)
    }

    /// Does a read operation, when it can be done.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost, if `operation` loses nothing when it would
    /// block.
    ///
    /// # Errors
    ///
    /// What `operation` returns, or as [`readable`](Async::readable).
    pub async fn read_with<R>(&self, operation: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.async_io(Interest::READABLE, operation).await
    }

    /// Does a write operation, when it can be done.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost, if `operation` loses nothing when it would
    /// block.
    ///
    /// # Errors
    ///
    /// What `operation` returns, or as [`readable`](Async::readable).
    pub async fn write_with<R>(&self, operation: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.async_io(Interest::WRITABLE, operation).await
    }

    /// As [`read_with`](Async::read_with), for the last task that polls.
    ///
    /// # Errors
    ///
    /// What `operation` returns, or as [`readable`](Async::readable).
    #[inline]
    pub fn poll_read_with<R>(
        &self,
        context: &mut Context<'_>,
        operation: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.poll_with(Direction::Read, context, operation, |_| false)
    }

    /// As [`write_with`](Async::write_with), for the last task that polls.
    ///
    /// # Errors
    ///
    /// What `operation` returns, or as [`readable`](Async::readable).
    #[inline]
    pub fn poll_write_with<R>(
        &self,
        context: &mut Context<'_>,
        operation: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.poll_with(Direction::Write, context, operation, |_| false)
    }

    /// As [`poll_read_with`](Async::poll_read_with), but every task that polled is
    /// woken, not the last alone. It costs a clone of each waker.
    ///
    /// For types that are polled by a shared reference. Any number of tasks may wait,
    /// and all of them are woken. A task that does not wait any more is remembered until
    /// the next event, or until it has finished. A foreign waker, such as a collection of
    /// futures makes for each of them, is remembered until the next event; when there are
    /// more than 256, all are woken to poll again, and as many as do so are remembered.
    ///
    /// # Errors
    ///
    /// What `operation` returns, or as [`readable`](Async::readable).
    pub fn poll_read_shared<R>(
        &self,
        context: &mut Context<'_>,
        operation: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.poll_shared(Direction::Read, context, operation)
    }

    /// As [`poll_write_with`](Async::poll_write_with), but every task that polled is
    /// woken; see [`poll_read_shared`](Async::poll_read_shared).
    ///
    /// # Errors
    ///
    /// What `operation` returns, or as [`readable`](Async::readable).
    pub fn poll_write_shared<R>(
        &self,
        context: &mut Context<'_>,
        operation: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.poll_shared(Direction::Write, context, operation)
    }

    /// Reads up to `length` bytes of a stream, for the last task that polls.
    ///
    /// A read that gives fewer bytes has emptied the kernel's buffer, and the
    /// next one waits for an event without another system call; see epoll(7),
    /// question 9. So `operation` must be a read of a TCP connection, a pipe, or
    /// another stream that ends a read early for no other reason: not a peek,
    /// not of datagrams, and not of a Unix socket over which descriptors may
    /// come, where the message that brings one ends a read.
    ///
    /// If `length` is 0, this gives 0 at once, without calling `operation`.
    ///
    /// # Errors
    ///
    /// What `operation` returns, or as [`readable`](Async::readable).
    #[inline(always)]
    pub fn poll_read_stream(
        &self,
        context: &mut Context<'_>,
        length: usize,
        operation: impl FnMut(&T) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if length == 0 {
            return self.poll_nothing(context);
        }
        self.poll_with(Direction::Read, context, operation, |&count| {
            is_short(count, length)
        })
    }

    /// Writes up to `length` bytes to a stream, for the last task that polls.
    ///
    /// A write that takes fewer bytes has filled the kernel's buffer, and the
    /// next one waits for an event without another system call.
    ///
    /// If `length` is 0, this gives 0 at once, without calling `operation`.
    ///
    /// # Errors
    ///
    /// What `operation` returns, or as [`readable`](Async::readable).
    #[inline(always)]
    pub fn poll_write_stream(
        &self,
        context: &mut Context<'_>,
        length: usize,
        operation: impl FnMut(&T) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if length == 0 {
            return self.poll_nothing(context);
        }
        self.poll_with(Direction::Write, context, operation, |&count| {
            is_short(count, length)
        })
    }

    /// Does a read operation if it can be done now.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if it cannot, without calling
    /// `operation` where the loop knows; else what `operation` returns.
    pub fn try_read_with<R>(&self, operation: impl FnOnce(&T) -> io::Result<R>) -> io::Result<R> {
        self.try_with(Direction::Read, operation, |_| false)
    }

    /// Does a write operation if it can be done now.
    ///
    /// # Errors
    ///
    /// As [`try_read_with`](Async::try_read_with).
    pub fn try_write_with<R>(&self, operation: impl FnOnce(&T) -> io::Result<R>) -> io::Result<R> {
        self.try_with(Direction::Write, operation, |_| false)
    }

    /// Reads up to `length` bytes of a stream if there are any now; see
    /// [`poll_read_stream`](Async::poll_read_stream).
    ///
    /// # Errors
    ///
    /// As [`try_read_with`](Async::try_read_with).
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

    /// Writes up to `length` bytes to a stream if it takes any now; see
    /// [`poll_write_stream`](Async::poll_write_stream).
    ///
    /// # Errors
    ///
    /// As [`try_read_with`](Async::try_read_with).
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

    fn poll_shared<R>(
        &self,
        direction: Direction,
        context: &mut Context<'_>,
        mut operation: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        loop {
            let failure = match self.attempt(direction, context, &mut operation, |_| false) {
                Attempt::Over(value) => return Poll::Ready(Ok(value)),
                Attempt::Failed(failure) => failure,
            };
            match failure {
                Failure::Wait => {
                    let may_wait = self.registration.may_wait();
                    let watched = || self.registration.watched(self.io.as_fd(), direction);
                    match may_wait.and_then(|()| watched()) {
                        Ok(source) => {
                            let timers = &self.registration.event_loop.timers;
                            source.park_shared(direction, context, || timers.nanos());
                            return Poll::Pending;
                        }
                        // The operation was not tried yet.
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

    #[inline(always)]
    fn poll_with<R>(
        &self,
        direction: Direction,
        context: &mut Context<'_>,
        mut operation: impl FnMut(&T) -> io::Result<R>,
        short: impl Fn(&R) -> bool,
    ) -> Poll<io::Result<R>> {
        loop {
            let failure = match self.attempt(direction, context, &mut operation, &short) {
                Attempt::Over(value) => return Poll::Ready(Ok(value)),
                Attempt::Failed(failure) => failure,
            };
            match failure {
                Failure::Wait => {
                    return match self.registration.park(self.io.as_fd(), direction, context) {
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

    /// Transfers no bytes, which never waits.
    #[cold]
    fn poll_nothing(&self, context: &Context<'_>) -> Poll<io::Result<usize>> {
        let budget = &self.registration.event_loop.tasks.budget;
        ready!(budget.poll_left(context));
        budget.spend();
        Poll::Ready(Ok(0))
    }

    /// Calls the operation, if it may succeed.
    #[inline(always)]
    fn attempt<R>(
        &self,
        direction: Direction,
        context: &Context<'_>,
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
        if budget.poll_left(context).is_pending() {
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
                Attempt::Over(value)
            }
            Err(error) => Attempt::Failed(self.registration.failed(error, direction)),
        }
    }

    fn try_with<R>(
        &self,
        direction: Direction,
        operation: impl FnOnce(&T) -> io::Result<R>,
        short: impl Fn(&R) -> bool,
    ) -> io::Result<R> {
        let source = self.registration.source.get();
        // What the kernel does not watch may have become ready since.
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

/// Whether a transfer of `count` bytes shows that no more can be had. None at
/// all is the end of the stream, which stays, and is not announced twice.
#[inline]
fn is_short(count: usize, length: usize) -> bool {
    count < length && count != 0
}

/// What came of a call of an operation.
enum Attempt<R> {
    Over(R),
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
