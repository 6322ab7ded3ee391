//! The site of the running code: the group, and the child in it, in which it drops guards.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use crate::engine::cancel::group::{CleanupGroup, CleanupSite, CountedCleanup};
use crate::engine::cancel::run::runs_cleanup;
use crate::engine::panics::UserValue;
use crate::engine::task::budget::poll_thawed;
use crate::engine::task::running;

/// Counts a cleanup of a guard that the running code drops. Returns `None` if that code is in
/// no group.
#[inline]
pub(super) fn count_here() -> Option<CountedCleanup> {
    let site = running::with_running(|tasks| tasks.cleanup_states.site());
    site.flatten().map(CountedCleanup::at)
}

/// Ready when the group has no cleanup left. Inside a cleanup it is ready at once, because
/// the cleanups that are added there run after it.
pub(super) fn poll_empty(group: &CleanupGroup, cx: &Context<'_>) -> Poll<()> {
    if group.is_empty() || runs_cleanup() {
        return Poll::Ready(());
    }
    if group.waker.keep(cx) && group.is_empty() {
        return Poll::Ready(());
    }
    Poll::Pending
}

/// Makes a site the one of the running code, until this is dropped.
pub(super) struct EnteredSite {
    /// The site to restore, if there was one. The outer `Option` is `None` if no loop is
    /// running.
    before: Option<Option<CleanupSite>>,
}

impl EnteredSite {
    /// Enters `site`.
    pub(super) fn enter(site: CleanupSite) -> Self {
        let before = running::with_running(|tasks| {
            let cleanup_states = &tasks.cleanup_states;
            cleanup_states.replace_site(Some(site))
        });
        Self { before }
    }

    /// Enters `group`, and makes the current site the one around it.
    pub(super) fn enter_group(group: &Rc<CleanupGroup>) -> Self {
        let outer = running::with_running(|tasks| tasks.cleanup_states.site());
        group.move_to(outer.flatten());
        Self::enter(CleanupSite {
            group: Rc::clone(group),
            child: 0,
        })
    }
}

impl Drop for EnteredSite {
    fn drop(&mut self) {
        let Some(before) = self.before.take() else {
            return;
        };
        let inner = running::with_running(|tasks| {
            let cleanup_states = &tasks.cleanup_states;
            cleanup_states.replace_site(before)
        });
        drop(inner);
    }
}

/// A future that waits until a child of a scope, which has returned, has no cleanup left.
pub(crate) struct ChildCleanups {
    group: Rc<CleanupGroup>,
    number: u64,
}

impl ChildCleanups {
    /// Returns the future for the child with this number, or `None` if it has no cleanup left.
    #[inline]
    pub(crate) fn of(group: &Rc<CleanupGroup>, number: u64) -> Option<Self> {
        if group.is_empty() || group.is_child_empty(number) {
            return None;
        }
        Some(Self {
            group: Rc::clone(group),
            number,
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.group.is_child_empty(self.number)
    }
}

impl Future for ChildCleanups {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(poll_thawed());
        if self.is_empty() || runs_cleanup() {
            return Poll::Ready(());
        }
        let mut waker = UserValue::new(cx.waker().clone());
        self.group.swap_waker(self.number, &mut waker);
        drop(waker);
        // Cloning and dropping wakers runs user code, in which the last cleanup of the child may
        // have finished.
        if self.is_empty() {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl Drop for ChildCleanups {
    fn drop(&mut self) {
        self.group
            .swap_waker(self.number, &mut UserValue::default());
    }
}
