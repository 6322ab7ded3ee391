//! [`Notify`]: a task waits until another says that something happened.

use std::cell::Cell;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use coreloop_runtime::task::coop;

use crate::waiters::{Key, Waiters};

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
    One,
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
    pub fn notified(&self) -> Notified<'_> {
        Notified {
            notify: self,
            state: State::Created {
                broadcasts: self.broadcasts.get(),
            },
        }
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
    pub fn notify_one(&self) {
        if self.waiters.grant(Grant::One).is_err() {
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

/// The future of [`Notify::notified`].
///
/// Once complete it stays so: polling it again is ready at once.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Notified<'a> {
    notify: &'a Notify,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Not in the queue yet; with the count of broadcasts at that time.
    Created {
        broadcasts: u64,
    },
    Queued(Key),
    Done,
}

impl Notified<'_> {
    /// Takes a place in the queue without waiting, and says whether the
    /// notification is there already.
    ///
    /// Call it before looking at whatever the notification is about, where
    /// several tasks wait: two calls of [`Notify::notify_one`] then reach two
    /// of them. Otherwise, if both had looked but neither had been polled,
    /// only one permit would be kept.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::pin::pin;
    ///
    /// use coreloop::sync::Notify;
    ///
    /// coreloop::block_on(async {
    ///     let notify = Notify::new();
    ///     let mut first = pin!(notify.notified());
    ///     let mut second = pin!(notify.notified());
    ///     assert!(!first.as_mut().enable());
    ///     assert!(!second.as_mut().enable());
    ///     notify.notify_one();
    ///     notify.notify_one();
    ///     first.await;
    ///     second.await;
    /// });
    /// ```
    #[must_use = "if the notification is there already, waiting for it is over"]
    pub fn enable(self: Pin<&mut Self>) -> bool {
        let this = self.get_mut();
        this.join_queue();
        let granted = match &this.state {
            State::Queued(key) => this.notify.waiters.is_granted(key),
            State::Created { .. } | State::Done => true,
        };
        if granted {
            this.finish();
        }
        granted
    }

    /// Leaves `Created`: for `Done` if the notification is there, else for the
    /// queue.
    fn join_queue(&mut self) {
        let State::Created { broadcasts } = self.state else {
            return;
        };
        let notify = self.notify;
        // A broadcast first: it leaves a permit to those it did not reach.
        self.state = if broadcasts != notify.broadcasts.get() || notify.permit.take() {
            State::Done
        } else {
            State::Queued(notify.waiters.enqueue())
        };
    }

    /// Takes the grant, if there is one, and gives the place up.
    fn finish(&mut self) -> Option<Grant> {
        match mem::replace(&mut self.state, State::Done) {
            State::Queued(key) => self.notify.waiters.remove(key),
            State::Created { .. } | State::Done => None,
        }
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        ready!(coop::poll_proceed(cx));
        this.join_queue();
        if let State::Queued(key) = &this.state {
            ready!(this.notify.waiters.poll_granted(key, cx));
        }
        this.finish();
        Poll::Ready(())
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        if self.finish() == Some(Grant::One) {
            self.notify.notify_one();
        }
    }
}
