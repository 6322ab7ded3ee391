//! [`Counted`]: a cleanup, as the part counts it in which its guard was dropped.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use crate::engine::cancel::group::{Part, Site};
use crate::engine::cancel::queue::runs_cleanup;
use crate::engine::core::context;
use crate::engine::panics::Foreign;
use crate::engine::task::budget::poll_thawed;

/// A cleanup that has not ended. To drop this is to count it as ended.
pub(crate) struct Counted(Site);

impl Counted {
    /// For a cleanup that the code that runs leaves; None if that is in no part.
    #[inline]
    pub(crate) fn by_current_part() -> Option<Counted> {
        let site = context::with_running(|event_loop| event_loop.tasks.upkeeps.site());
        site.flatten().map(|site| {
            site.add();
            Counted(site)
        })
    }

    /// Has the cleanup drop guards where its own was dropped.
    pub(crate) fn enter(&self) -> Inside {
        Inside::enter(self.0.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.remove();
    }
}

/// Has the code that runs drop guards at a site, until this is dropped.
pub(crate) struct Inside {
    /// The site that was entered before. Nothing to restore where no loop runs.
    before: Option<Option<Site>>,
}

impl Inside {
    pub(crate) fn enter(site: Site) -> Inside {
        let before = context::with_running(|event_loop| {
            let upkeeps = &event_loop.tasks.upkeeps;
            upkeeps.replace_site(Some(site))
        });
        Inside { before }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let Some(before) = self.before.take() else {
            return;
        };
        let inner = context::with_running(|event_loop| {
            let upkeeps = &event_loop.tasks.upkeeps;
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
