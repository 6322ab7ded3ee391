//! The futures that wait for a notification.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use coreloop_runtime::task::{self, coop};

use super::{Grant, Notify};
use crate::waiters::Key;

/// The future of [`Notify::notified`].
///
/// It may be polled after it completed, and is then ready at once.
#[must_use = "futures do nothing unless awaited"]
pub struct Notified<'a> {
    notify: &'a Notify,
    wait: Wait,
}

/// The future of [`Notify::notified_owned`], which keeps the [`Notify`] alive.
///
/// It may be polled after it completed, and is then ready at once.
#[must_use = "futures do nothing unless awaited"]
pub struct OwnedNotified {
    notify: Rc<Notify>,
    wait: Wait,
}

/// The state of a wait.
#[derive(Debug)]
enum Wait {
    /// Not in the queue yet. `broadcasts` is the count when the future was created.
    Created {
        broadcasts: u64,
    },
    /// In the queue. The key is `None` once the queue has removed the waiter.
    Queued(Option<Key>),
    Done,
}

impl<'a> Notified<'a> {
    #[inline]
    pub(super) fn new(notify: &'a Notify) -> Self {
        Self {
            notify,
            wait: Wait::new(notify),
        }
    }

    /// Joins the queue without waiting, and returns whether there is a notification
    /// already.
    ///
    /// If several tasks wait, call it before you check the state that the
    /// notification is about: then two calls of [`Notify::notify_one`] reach two of
    /// the tasks. Otherwise, if both tasks had checked the state but neither future
    /// had been polled, only one permit would be kept.
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
    #[must_use = "if it returns true, the notification was received"]
    pub fn enable(self: Pin<&mut Self>) -> bool {
        let this = self.get_mut();
        this.wait.enable(this.notify)
    }
}

impl OwnedNotified {
    pub(super) fn new(notify: Rc<Notify>) -> Self {
        let wait = Wait::new(&notify);
        Self { notify, wait }
    }

    /// Joins the queue without waiting, and returns whether there is a notification
    /// already. See [`Notified::enable`].
    #[must_use = "if it returns true, the notification was received"]
    pub fn enable(self: Pin<&mut Self>) -> bool {
        let this = self.get_mut();
        this.wait.enable(&this.notify)
    }
}

impl Wait {
    #[inline]
    fn new(notify: &Notify) -> Self {
        Self::Created {
            broadcasts: notify.broadcasts.get(),
        }
    }

    fn enable(&mut self, notify: &Notify) -> bool {
        if let Self::Created { .. } = self
            && !self.is_notified(notify)
        {
            *self = Self::Queued(Some(notify.waiters.enqueue()));
            return false;
        }
        let granted = match self {
            Self::Queued(Some(key)) => notify.waiters.is_granted(key),
            Self::Queued(None) | Self::Created { .. } | Self::Done => true,
        };
        if granted {
            self.finish(notify);
        }
        granted
    }

    #[inline]
    fn poll(&mut self, notify: &Notify, cx: &mut Context<'_>) -> Poll<()> {
        if coop::poll_proceed(cx).is_pending() {
            self.keep_place(notify);
            return Poll::Pending;
        }
        match self {
            Self::Created { .. } if !self.is_notified(notify) => {
                // The clone is user code, which may notify.
                let waker = cx.waker().clone();
                if !self.is_notified(notify) {
                    let key = notify.waiters.enqueue_for((), Some(waker));
                    *self = Self::Queued(Some(key));
                    return Poll::Pending;
                }
            }
            Self::Queued(key) => {
                ready!(notify.waiters.poll_remove(key, cx));
            }
            Self::Created { .. } | Self::Done => {}
        }
        *self = Self::Done;
        Poll::Ready(())
    }

    /// Joins the queue in a poll that was refused by the budget. If there is a permit it is
    /// taken at once, and a later poll returns it.
    #[cold]
    fn keep_place(&mut self, notify: &Notify) {
        if let Self::Created { broadcasts } = *self
            && broadcasts == notify.broadcasts.get()
            && task::may_queue()
        {
            *self = Self::Queued(Some(notify.waiters.enqueue()));
            if notify.permit.take() {
                // While there is a permit, no other task waits.
                notify.notify_one();
            }
        }
    }

    /// Returns whether a wait that has not joined the queue was notified. Takes the permit
    /// if there is one, and the caller must then finish the wait.
    #[inline]
    fn is_notified(&self, notify: &Notify) -> bool {
        // A broadcast is checked first, so that it leaves the permit to other waiters.
        matches!(*self, Self::Created { broadcasts } if broadcasts != notify.broadcasts.get())
            || notify.permit.take()
    }

    /// Leaves the queue, and returns the grant if there is one.
    fn finish(&mut self, notify: &Notify) -> Option<Grant> {
        match mem::replace(self, Self::Done) {
            Self::Queued(Some(key)) => notify.waiters.remove(key),
            Self::Queued(None) | Self::Created { .. } | Self::Done => None,
        }
    }

    /// Passes the notification of a dropped wait on to another waiter.
    fn pass_on(&mut self, notify: &Notify) {
        match self.finish(notify) {
            Some(Grant::First) => notify.notify_one(),
            Some(Grant::Last) => notify.notify_last(),
            Some(Grant::All) | None => {}
        }
    }
}

impl Future for Notified<'_> {
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.wait.poll(this.notify, cx)
    }
}

impl Future for OwnedNotified {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.wait.poll(&this.notify, cx)
    }
}

impl Drop for Notified<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Wait::Queued(_) = self.wait {
            self.wait.pass_on(self.notify);
        }
    }
}

impl Drop for OwnedNotified {
    fn drop(&mut self) {
        self.wait.pass_on(&self.notify);
    }
}

impl fmt::Debug for Notified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notified")
            .field("notify", self.notify)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for OwnedNotified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedNotified")
            .field("notify", &self.notify)
            .finish_non_exhaustive()
    }
}
