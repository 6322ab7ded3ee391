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
/// Once complete it stays so: polling it again is ready at once.
#[must_use = "futures do nothing unless awaited"]
pub struct Notified<'a> {
    notify: &'a Notify,
    wait: Wait,
}

/// The future of [`Notify::notified_owned`], which keeps the [`Notify`] alive.
///
/// Once complete it stays so: polling it again is ready at once.
#[must_use = "futures do nothing unless awaited"]
pub struct OwnedNotified {
    notify: Rc<Notify>,
    wait: Wait,
}

/// How far a wait is.
#[derive(Debug)]
enum Wait {
    /// Not in the queue yet; with the count of broadcasts at that time.
    Created {
        broadcasts: u64,
    },
    /// With its key until the queue has let it go.
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
        this.wait.enable(this.notify)
    }
}

impl OwnedNotified {
    pub(super) fn new(notify: Rc<Notify>) -> Self {
        let wait = Wait::new(&notify);
        Self { notify, wait }
    }

    /// Takes a place in the queue without waiting, and says whether the
    /// notification is there already. See [`Notified::enable`].
    #[must_use = "if the notification is there already, waiting for it is over"]
    pub fn enable(self: Pin<&mut Self>) -> bool {
        let this = self.get_mut();
        this.wait.enable(&this.notify)
    }
}

impl Wait {
    #[inline]
    fn new(notify: &Notify) -> Self {
        Wait::Created {
            broadcasts: notify.broadcasts.get(),
        }
    }

    fn enable(&mut self, notify: &Notify) -> bool {
        if let Wait::Created { .. } = self
            && !self.is_notified(notify)
        {
            *self = Wait::Queued(Some(notify.waiters.enqueue()));
            return false;
        }
        let granted = match self {
            Wait::Queued(Some(key)) => notify.waiters.is_granted(key),
            Wait::Queued(None) | Wait::Created { .. } | Wait::Done => true,
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
            Wait::Created { .. } if !self.is_notified(notify) => {
                // Foreign code: it may notify.
                let waker = cx.waker().clone();
                if !self.is_notified(notify) {
                    let key = notify.waiters.enqueue_for((), Some(waker));
                    *self = Wait::Queued(Some(key));
                    return Poll::Pending;
                }
            }
            Wait::Queued(key) => {
                ready!(notify.waiters.poll_remove(key, cx));
            }
            Wait::Created { .. } | Wait::Done => {}
        }
        *self = Wait::Done;
        Poll::Ready(())
    }

    /// For a poll that finds no budget: takes the place at the end of the queue, with the
    /// permit if there is one, which a later poll returns.
    #[cold]
    fn keep_place(&mut self, notify: &Notify) {
        if let Wait::Created { broadcasts } = *self
            && broadcasts == notify.broadcasts.get()
            && task::may_queue()
        {
            *self = Wait::Queued(Some(notify.waiters.enqueue()));
            if notify.permit.take() {
                // Nothing else waits while there is a permit.
                notify.notify_one();
            }
        }
    }

    /// Whether a wait that has not joined the queue is over. Takes the permit if
    /// it is by that, so it is over then.
    #[inline]
    fn is_notified(&self, notify: &Notify) -> bool {
        // A broadcast first: it leaves a permit to those it did not reach.
        matches!(*self, Wait::Created { broadcasts } if broadcasts != notify.broadcasts.get())
            || notify.permit.take()
    }

    /// Takes the grant, if there is one, and gives the place up.
    fn finish(&mut self, notify: &Notify) -> Option<Grant> {
        match mem::replace(self, Wait::Done) {
            Wait::Queued(Some(key)) => notify.waiters.remove(key),
            Wait::Queued(None) | Wait::Created { .. } | Wait::Done => None,
        }
    }

    /// What a dropped wait was notified of is somebody else's.
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
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Notified")
            .field("notify", self.notify)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for OwnedNotified {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OwnedNotified")
            .field("notify", &self.notify)
            .finish_non_exhaustive()
    }
}
