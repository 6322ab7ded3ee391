//! [`Reports`], which collects the unsolicited reports of runtimes for a test. Without a hook,
//! runtimes print them, and the harness does not capture that.

use std::mem;
use std::sync::{Arc, Mutex};
use std::thread;

use coreloop::cleanup::CleanupFailure;
use coreloop::runtime::{Builder, TaskPanic};

/// The panics of tasks that were not joined, and the failures of cleanups.
///
/// Dropping this fails the test if there is a report that it has not taken.
pub struct Reports {
    panics: Arc<Mutex<Vec<TaskPanic>>>,
    cleanups: Arc<Mutex<Vec<CleanupFailure>>>,
}

impl Reports {
    pub fn new() -> Self {
        Self {
            panics: Arc::default(),
            cleanups: Arc::default(),
        }
    }

    /// Returns a builder of runtimes that report here.
    pub fn builder(&self) -> Builder {
        let (panics, cleanups) = (Arc::clone(&self.panics), Arc::clone(&self.cleanups));
        Builder::new()
            .on_unhandled_panic(move |panic| panics.lock().unwrap().push(panic.clone()))
            .on_cleanup_failure(move |failure| cleanups.lock().unwrap().push(failure.clone()))
    }

    /// Takes the panics since the last call, in order.
    pub fn take(&self) -> Vec<TaskPanic> {
        mem::take(&mut self.panics.lock().unwrap())
    }

    /// Like [`take`](Reports::take), but returns the messages: "no text" if a payload is not
    /// a string.
    pub fn messages(&self) -> Vec<String> {
        let panics = self.take();
        let messages = panics.iter().map(|panic| panic.message());
        messages
            .map(|message| message.unwrap_or("no text").to_owned())
            .collect()
    }

    /// Takes the failures of cleanups since the last call, in order.
    pub fn cleanups(&self) -> Vec<CleanupFailure> {
        mem::take(&mut self.cleanups.lock().unwrap())
    }
}

impl Drop for Reports {
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        let (panics, cleanups) = (self.take(), self.cleanups());
        assert!(
            panics.is_empty() && cleanups.is_empty(),
            "the test has not taken these reports: {panics:#?} {cleanups:#?}"
        );
    }
}
