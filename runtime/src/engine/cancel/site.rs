//! Where the code that is running drops guards: in which group, and in which child of it.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use crate::engine::cancel::group::{CleanupGroup, CleanupSite, CountedCleanup};
use crate::engine::cancel::run::runs_cleanup;
use crate::engine::panics::Foreign;
use crate::engine::task::budget::poll_thawed;
use crate::engine::task::running;

/// Counts a cleanup that the running code leaves; `None` if that code is in no group.
#[inline]
pub(super) fn count_here() -> Option<CountedCleanup> {
    let site = running::with_running(|tasks| tasks.cleanup_states.site());
    site.flatten().map(CountedCleanup::at)
}

/// Ready when no cleanup of the group is left. In a cleanup it is ready at once, because
/// the cleanups that are left there run after it.
pub(super) fn poll_empty(group: &CleanupGroup, cx: &Context<'_>) -> Poll<()> {
    if group.is_empty() || runs_cleanup() {
        return Poll::Ready(());
    }
    if group.waker.keep(cx) && group.is_empty() {
        return Poll::Ready(());
    }
    Poll::Pending
}

/// Has the code that runs drop guards at a site, until this is dropped.
pub(crate) struct EnteredSite {
    /// The site that was entered before. Nothing to restore where no loop runs.
    before: Option<Option<CleanupSite>>,
}

impl EnteredSite {
    pub(crate) fn enter(site: CleanupSite) -> EnteredSite {
        let before = running::with_running(|tasks| {
            let cleanup_states = &tasks.cleanup_states;
            cleanup_states.replace_site(Some(site))
        });
        EnteredSite { before }
    }

    /// Makes `group` the group in which guards are dropped, within the current one, until
    /// what this returns is dropped.
    pub(super) fn enter_group(group: &Rc<CleanupGroup>) -> EnteredSite {
        let outer = running::with_running(|tasks| tasks.cleanup_states.site());
        group.move_to(outer.flatten());
        EnteredSite::enter(CleanupSite {
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

/// Waits until no cleanup is left of a child that has returned.
pub(crate) struct ChildCleanups {
    group: Rc<CleanupGroup>,
    number: u64,
}

impl ChildCleanups {
    /// For a child with this number, if it has cleanups left.
    #[inline]
    pub(crate) fn of(group: &Rc<CleanupGroup>, number: u64) -> Option<ChildCleanups> {
        if group.is_empty() || group.is_child_empty(number) {
            return None;
        }
        Some(ChildCleanups {
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
        let mut waker = Foreign::new(cx.waker().clone());
        self.group.swap_waker(self.number, &mut waker);
        drop(waker);
        // Cloning or dropping a waker is user code, which may have closed the child.
        if self.is_empty() {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl Drop for ChildCleanups {
    fn drop(&mut self) {
        self.group.swap_waker(self.number, &mut Foreign::default());
    }
}
