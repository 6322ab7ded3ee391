//! [`Notify`]: a task waits until another says that something happened.

mod notified;

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use crate::waiters::Waiters;

pub use notified::{Notified, OwnedNotified};

/// Tells tasks of the same thread that something happened.
///
/// A `Notify` carries no data, only a permit, and at most one:
/// [`notify_one`](Self::notify_one) gives it to the task that has waited
/// longest in [`notified`](Self::notified), or keeps it for the next that
/// waits. [`notify_waiters`](Self::notify_waiters) tells all that wait now and
/// keeps nothing.
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
    /// How often `notify_waiters` was called. A `Notified` that was created
    /// before the last call is complete even if it was never polled.
    broadcasts: Cell<u64>,
    waiters: Waiters<Grant>,
}

/// How a waiter was notified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grant {
    /// By `notify_one`: passed on if the waiter goes without having seen it.
    First,
    /// By `notify_last`: likewise, and to the last again.
    Last,
    /// By `notify_waiters`: meant for this waiter alone.
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
    /// The future completes with a permit, which it takes from
    /// [`notify_one`](Self::notify_one), in the order in which futures were
    /// first polled or [enabled](Notified::enable). It also completes if
    /// [`notify_waiters`](Self::notify_waiters) is called at any time after
    /// this function, whether or not it was polled before that.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a permit that the dropped future was given, and did not
    /// complete with, goes to the next waiter, or is kept. Its place in the
    /// queue is lost.
    #[inline]
    pub fn notified(&self) -> Notified<'_> {
        Notified::new(self)
    }

    /// Waits for a notification with a future that borrows nothing. Otherwise
    /// as [`notified`](Self::notified).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: as [`notified`](Self::notified).
    pub fn notified_owned(self: Rc<Self>) -> OwnedNotified {
        OwnedNotified::new(self)
    }

    /// Notifies the task that has waited longest, or else the next that waits.
    ///
    /// Calls that find nobody waiting do not add up: one permit is kept.
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

    /// Notifies the task that has waited least, or else the next that waits.
    ///
    /// Last in, first out: for idle workers, of which the one that ran last
    /// is the one with warm caches.
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
    /// No permit is kept for later, and none that was kept is taken.
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
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Notify")
            .field("permit", &self.permit.get())
            .finish_non_exhaustive()
    }
}
