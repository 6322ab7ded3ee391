//! [`Closed`]: guards whose cleanups drop guards, and the number of cleanups that have
//! run.

use std::any::Any;
use std::cell::Cell;
use std::future::{Future, pending};
use std::pin::Pin;
use std::rc::Rc;

use coreloop::cleanup::defer;
use coreloop::task::yield_now;
use coreloop::time::Instant;

use coreloop_test_support::trace::{TICK, ticks};

/// How deep the cleanups are nested.
pub(super) const LEVELS: u32 = 4;

/// Counts the cleanups that have run.
#[derive(Clone)]
pub(super) struct Closed {
    pub(super) count: Rc<Cell<u32>>,
    start: Instant,
}

impl Closed {
    pub(super) fn new() -> Closed {
        Closed {
            count: Rc::default(),
            start: Instant::now(),
        }
    }

    /// Creates a guard whose cleanup takes a tick and drops another guard, [`LEVELS`]
    /// deep.
    pub(super) fn guard(&self) -> impl Any + use<> {
        defer(self.cleanup(LEVELS))
    }

    fn cleanup(&self, levels: u32) -> Pin<Box<dyn Future<Output = ()>>> {
        let closed = self.clone();
        Box::pin(async move {
            let next = (levels > 1).then(|| defer(closed.cleanup(levels - 1)));
            ticks(1).await;
            closed.count.set(closed.count.get() + 1);
            drop(next);
        })
    }

    /// A future that never ends and holds a guard.
    pub(super) async fn waits(self) {
        let _guard = self.guard();
        pending::<()>().await;
    }

    /// A future that returns, and drops a guard.
    pub(super) async fn returns(self) -> u32 {
        let _guard = self.guard();
        yield_now().await;
        7
    }

    pub(super) async fn panics(self) -> u32 {
        let _guard = self.guard();
        yield_now().await;
        panic!("with a guard")
    }

    /// Asserts that all cleanups have run, one after the other, and no time has passed
    /// since.
    #[track_caller]
    pub(super) fn assert(&self) {
        self.assert_after(0);
    }

    /// Asserts the same, if the first cleanup began after `ticks`.
    #[track_caller]
    pub(super) fn assert_after(&self, ticks: u32) {
        let waited = self.start.elapsed().as_millis() / TICK.as_millis();
        let expected = (LEVELS, u128::from(ticks + LEVELS));
        assert_eq!((self.count.get(), waited), expected);
    }
}
