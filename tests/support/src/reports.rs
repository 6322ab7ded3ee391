//! [`Reports`]: what runtimes report unasked, for a test to look at. Without a hook
//! they print it past the harness, which shows it in runs that pass too.

use std::mem;
use std::sync::{Arc, Mutex};
use std::thread;

use coreloop::cleanup::CleanupFailure;
use coreloop::runtime::{Builder, TaskPanic};

/// The panics of tasks that were not joined, and the cleanups that failed.
///
/// A report that the test has not taken fails it when this is dropped.
pub struct Reports {
    panics: Arc<Mutex<Vec<TaskPanic>>>,
    cleanups: Arc<Mutex<Vec<CleanupFailure>>>,
}

impl Reports {
    pub fn new() -> Reports {
        Reports {
            panics: Arc::default(),
            cleanups: Arc::default(),
        }
    }

    /// A builder of runtimes that report here.
    pub fn builder(&self) -> Builder {
        let (panics, cleanups) = (Arc::clone(&self.panics), Arc::clone(&self.cleanups));
        Builder::new()
            .on_unhandled_panic(move |panic| panics.lock().unwrap().push(panic.clone()))
            .on_cleanup_failure(move |failure| cleanups.lock().unwrap().push(failure.clone()))
    }

    /// Takes the panics since the last call, the first one first.
    pub fn take(&self) -> Vec<TaskPanic> {
        mem::take(&mut self.panics.lock().unwrap())
    }

    /// As [`take`](Reports::take), but what the tasks panicked with: "no text" if that
    /// is not a string.
    pub fn messages(&self) -> Vec<String> {
        let panics = self.take();
        let messages = panics.iter().map(|panic| panic.message());
        messages
            .map(|message| message.unwrap_or("no text").to_owned())
            .collect()
    }

    /// Takes the cleanups that have failed since the last call, the first one first.
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
