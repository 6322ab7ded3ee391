//! [`Condvar`]: tasks wait until the value of a mutex meets a condition.

use std::fmt;
use std::time::Duration;

use coreloop_runtime::time::{Instant, timeout};

use crate::mutex::MutexGuard;
use crate::waiters::Waiters;
use crate::waiting::Waiting;

/// A condition variable: tasks wait until the value of a [`Mutex`](super::Mutex)
/// meets a condition.
///
/// A wait unlocks the mutex, and locks it again before it returns. In between,
/// another task changes the value and [notifies](Self::notify_one). By the time
/// the mutex is locked again the value may have changed once more, so check it in
/// a loop, as [`wait_while`](Self::wait_while) does.
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
///
/// use coreloop::sync::{Condvar, Mutex};
///
/// coreloop::block_on(async {
///     let shared = Rc::new((Mutex::new(Vec::new()), Condvar::new()));
///     let consumer = coreloop::spawn({
///         let shared = Rc::clone(&shared);
///         async move {
///             let (items, filled) = &*shared;
///             let guard = items.lock().await;
///             let mut guard = filled.wait_while(guard, |items| items.is_empty()).await;
///             guard.pop()
///         }
///     });
///     let (items, filled) = &*shared;
///     items.lock().await.push("item");
///     filled.notify_one();
///     assert_eq!(consumer.await.unwrap(), Some("item"));
/// });
/// ```
pub struct Condvar {
    waiters: Waiters<Grant>,
}

/// How a waiter was notified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grant {
    /// By `notify_one`. It is passed on if the wait is dropped before it returned.
    One,
    /// By `notify_all`. It is for this waiter alone.
    All,
}

impl Condvar {
    /// Creates a condition variable that no task waits for.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            waiters: Waiters::new(),
        }
    }

    /// Unlocks the mutex, waits for a notification, and locks it again.
    ///
    /// No notification is lost between the unlocking and the waiting. The mutex
    /// stays locked until the future is first polled.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: if the dropped future had received a notification of
    /// [`notify_one`](Self::notify_one), it goes to the next waiter. The mutex is
    /// not locked again.
    pub async fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        let mutex = MutexGuard::mutex(&guard);
        let mut notification = Notification::wait_for(self);
        drop(guard);
        notification.arrived().await;
        let guard = mutex.lock().await;
        notification.used();
        guard
    }

    /// Waits while `condition` returns true for the value.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: like [`wait`](Self::wait).
    pub async fn wait_while<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        while condition(&mut guard) {
            guard = self.wait(guard).await;
        }
        guard
    }

    /// Waits like [`wait`](Self::wait), but at most for `duration`. Only waiting
    /// for the notification is limited; locking the mutex again may take longer.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: like [`wait`](Self::wait).
    ///
    /// # Panics
    ///
    /// Panics outside a runtime, because it needs the runtime's timers.
    pub async fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        duration: Duration,
    ) -> (MutexGuard<'a, T>, WaitTimeoutResult) {
        let mutex = MutexGuard::mutex(&guard);
        let mut notification = Notification::wait_for(self);
        drop(guard);
        let elapsed = timeout(duration, notification.arrived()).await.is_err();
        let timed_out = elapsed && notification.give_up();
        let guard = mutex.lock().await;
        notification.used();
        (guard, WaitTimeoutResult(timed_out))
    }

    /// Waits while `condition` returns true for the value, but at most for
    /// `duration` in all. It has timed out if the condition is true at the end.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: like [`wait`](Self::wait).
    ///
    /// # Panics
    ///
    /// Panics outside a runtime, because it needs the runtime's timers.
    pub async fn wait_timeout_while<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        duration: Duration,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> (MutexGuard<'a, T>, WaitTimeoutResult) {
        let start = Instant::now();
        while condition(&mut guard) {
            let left = duration.saturating_sub(start.elapsed());
            if left.is_zero() {
                return (guard, WaitTimeoutResult(true));
            }
            guard = self.wait_timeout(guard, left).await.0;
        }
        (guard, WaitTimeoutResult(false))
    }

    /// Wakes the task that has waited longest, if any waits.
    pub fn notify_one(&self) {
        // If no task waits, the notification is not kept: the next task checks the value.
        let _unused: Result<(), Grant> = self.waiters.grant(Grant::One);
    }

    /// Wakes all tasks that wait.
    pub fn notify_all(&self) {
        self.waiters.grant_all(Grant::All);
    }
}

/// A notification that a task waits for, until the task has locked the mutex. If it is
/// dropped before that, the notification goes to the next waiter.
struct Notification<'a> {
    condvar: &'a Condvar,
    waiting: Waiting<'a, Grant>,
    arrived: Option<Grant>,
}

impl<'a> Notification<'a> {
    fn wait_for(condvar: &'a Condvar) -> Self {
        Self {
            condvar,
            waiting: Waiting::join(&condvar.waiters),
            arrived: None,
        }
    }

    async fn arrived(&mut self) {
        self.arrived = Some((&mut self.waiting).await);
    }

    /// Stops waiting. Returns false if the notification has arrived already.
    fn give_up(&mut self) -> bool {
        self.arrived = self.waiting.leave();
        self.arrived.is_none()
    }

    fn used(mut self) {
        self.arrived = None;
    }
}

impl Drop for Notification<'_> {
    fn drop(&mut self) {
        if self.arrived.or_else(|| self.waiting.leave()) == Some(Grant::One) {
            self.condvar.notify_one();
        }
    }
}

/// The result of [`Condvar::wait_timeout`]: whether it timed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Returns whether the time had passed before there was a notification.
    #[must_use]
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").finish_non_exhaustive()
    }
}
