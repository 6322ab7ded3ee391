//! Waiting for readiness: for any [`Interest`], by any number of tasks.

use std::future::poll_fn;
use std::io;
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};

use crate::engine::reactor::interest::Interest;
use crate::engine::reactor::readiness::Direction;
use crate::engine::reactor::ready::Ready;
use crate::engine::reactor::source::Source;
use crate::io::descriptor::Async;
use crate::io::registration::{NotDone, SharedWaiter};

impl<T: AsFd> Async<T> {
    /// Waits until the descriptor is ready for something in `interest`, and returns its readiness.
    ///
    /// The readiness may be outdated when this returns. So follow it with an operation
    /// that does not wait, in a loop. If the operation is called through
    /// [`try_io`](Async::try_io), the loop learns that it would block.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    ///
    /// # Errors
    ///
    /// Returns an error if the descriptor cannot be polled, like a regular file, or the
    /// runtime has been dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::io::{Async, Interest};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # coreloop::block_on(async {
    /// let (one, _other) = std::os::unix::net::UnixStream::pair()?;
    /// let one = Async::new(one)?;
    /// let ready = one.ready(Interest::READABLE | Interest::WRITABLE).await?;
    /// assert!(ready.is_writable() && !ready.is_readable());
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        let mut waiter = SharedWaiter::new(interest);
        poll_fn(|cx| {
            ready!(self.registration.event_loop.tasks.budget.poll_left(cx));
            let source = self.registration.watched_for(self.io.as_fd(), interest)?;
            ready!(waiter.poll(source, cx));
            let finished = self.registration.finish_wait(source);
            finished.map_ok(|()| source.ready(interest))
        })
        .await
    }

    /// Waits until a read may succeed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    ///
    /// # Errors
    ///
    /// Returns an error if the descriptor cannot be polled, like a regular file, or the
    /// runtime has been dropped.
    pub async fn readable(&self) -> io::Result<()> {
        self.ready(Interest::READABLE).await.map(drop)
    }

    /// Waits until a write may succeed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    ///
    /// # Errors
    ///
    /// Returns an error if [`readable`](Async::readable) would.
    pub async fn writable(&self) -> io::Result<()> {
        self.ready(Interest::WRITABLE).await.map(drop)
    }

    /// Polls until a read may succeed, like [`readable`](Async::readable).
    ///
    /// Only the task that polled last is woken.
    ///
    /// # Errors
    ///
    /// Returns an error if [`readable`](Async::readable) would.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_ready(Direction::Read, cx)
    }

    /// Polls until a write may succeed, like [`writable`](Async::writable).
    ///
    /// Only the task that polled last is woken.
    ///
    /// # Errors
    ///
    /// Returns an error if [`writable`](Async::writable) would.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_ready(Direction::Write, cx)
    }

    /// Waits until `operation` does not block, and returns its result.
    ///
    /// The operation is called at once, and again whenever the descriptor is ready for something
    /// in `interest`, until it returns anything but [`WouldBlock`](io::ErrorKind::WouldBlock).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost, if `operation` loses nothing when it would block.
    ///
    /// # Errors
    ///
    /// Returns an error if `operation` does, or if [`readable`](Async::readable) would.
    pub async fn async_io<R>(
        &self,
        interest: Interest,
        mut operation: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        let mut waiter = SharedWaiter::new(interest);
        poll_fn(|cx| {
            loop {
                let source = self.registration.source.get();
                if source.is_none_or(|source| source.satisfies(interest)) {
                    let budget = &self.registration.event_loop.tasks.budget;
                    ready!(budget.poll_left(cx));
                    let error = match operation(&self.io) {
                        Ok(value) => {
                            budget.spend();
                            return Poll::Ready(Ok(value));
                        }
                        Err(error) => error,
                    };
                    let clear = |source: &Source| source.clear_interest(interest);
                    match self.registration.handle_error_with(error, clear) {
                        NotDone::Error(error) => return Poll::Ready(Err(error)),
                        NotDone::Wait => {}
                        NotDone::Again | NotDone::Yield => continue,
                    }
                }
                let source = self.registration.watched_for(self.io.as_fd(), interest)?;
                ready!(waiter.poll(source, cx));
            }
        })
        .await
    }

    /// Calls `operation` if the descriptor may be ready for something in `interest`.
    ///
    /// If the operation would block all the same, all of `interest` counts as not ready
    /// until the kernel reports it.
    ///
    /// # Errors
    ///
    /// Returns [`WouldBlock`](io::ErrorKind::WouldBlock) if the operation would block,
    /// without calling it if the loop knows that. Otherwise returns an error if `operation`
    /// does.
    pub fn try_io<R>(
        &self,
        interest: Interest,
        operation: impl FnOnce(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        let source = self.registration.source.get();
        // A direction that the kernel does not watch may have become ready since.
        if source.is_some_and(|source| !source.satisfies(interest) && source.watches_for(interest))
        {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let result = operation(&self.io);
        if let Some(source) = source
            && let Err(error) = &result
            && error.kind() == io::ErrorKind::WouldBlock
        {
            source.clear_interest(interest);
        }
        result
    }

    fn poll_ready(&self, direction: Direction, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.registration.event_loop.tasks.budget.poll_left(cx));
        let source = self.registration.watched(self.io.as_fd(), direction)?;
        if !source.is_ready(direction) {
            self.registration.may_wait()?;
            source.register(direction, cx);
            return Poll::Pending;
        }
        self.registration.finish_wait(source)
    }
}
