//! [`Trace`], which records events with their times, on a paused clock.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use coreloop::cleanup::AsyncGuard;
use coreloop::time::{Instant, sleep};

/// The length of a tick in these tests.
pub const TICK: Duration = Duration::from_millis(100);

/// Events, each with the tick at which it happened.
#[derive(Clone)]
pub struct Trace {
    start: Instant,
    events: Rc<RefCell<Vec<String>>>,
}

impl Trace {
    /// Creates an empty trace, whose time begins now.
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            events: Rc::default(),
        }
    }

    pub fn note(&self, event: impl AsRef<str>) {
        let ticks = self.start.elapsed().as_millis() / TICK.as_millis();
        let event = format!("{ticks} {}", event.as_ref());
        self.events.borrow_mut().push(event);
    }

    #[track_caller]
    pub fn assert(&self, expected: &[&str]) {
        assert_eq!(*self.events.borrow(), expected);
    }

    pub fn events(&self) -> Vec<String> {
        self.events.borrow().clone()
    }

    /// Returns a future that takes this many ticks, and notes its start and end.
    pub fn step(&self, name: &'static str, ticks: u32) -> impl Future<Output = ()> + use<> {
        let trace = self.clone();
        async move {
            trace.note(format!("{name} begin"));
            sleep(ticks * TICK).await;
            trace.note(format!("{name} end"));
        }
    }

    /// Returns a guard whose cleanup takes this many ticks.
    pub fn guard(
        &self,
        name: &'static str,
        ticks: u32,
    ) -> AsyncGuard<&'static str, impl AsyncFnOnce(&'static str) + use<>> {
        let trace = self.clone();
        AsyncGuard::new(name, async move |name| trace.step(name, ticks).await)
    }

    /// Returns the closing function of a bracket, which notes the same as a guard.
    pub fn closing(&self, ticks: u32) -> impl AsyncFnOnce(&'static str) + use<> {
        let trace = self.clone();
        async move |name| trace.step(name, ticks).await
    }
}

/// Sleeps for this many ticks.
pub async fn ticks(count: u32) {
    sleep(count * TICK).await;
}
