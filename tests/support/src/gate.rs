//! Blocking work that a test can hold up.

use std::sync::mpsc::{self, Receiver, RecvError, Sender};

/// Holds up work until this is dropped.
pub struct Gate {
    begun: Receiver<()>,
    open: Sender<()>,
}

/// Creates a gate, and the work that it holds up.
pub fn gate() -> (Gate, impl FnOnce() + Send + 'static) {
    let (begin, begun) = mpsc::channel();
    let (open, opened) = mpsc::channel();
    let work = move || {
        begin
            .send(())
            .expect("the gate waits for the work to begin");
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
