//! What a request asks for, what it was given, and whether its future was left behind.
//!
//! Requests of the same task are *siblings*. The queue is fair to every request that its task
//! still polls. A request that the task polls no more, such as a branch of a `select!` whose
//! handler locks the same mutex, may be given permits all the same, and the task would then
//! wait for itself. So a sibling takes the permits over, but only if it is certain that the
//! request was left behind: a whole poll of the task, begun after the permits were given, has
//! not collected them. A request that is merely polled later in the same poll keeps its turn.
//!
//! ```text
//!                     poll 4         poll 5           poll 6
//! the task polls    F        R          R                R
//! F is given           │
//! R looks, and finds         │          │                │
//!                            │          │                poll 5 has left F behind: takes over
//!                            │          poll 5 began after 4: wakes the task
//!                            given in this very poll: wakes the task
//! ```
//!
//! That works if R is polled. The wake of F wakes the task, which polls R as well if the task
//! polls it directly. Two cases are left, for which the flag `ROUSES` is set:
//!
//! - R is in a combinator that polls a future only if that was woken. So when F is
//!   given permits, the first and the last of its siblings are roused too. More would be one
//!   poll of each future of a crowd for each permit.
//! - R needs more permits than F was given, and becomes the head of the queue only later, so
//!   that the rest is saved for it. So a head is roused when permits are saved for it.

use coreloop_runtime::task;

/// What a waiter waits for.
#[derive(Clone, Copy)]
pub(super) struct Request {
    pub(super) count: u32,
    /// The task that polled it last.
    pub(super) task: Option<task::Id>,
}

impl Request {
    /// Whether one task made both requests. The tasks of other executors cannot be
    /// distinguished, so their requests count as requests of different tasks.
    #[inline]
    pub(super) fn is_sibling(self, other: Request) -> bool {
        self.task.is_some() && self.task == other.task
    }
}

#[derive(Clone, Copy)]
pub(super) enum Grant {
    Given(Uncollected),
    Closed,
}

/// Permits that were given to a request whose future has not returned them yet.
#[derive(Clone, Copy)]
pub(super) struct Uncollected {
    /// The poll of the task in which they were given, or in which another request of the
    /// task looked at them since; 0 if they were given while the task was not polled.
    poll: u64,
    /// Whether `poll` began after they were given.
    is_whole: bool,
}

impl Uncollected {
    /// Permits that are given to `request` now, while the task `running` is polled.
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

    /// Whether a whole poll of the task has left them. Called by another request of the task;
    /// if the answer is no, it has to look again in the next poll.
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

/// Of the poll that runs, for a caller that knows that one does.
#[cold]
fn poll_number() -> u64 {
    task::poll_number().unwrap_or(0)
}
