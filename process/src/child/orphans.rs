//! Children that were dropped while they ran: somebody has to collect them, or they
//! stay in the kernel's table as zombies.
//!
//! 1. On a loop, each has a task that waits for it. No report shows that task, and
//!    the end of the runtime does not wait for it.
//! 2. Without a loop, or when that ends, it goes on a list of the whole process. The
//!    next spawn on any thread collects those of the list that have ended.

use std::future::poll_fn;
use std::io;
use std::process::Child;
use std::sync::{Mutex, MutexGuard, PoisonError};

use coreloop_runtime::task::spawn_hidden;

use crate::exit::Exit;

static LIST: Mutex<Vec<Child>> = Mutex::new(Vec::new());

/// Sees to it that a child is collected.
pub(super) fn adopt(mut exit: Exit) {
    if !matches!(exit.try_wait(), Ok(None)) {
        return;
    }
    exit.watch_here();
    let mut orphan = Orphan(Some(exit));
    // Outside a runtime this drops the orphan, and so puts it on the list.
    spawn_hidden(async move {
        // An error is that of a loop that ends, or of a status that is gone.
        let _ = orphan.wait().await;
    });
}

/// Collects those of the list that have ended.
pub(super) fn collect() {
    lock().retain_mut(|child| matches!(child.try_wait(), Ok(None)));
}

/// In a copy of the process: they are not its children, and their numbers may become
/// those of some that are.
#[cfg(target_os = "linux")]
pub(crate) fn forget() {
    lock().clear();
}

/// A child with a task that waits for it.
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

/// Nothing of the user's runs under the lock.
fn lock() -> MutexGuard<'static, Vec<Child>> {
    LIST.lock().unwrap_or_else(PoisonError::into_inner)
}
