//! [`Event`]: a flag that tasks wait for.

use std::cell::Cell;
use std::fmt;

use coreloop_runtime::task::consume_budget;

use crate::waiters::Waiters;
use crate::waiting::Waiting;

/// A flag that tasks wait for: Python's `asyncio.Event`.
///
/// [`set`](Self::set) wakes all tasks that wait, and from then on no task has to
/// wait, until the flag is [cleared](Self::clear).
///
/// If each notification is for one task, use a [`Notify`](super::Notify). If the
/// flag is never cleared and has a value, use a [`SetOnce`](super::SetOnce).
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
///
/// use coreloop::sync::Event;
///
/// coreloop::block_on(async {
///     let ready = Rc::new(Event::new());
///     let tasks: Vec<_> = (0..3)
///         .map(|_| {
///             let ready = Rc::clone(&ready);
///             coreloop::spawn(async move { ready.wait().await })
///         })
///         .collect();
///     ready.set();
///     for task in tasks {
///         task.await.unwrap();
///     }
/// });
/// ```
pub struct Event {
    set: Cell<bool>,
    waiters: Waiters<()>,
}

impl Event {
    /// Creates an event that is not set.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            set: Cell::new(false),
            waiters: Waiters::new(),
        }
    }

    /// Sets the flag, and wakes all tasks that wait for it.
    ///
    /// Their waits complete even if the flag is cleared before they run.
    pub fn set(&self) {
        if !self.set.replace(true) {
            self.waiters.grant_all(());
        }
    }

    /// Clears the flag, so that later waits wait for the next
    /// [`set`](Self::set).
    pub fn clear(&self) {
        self.set.set(false);
    }

    /// Returns whether the flag is set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.set.get()
    }

    /// Waits until the flag is set. Does not wait if it is set already.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    pub async fn wait(&self) {
        if self.set.get() {
            consume_budget().await;
        } else {
            Waiting::join(&self.waiters).await;
        }
    }
}

impl Default for Event {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("set", &self.is_set())
            .finish_non_exhaustive()
    }
}
