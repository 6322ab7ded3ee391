//! [`Notify`]: tasks wait for notifications from other tasks.

mod notified;

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use crate::waiters::Waiters;

pub use notified::{Notified, OwnedNotified};

/// A notification that tasks of the same thread wait for.
///
/// A `Notify` carries no data, but at most one permit:
/// [`notify_one`](Self::notify_one) gives a permit to the task that has waited
/// longest in [`notified`](Self::notified), or keeps it for the next task that
/// waits. [`notify_waiters`](Self::notify_waiters) notifies all tasks that wait now,
/// and keeps no permit.
///
/// # Examples
///
/// ```
/// use std::cell::RefCell;
/// use std::collections::VecDeque;
/// use std::rc::Rc;
///
/// use coreloop::sync::Notify;
///
/// #[derive(Default)]
/// struct Mailbox {
///     letters: RefCell<VecDeque<String>>,
///     arrived: Notify,
/// }
///
/// impl Mailbox {
///     fn put(&self, letter: &str) {
///         self.letters.borrow_mut().push_back(letter.to_owned());
///         self.arrived.notify_one();
///     }
///
///     async fn take(&self) -> String {
///         loop {
///             let letter = self.letters.borrow_mut().pop_front();
///             if let Some(letter) = letter {
///                 return letter;
///             }
///             self.arrived.notified().await;
///         }
///     }
/// }
///
/// coreloop::block_on(async {
///     let mailbox = Rc::new(Mailbox::default());
///     let reader = coreloop::spawn({
///         let mailbox = Rc::clone(&mailbox);
///         async move { mailbox.take().await }
///     });
///     mailbox.put("hello");
///     assert_eq!(reader.await.unwrap(), "hello");
/// });
/// ```
pub struct Notify {
    permit: Cell<bool>,
    /// The number of calls of `notify_waiters`. A `Notified` that was created before
    /// the last call is complete even if it was never polled.
    broadcasts: Cell<u64>,
    waiters: Waiters<Grant>,
}

/// How a waiter was notified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grant {
    /// By `notify_one`. It is passed on if the waiter is dropped without having returned it.
    First,
    /// By `notify_last`. Likewise, but it is passed on to the last waiter.
    Last,
    /// By `notify_waiters`. It is for this waiter alone.
    All,
}

impl Notify {
    /// Creates a `Notify` without a permit.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            permit: Cell::new(false),
            broadcasts: Cell::new(0),
            waiters: Waiters::new(),
        }
    }

    /// Creates a `Notify` without a permit: [`new`](Self::new) by tokio's other
    /// name.
    #[must_use]
    pub const fn const_new() -> Self {
        Self::new()
    }

    /// Waits for a notification.
    ///
    /// The future completes when it gets a permit of
    /// [`notify_one`](Self::notify_one). Permits are given in the order in which
    /// futures were first polled or [enabled](Notified::enable). The future also
    /// completes if [`notify_waiters`](Self::notify_waiters) is called at any time
    /// after this function, whether or not the future was polled before that.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a permit that was given to the dropped future goes to the next
    /// waiter, or is kept, unless the future completed. The place in the queue is
    /// lost.
    #[inline]
    pub fn notified(&self) -> Notified<'_> {
        Notified::new(self)
    }

    /// Waits for a notification with a future that borrows nothing, but is otherwise
    /// like the future of [`notified`](Self::notified).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: like [`notified`](Self::notified).
    pub fn notified_owned(self: Rc<Self>) -> OwnedNotified {
        OwnedNotified::new(self)
    }

    /// Notifies the task that has waited longest, or else the next task that waits.
    ///
    /// Calls while no task waits do not add up: only one permit is kept.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::sync::Notify;
    ///
    /// coreloop::block_on(async {
    ///     let notify = Notify::new();
    ///     notify.notify_one();
    ///     notify.notified().await;
    /// });
    /// ```
    #[inline]
    pub fn notify_one(&self) {
        if self.waiters.grant(Grant::First).is_err() {
            self.permit.set(true);
        }
    }

    /// Notifies the task that began to wait last, or else the next task that waits.
    ///
    /// This order suits idle workers: the worker that ran last has the warmest
    /// caches.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::pin::pin;
    ///
    /// use coreloop::sync::Notify;
    ///
    /// let notify = Notify::new();
    /// let mut first = pin!(notify.notified());
    /// let mut second = pin!(notify.notified());
    /// assert!(!first.as_mut().enable());
    /// assert!(!second.as_mut().enable());
    /// notify.notify_last();
    /// assert!(!first.as_mut().enable());
    /// assert!(second.as_mut().enable());
    /// ```
    pub fn notify_last(&self) {
        if self.waiters.grant_last(Grant::Last).is_err() {
            self.permit.set(true);
        }
    }

    /// Notifies every [`Notified`] that exists now, polled or not.
    ///
    /// It keeps no permit for later, and takes no permit that was kept.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::sync::Notify;
    ///
    /// coreloop::block_on(async {
    ///     let notify = Notify::new();
    ///     let (first, second) = (notify.notified(), notify.notified());
    ///     notify.notify_waiters();
    ///     first.await;
    ///     second.await;
    /// });
    /// ```
    pub fn notify_waiters(&self) {
        self.broadcasts.set(self.broadcasts.get() + 1);
        self.waiters.grant_all(Grant::All);
    }
}

impl Default for Notify {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notify")
            .field("permit", &self.permit.get())
            .finish_non_exhaustive()
    }
}
