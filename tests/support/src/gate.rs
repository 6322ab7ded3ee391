//! Blocking work that a test can hold.

use std::sync::mpsc::{self, Receiver, RecvError, Sender};

/// Work that has begun, and goes on until its end of the channel is dropped.
pub struct Gate {
    begun: Receiver<()>,
    open: Sender<()>,
}

/// A gate, and the work that it is for.
pub fn gate() -> (Gate, impl FnOnce() + Send + 'static) {
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
    pub fn wait(&self) {
        self.begun.recv().expect("the work begins");
    }

    /// Lets the work end.
    pub fn open(self) {
        drop(self.open);
    }
}
