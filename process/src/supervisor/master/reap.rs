//! [`Reaper`]: the end of a worker, and [`Killer`], which brings it about.
//!
//! 1. Both are of the loop's thread, and neither keeps the borrow over a wait. So a
//!    worker that is not collected is one that a signal still reaches, and no other
//!    process has its number.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::process::{Child, ExitStatus};
use std::rc::Rc;

use crate::exit::Exit;

/// A child to wait for. Dropped before its end, it is killed.
#[derive(Debug)]
pub(super) struct Reaper {
    exit: Rc<RefCell<Exit>>,
}

/// Kills the child as long as it is one.
#[derive(Debug)]
pub(super) struct Killer {
    exit: Rc<RefCell<Exit>>,
}

impl Reaper {
    pub(super) fn new(child: Child) -> Reaper {
        Reaper {
            exit: Rc::new(RefCell::new(Exit::new(child))),
        }
    }

    pub(super) fn killer(&self) -> Killer {
        Killer {
            exit: Rc::clone(&self.exit),
        }
    }

    /// Waits for the end.
    ///
    /// Cancel safe: the status is kept by the child.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        poll_fn(|cx| self.exit.borrow_mut().poll_wait(cx)).await
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.killer().kill();
    }
}

impl Killer {
    pub(super) fn kill(&self) {
        // Fails only for a process that has just ended: invariant 1.
        let _ = self.exit.borrow().kill();
    }
}
