//! Requests, the permits that were granted to them, and whether a future was left behind.
//!
//! Requests of the same task are *siblings*. The queue is fair to every request that its task
//! still polls. A request that the task no longer polls, such as a branch of a `select!` whose
//! handler locks the same mutex, may be granted permits all the same, and the task would then
//! wait for itself. So a sibling takes the permits over, but only if it is certain that the
//! request was left behind: a whole poll of the task, begun after the permits were granted,
//! has not collected them. A request that is merely polled later in the same poll keeps its
//! turn.
//!
//! ```text
//!                     poll 4         poll 5           poll 6
//! the task polls    F        R          R                R
//! F is granted         │
//! R checks                   │          │                │
//!                            │          │                poll 5 has left F behind: takes over
//!                            │          poll 5 began after 4: wakes the task
//!                            granted in this very poll: wakes the task
//! ```
//!
//! That works if R is polled. The wake of F wakes the task, which polls R as well if it polls
//! R directly. Two cases are left, for which the flag `WAKES_SIBLINGS` is set:
//!
//! - R is in a combinator that polls a future only after that future was woken. So when F is
//!   granted permits, the first and the last of its siblings are woken too. To wake more of
//!   them would cost, for each permit, one poll of each future in the combinator.
//! - R needs more permits than F was granted, and becomes the head of the queue only later, so
//!   that the rest is saved for it. So the head is woken when permits are saved for it.

use coreloop_runtime::task;

/// A request for permits.
#[derive(Clone, Copy)]
pub(super) struct Request {
    pub(super) count: u32,
    /// The task that polled the request last.
    pub(super) task: Option<task::Id>,
}

impl Request {
    /// Returns whether one task made both requests. The tasks of other executors cannot be
    /// distinguished, so their requests count as requests of different tasks.
    #[inline]
    pub(super) fn is_sibling(self, other: Self) -> bool {
        self.task.is_some() && self.task == other.task
    }
}

#[derive(Clone, Copy)]
pub(super) enum Grant {
    Given(Uncollected),
    Closed,
}

/// Permits that were granted to a request whose future has not returned them yet.
#[derive(Clone, Copy)]
pub(super) struct Uncollected {
    /// The poll of the task in which the permits were granted, or the last in which a sibling
    /// checked them; 0 if they were granted while the task was not polled.
    poll: u64,
    /// Whether `poll` began after they were granted.
    is_whole: bool,
}

impl Uncollected {
    /// Permits that are granted to `request` now, while the task `running` is polled.
    #[inline]
    pub(super) fn by(request: Request, running: Option<task::Id>) -> Self {
        let poll = match running {
            Some(_) if running == request.task => poll_number(),
            _ => 0,
        };
        Self {
            poll,
            is_whole: false,
        }
    }

    /// Returns whether a whole poll of the task has not collected the permits. A sibling
    /// calls this; if it returns false, the sibling has to check again in the next poll.
    #[cold]
    pub(super) fn are_left_behind(&mut self) -> bool {
        let now = poll_number();
        if self.poll == now {
            return false;
        }
        if self.is_whole {
            return true;
        }
        self.poll = now;
        self.is_whole = true;
        false
    }
}

/// Returns the number of the current poll. The caller knows that a task is being polled.
#[cold]
fn poll_number() -> u64 {
    task::poll_number().unwrap_or(0)
}
