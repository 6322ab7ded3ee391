//! [`Event`]: a flag that processes wait for.

use std::io;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::broker::error::done;
use super::broker::link::{ask, ask_timeout, blocking_ask, blocking_call, call, deadline};
use super::broker::protocol::{Answer, Operation};
use super::broker::{BrokerError, Handle, Pending, server, state};
use super::mutex::flag;

/// A flag that any process can set and clear, and that any number of processes wait for.
///
/// An `Event` is a handle, as a [`Mutex`](super::Mutex) is: it can be cloned and encoded, and the
/// event lives as long as the handle that [`new`](Event::new) returned, or a clone of it in the same
/// process.
///
/// # Examples
///
/// ```
/// use coreloop::ipc::Event;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # coreloop::block_on(async {
/// let ready = Event::new()?;
/// // As a job of a pool would do:
/// let other = ready.clone();
/// let waiting = coreloop::spawn(async move { other.wait().await });
/// ready.set().await?;
/// waiting.await??;
/// assert!(ready.is_set().await?);
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event(Handle);

impl Event {
    /// Creates an event on the current loop. It is not set.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no current runtime, or if the system has no descriptor left
    /// for a socket.
    pub fn new() -> io::Result<Self> {
        server::create(Box::new(state::Event::new())).map(Self)
    }

    /// Sets the event, and wakes all tasks and threads that wait for it, in all processes. The
    /// event stays set until [`clear`](Event::clear).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: if the future is dropped, the event may be set or not.
    ///
    /// # Errors
    ///
    /// Returns an error if the event is closed, or its process cannot be reached.
    pub async fn set(&self) -> Result<(), BrokerError> {
        done(call(&self.0, Operation::SET, &[]).await?).map(drop)
    }

    /// Clears the event, so that it is waited for again.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: if the future is dropped, the event may be cleared or not.
    ///
    /// # Errors
    ///
    /// Returns an error if [`set`](Event::set) would.
    pub async fn clear(&self) -> Result<(), BrokerError> {
        done(call(&self.0, Operation::CLEAR, &[]).await?).map(drop)
    }

    /// Returns whether the event is set.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    ///
    /// # Errors
    ///
    /// Returns an error if [`set`](Event::set) would.
    pub async fn is_set(&self) -> Result<bool, BrokerError> {
        flag(&done(call(&self.0, Operation::IS_SET, &[]).await?)?)
    }

    /// Waits until the event is set.
    ///
    /// If the event is set and cleared again at once, all waits complete that had begun before.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    ///
    /// # Errors
    ///
    /// Returns an error if [`set`](Event::set) would, also if that happens during the wait.
    pub async fn wait(&self) -> Result<(), BrokerError> {
        finished(ask(&self.0, Operation::WAIT, &[]).await?)
    }

    /// Waits until the event is set, for `limit` at most.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    ///
    /// # Errors
    ///
    /// Returns an error if [`wait`](Event::wait) would, or
    /// [if the time has passed](BrokerError::is_timeout).
    pub async fn wait_timeout(&self, limit: Duration) -> Result<(), BrokerError> {
        finished(ask_timeout(&self.0, Operation::WAIT, &[], limit).await?)
    }

    /// Does the same as [`set`](Event::set), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`set`](Event::set) would.
    pub fn blocking_set(&self) -> Result<(), BrokerError> {
        done(blocking_call(&self.0, Operation::SET, &[])?).map(drop)
    }

    /// Does the same as [`clear`](Event::clear), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`set`](Event::set) would.
    pub fn blocking_clear(&self) -> Result<(), BrokerError> {
        done(blocking_call(&self.0, Operation::CLEAR, &[])?).map(drop)
    }

    /// Does the same as [`is_set`](Event::is_set), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`set`](Event::set) would.
    pub fn blocking_is_set(&self) -> Result<bool, BrokerError> {
        flag(&done(blocking_call(&self.0, Operation::IS_SET, &[])?)?)
    }

    /// Does the same as [`wait`](Event::wait), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`wait`](Event::wait) would. On the thread of the loop that carries the
    /// event, [returns an error](BrokerError::is_deadlock) instead of waiting.
    pub fn blocking_wait(&self) -> Result<(), BrokerError> {
        self.block(None)
    }

    /// Does the same as [`wait_timeout`](Event::wait_timeout), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`wait_timeout`](Event::wait_timeout) or
    /// [`blocking_wait`](Event::blocking_wait) would.
    pub fn blocking_wait_timeout(&self, limit: Duration) -> Result<(), BrokerError> {
        self.block(deadline(limit))
    }

    /// Closes the event, for all processes: whatever waits for it gets an error, and so does each
    /// later operation.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: if the future is dropped, the event may be closed or not.
    ///
    /// # Errors
    ///
    /// Returns an error if the event is closed already, or its process cannot be reached.
    pub async fn close(&self) -> Result<(), BrokerError> {
        done(call(&self.0, Operation::CLOSE, &[]).await?).map(drop)
    }

    /// Does the same as [`close`](Event::close), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`close`](Event::close) would.
    pub fn blocking_close(&self) -> Result<(), BrokerError> {
        done(blocking_call(&self.0, Operation::CLOSE, &[])?).map(drop)
    }

    fn block(&self, deadline: Option<Instant>) -> Result<(), BrokerError> {
        finished(blocking_ask(&self.0, Operation::WAIT, &[], deadline)?)
    }
}

fn finished((answer, pending): (Answer, Pending)) -> Result<(), BrokerError> {
    pending.finish();
    done(answer).map(drop)
}
