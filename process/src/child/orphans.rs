//! Children whose `Child` was dropped while they ran. Their statuses have to be collected,
//! or they stay in the kernel's table as zombies.
//!
//! 1. On a loop, each orphan has a task that waits for it. No report shows that task, and
//!    the end of the runtime does not wait for it.
//! 2. Without a loop, or when the loop ends, the orphan is put on a list of the whole
//!    process. The next spawn on any thread collects the orphans of the list that have
//!    ended.

use std::future::poll_fn;
use std::io;
use std::process::Child;
use std::sync::{Mutex, MutexGuard, PoisonError};

use coreloop_runtime::task::spawn_hidden;

use crate::exit::Exit;

static LIST: Mutex<Vec<Child>> = Mutex::new(Vec::new());

/// Arranges that the status of a child is collected when the child ends.
pub fn adopt(mut exit: Exit) {
    if !matches!(exit.try_wait(), Ok(None)) {
        return;
    }
    exit.watch_here();
    let mut orphan = Orphan(Some(exit));
    // Outside a runtime this drops the orphan, which puts it on the list.
    spawn_hidden(async move {
        // This fails if the loop ends, or if other code has collected the status.
        let _ = orphan.wait().await;
    });
}

/// Collects the orphans of the list that have ended.
pub fn collect() {
    lock().retain_mut(|child| matches!(child.try_wait(), Ok(None)));
}

/// Empties the list in a forked copy of the process: the orphans are not its children, and
/// their process ids may be reused for children that are.
pub(crate) fn forget() {
    lock().clear();
}

/// A child that a task waits for.
struct Orphan(Option<Exit>);

impl Orphan {
    async fn wait(&mut self) -> io::Result<()> {
        let Some(exit) = &mut self.0 else {
            return Ok(());
        };
        poll_fn(|cx| exit.poll_wait(cx)).await?;
        Ok(())
    }
}

impl Drop for Orphan {
    fn drop(&mut self) {
        if let Some(mut exit) = self.0.take()
            && matches!(exit.try_wait(), Ok(None))
        {
            lock().push(exit.into_std());
        }
    }
}

/// Locks the list. No user code runs while it is locked.
fn lock() -> MutexGuard<'static, Vec<Child>> {
    LIST.lock().unwrap_or_else(PoisonError::into_inner)
}
