//! Operations on an [`Async`] for the other crates of coreloop: their streams, sockets and
//! listeners.
//!
//! Users have `ready`, `async_io` and `try_io`, as in tokio. What is here is faster, or
//! serves the workers of a supervisor: closures that are polled in place, wakers of
//! several tasks that share a listener, and registrations of which the kernel wakes one.
#![expect(
    clippy::inline_always,
    reason = "the path of every read and write; see `net`'s streams, which are polled through it"
)]

use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::engine::core::context;
use crate::engine::core::sleep::Sleep;
use crate::engine::reactor::interest::Interest;
use crate::engine::reactor::readiness::Direction;
use crate::io::counted;
use crate::io::descriptor::{Async, is_short};
use crate::io::registration::DeregisterMode;

impl<T: AsFd> Async<T> {
    /// Puts on the loop a non-blocking descriptor that several loops share.
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
    #[doc(hidden)]
    pub fn from_owned_exclusive(io: T) -> io::Result<Self> {
        Self::with(io, DeregisterMode::Exclusive)
    }

    /// Like [`from_owned`](Async::from_owned), for a connection that is counted in
    /// [`connection_counts`](super::connection_counts) until it is dropped or leaves the
    /// loop.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no current runtime.
    #[doc(hidden)]
    pub fn from_owned_counted(io: T) -> io::Result<Self> {
        let counted = Self::with(io, DeregisterMode::Counted)?;
        counted::accepted();
        Ok(counted)
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
    #[doc(hidden)]
    pub fn leave_to_others(&self) {
        self.registration.leave_to_others(self.io.as_fd());
    }

    /// Returns whether the descriptor is on the current loop of this thread.
    #[doc(hidden)]
    #[must_use]
    pub fn is_on_current_loop(&self) -> bool {
        context::is_current(&self.registration.event_loop)
    }

    /// Returns a future that waits for `duration` on the loop of this descriptor.
    ///
    /// It may be polled anywhere; [`sleep`](crate::time::sleep) needs a current
    /// runtime.
    #[doc(hidden)]
    pub fn sleep(&self, duration: Duration) -> Sleep {
        Sleep::on(Rc::clone(&self.registration.event_loop), duration)
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
    #[doc(hidden)]
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
    /// Returns an error if `operation` does, or if [`writable`](Async::writable) would.
    #[doc(hidden)]
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
    #[doc(hidden)]
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
    /// Returns an error if `operation` does, or if [`writable`](Async::writable) would.
    #[doc(hidden)]
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
    #[doc(hidden)]
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
    /// Returns an error if `operation` does, or if [`writable`](Async::writable) would.
    #[doc(hidden)]
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
    #[doc(hidden)]
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

    /// Polls a read `operation`. `is_short` returns whether a result shows that the read has
    /// emptied the kernel's buffer, so that the next one has to wait for an event.
    ///
    /// This is like [`poll_read_stream`](Async::poll_read_stream), for reads that may also be
    /// short for another reason. Only the task that polled last is woken.
    ///
    /// # Errors
    ///
    /// Returns an error if `operation` does, or if [`readable`](Async::readable) would.
    #[doc(hidden)]
    #[inline]
    pub fn poll_read_or_short<R>(
        &self,
        cx: &mut Context<'_>,
        operation: impl FnMut(&T) -> io::Result<R>,
        is_short: impl Fn(&R) -> bool,
    ) -> Poll<io::Result<R>> {
        self.poll_with(Direction::Read, cx, operation, is_short)
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
    /// Returns an error if `operation` does, or if [`writable`](Async::writable) would.
    #[doc(hidden)]
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
    #[doc(hidden)]
    pub fn try_read_with<R>(&self, operation: impl FnOnce(&T) -> io::Result<R>) -> io::Result<R> {
        self.try_with(Direction::Read, operation, |_| false)
    }

    /// Calls a write `operation` if it may succeed now.
    ///
    /// # Errors
    ///
    /// Returns an error under the same conditions as
    /// [`try_read_with`](Async::try_read_with).
    #[doc(hidden)]
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
    #[doc(hidden)]
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
    #[doc(hidden)]
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
}
