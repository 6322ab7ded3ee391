//! [`Barrier`]: tasks wait until enough of them have arrived.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::task::Poll;

use coreloop_runtime::task::{self, consume_budget};

use crate::waiters::Waiters;
use crate::waiting::Waiting;

/// A point where tasks wait until a number of them have arrived, again and again.
///
/// # Examples
///
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
///
/// use coreloop::sync::Barrier;
///
/// coreloop::block_on(async {
///     let barrier = Rc::new(Barrier::new(3));
///     let arrived = Rc::new(Cell::new(0));
///     let tasks: Vec<_> = (0..3)
///         .map(|_| {
///             let (barrier, arrived) = (Rc::clone(&barrier), Rc::clone(&arrived));
///             coreloop::spawn(async move {
///                 arrived.set(arrived.get() + 1);
///                 let result = barrier.wait().await;
///                 assert_eq!(arrived.get(), 3);
///                 result.is_leader()
///             })
///         })
///         .collect();
///     let mut leaders = 0;
///     for task in tasks {
///         leaders += u32::from(task.await.unwrap());
///     }
///     assert_eq!(leaders, 1);
/// });
/// ```
pub struct Barrier {
    size: usize,
    /// The number of tasks that wait now: less than `size`.
    arrived: Cell<usize>,
    waiters: Waiters<()>,
}

impl Barrier {
    /// Creates a barrier for `size` tasks. A size of zero counts as one: such a
    /// barrier makes no task wait.
    #[must_use]
    pub const fn new(size: usize) -> Self {
        Self {
            size: if size == 0 { 1 } else { size },
            arrived: Cell::new(0),
            waiters: Waiters::new(),
        }
    }

    /// Waits until as many tasks wait as the barrier is for, this task included.
    ///
    /// [`BarrierWaitResult::is_leader`] is true for the task that arrived last,
    /// which does not have to wait.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a future that is dropped while it waits no longer counts,
    /// unlike in tokio. If the other tasks have already continued, it has counted.
    pub async fn wait(&self) -> BarrierWaitResult {
        // An arrival counts even if no budget is left, but not in frozen code.
        poll_fn(|_| match task::may_queue() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
        let arrived = self.arrived.get() + 1;
        if arrived == self.size {
            self.arrived.set(0);
            self.waiters.grant_all(());
            consume_budget().await;
            return BarrierWaitResult { leader: true };
        }
        self.arrived.set(arrived);
        let mut arrival = Arrival {
            barrier: self,
            waiting: Waiting::join(&self.waiters),
        };
        (&mut arrival.waiting).await;
        BarrierWaitResult { leader: false }
    }
}

/// A task that waits. It counts as arrived until it is dropped or granted.
struct Arrival<'a> {
    barrier: &'a Barrier,
    waiting: Waiting<'a, ()>,
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        if !self.waiting.is_granted() {
            let arrived = &self.barrier.arrived;
            arrived.set(arrived.get() - 1);
        }
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier")
            .field("size", &self.size)
            .field("arrived", &self.arrived.get())
            .finish_non_exhaustive()
    }
}

/// The result of [`Barrier::wait`].
#[derive(Clone, Debug)]
pub struct BarrierWaitResult {
    leader: bool,
}

impl BarrierWaitResult {
    /// Returns whether this task completed the barrier: true for exactly one of the tasks
    /// that continue together.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.leader
    }
}
