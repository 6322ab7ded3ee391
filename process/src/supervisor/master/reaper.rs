//! [`Reaper`], which waits for the end of a worker process, and [`Killer`], which kills it.
//!
//! # Invariants
//!
//! 1. Both are used on the loop's thread only, and neither keeps the borrow while it waits.
//!    So as long as a worker's status is not collected, a signal reaches that worker, and
//!    no other process has its id.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::process::{Child, ExitStatus};
use std::rc::Rc;

use rustix::process::Signal;

use crate::exit::Exit;

/// A child to wait for. Dropping it before the child has ended kills the child.
#[derive(Debug)]
pub(super) struct Reaper {
    exit: Rc<RefCell<Exit>>,
}

/// Kills the child, unless its status was collected.
#[derive(Debug)]
pub(super) struct Killer {
    exit: Rc<RefCell<Exit>>,
}

impl Reaper {
    /// `leads_group` if the child leads a process group that is to end with it.
    pub(super) fn new(child: Child, leads_group: bool) -> Self {
        let exit = if leads_group {
            Exit::of_group(child)
        } else {
            Exit::new(child)
        };
        Self {
            exit: Rc::new(RefCell::new(exit)),
        }
    }

    pub(super) fn killer(&self) -> Killer {
        Killer {
            exit: Rc::clone(&self.exit),
        }
    }

    /// Waits for the end of the child.
    ///
    /// Cancel safe: the status is kept for the next call.
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
    /// Asks the child to open its own log files again.
    pub(super) fn send_usr1(&self) {
        let exit = self.exit.borrow();
        if !exit.is_collected() {
            let _ = exit.signal(Signal::USR1);
        }
    }

    pub(super) fn kill(&self) {
        // By invariant 1 this fails only for a process that has just ended.
        let _ = self.exit.borrow().kill();
    }
}
