//! Events with their times, on a clock that is paused.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use coreloop::cleanup::AsyncGuard;
use coreloop::time::{Instant, sleep};

/// A tick of the tests' clock.
pub const TICK: Duration = Duration::from_millis(100);

/// What happened, and at which tick.
#[derive(Clone)]
pub struct Trace {
    start: Instant,
    events: Rc<RefCell<Vec<String>>>,
}

impl Trace {
    /// An empty one, whose time begins now.
    pub fn new() -> Trace {
        Trace {
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

    /// Takes so many ticks.
    pub fn step(&self, name: &'static str, ticks: u32) -> impl Future<Output = ()> + use<> {
        let trace = self.clone();
        async move {
            trace.note(format!("{name} begin"));
            sleep(ticks * TICK).await;
            trace.note(format!("{name} end"));
        }
    }

    /// A guard whose cleanup takes so many ticks.
    pub fn guard(
        &self,
        name: &'static str,
        ticks: u32,
    ) -> AsyncGuard<&'static str, impl AsyncFnOnce(&'static str) + use<>> {
        let trace = self.clone();
        AsyncGuard::new(name, async move |name| trace.step(name, ticks).await)
    }

    /// The end of a bracket, as that of a guard.
    pub fn closing(&self, ticks: u32) -> impl AsyncFnOnce(&'static str) + use<> {
        let trace = self.clone();
        async move |name| trace.step(name, ticks).await
    }
}

/// So many ticks.
pub async fn ticks(count: u32) {
    sleep(count * TICK).await;
}
