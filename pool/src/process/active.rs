//! The children of this process that run functions: workers of pools, and single processes.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The names of the children that have not ended, by their process ids. They belong to the
/// loops of any threads.
static ACTIVE: Mutex<BTreeMap<u32, String>> = Mutex::new(BTreeMap::new());

/// A child of this process, which [`active_children`] returns.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ActiveChild {
    /// The process id.
    pub pid: u32,
    /// The name, which `ps` shows.
    pub name: String,
}

/// Returns the workers of pools and the [processes](crate::Process) that this process has
/// started and that have not ended, as far as their loops have noticed.
///
/// # Examples
///
/// ```
/// for child in coreloop::pool::active_children() {
///     println!("{}: {}", child.pid, child.name);
/// }
/// ```
#[must_use]
pub fn active_children() -> Vec<ActiveChild> {
    let active = lock();
    let children = active.iter().map(|(&pid, name)| ActiveChild {
        pid,
        name: name.clone(),
    });
    children.collect()
}

/// An entry of the list, which its destructor removes.
#[derive(Debug)]
pub(crate) struct Registered(u32);

impl Registered {
    pub(crate) fn new(pid: u32, name: String) -> Self {
        lock().insert(pid, name);
        Self(pid)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        lock().remove(&self.0);
    }
}

/// Locks the list. No user code runs while it is locked.
fn lock() -> MutexGuard<'static, BTreeMap<u32, String>> {
    ACTIVE.lock().unwrap_or_else(PoisonError::into_inner)
}
