//! Blocking work that a test can hold.

use std::sync::mpsc::{self, Receiver, RecvError, Sender};

/// Work that has begun, and goes on until its end of the channel is dropped.
pub(crate) struct Gate {
    begun: Receiver<()>,
    open: Sender<()>,
}

/// A gate, and the work that it is for.
pub(crate) fn gate() -> (Gate, impl FnOnce() + Send + 'static) {
    let (begin, begun) = mpsc::channel();
    let (open, opened) = mpsc::channel();
    let work = move || {
        begin.send(()).expect("somebody waits for the beginning");
        assert_eq!(opened.recv(), Err(RecvError));
    };
    (Gate { begun, open }, work)
}

impl Gate {
    /// Waits until the work has begun.
    pub(crate) fn wait(&self) {
        self.begun.recv().expect("the work begins");
    }

    /// Lets the work end.
    pub(crate) fn open(self) {
        drop(self.open);
    }
}
