//! Where the code that is running drops guards: in which group, and in which child of it.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use crate::engine::cancel::group::{Counted, Part, Site};
use crate::engine::cancel::run::runs_cleanup;
use crate::engine::panics::Foreign;
use crate::engine::task::budget::poll_thawed;
use crate::engine::task::running;

/// Counts a cleanup that the running code leaves; `None` if that code is in no group.
#[inline]
pub(super) fn count_here() -> Option<Counted> {
    let site = running::with_running(|tasks| tasks.upkeeps.site());
    site.flatten().map(Counted::at)
}

/// Ready when no cleanup of the group is left. In a cleanup it is ready at once, because
/// the cleanups that are left there run after it.
pub(super) fn poll_closed(part: &Part, context: &Context<'_>) -> Poll<()> {
    if part.is_closed() || runs_cleanup() {
        return Poll::Ready(());
    }
    if part.waker.keep(context) && part.is_closed() {
        return Poll::Ready(());
    }
    Poll::Pending
}

/// Has the code that runs drop guards at a site, until this is dropped.
pub(crate) struct Inside {
    /// The site that was entered before. Nothing to restore where no loop runs.
    before: Option<Option<Site>>,
}

impl Inside {
    pub(crate) fn enter(site: Site) -> Inside {
        let before = running::with_running(|tasks| {
            let upkeeps = &tasks.upkeeps;
            upkeeps.replace_site(Some(site))
        });
        Inside { before }
    }

    /// Makes `part` the group in which guards are dropped, within the current one, until
    /// what this returns is dropped.
    pub(super) fn enter_part(part: &Rc<Part>) -> Inside {
        let outer = running::with_running(|tasks| tasks.upkeeps.site());
        part.move_to(outer.flatten());
        Inside::enter(Site {
            part: Rc::clone(part),
            child: 0,
        })
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let Some(before) = self.before.take() else {
            return;
        };
        let inner = running::with_running(|tasks| {
            let upkeeps = &tasks.upkeeps;
            upkeeps.replace_site(before)
        });
        drop(inner);
    }
}

/// Waits until no cleanup is left of a child that has returned.
pub(crate) struct ClosingChild {
    part: Rc<Part>,
    number: u64,
}

impl ClosingChild {
    /// For a child with this number, if it has cleanups left.
    #[inline]
    pub(crate) fn of(part: &Rc<Part>, number: u64) -> Option<ClosingChild> {
        if part.is_closed() || part.is_child_closed(number) {
            return None;
        }
        Some(ClosingChild {
            part: Rc::clone(part),
            number,
        })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.part.is_child_closed(self.number)
    }
}

impl Future for ClosingChild {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        ready!(poll_thawed());
        if self.is_closed() || runs_cleanup() {
            return Poll::Ready(());
        }
        let mut waker = Foreign::new(context.waker().clone());
        self.part.swap_waker(self.number, &mut waker);
        drop(waker);
        // Cloning or dropping a waker is user code, which may have closed the child.
        if self.is_closed() {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl Drop for ClosingChild {
    fn drop(&mut self) {
        self.part.swap_waker(self.number, &mut Foreign::default());
    }
}
