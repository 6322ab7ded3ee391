//! The children of this process that run functions: workers of pools, and single processes.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The children that have not ended, by the numbers of their entries. They belong to the loops
/// of any threads. A process id names no entry: it may belong to a new child of another thread
/// before the entry of the child that had it is removed.
static ACTIVE: Mutex<BTreeMap<u64, ActiveChild>> = Mutex::new(BTreeMap::new());

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
/// started and that have not ended, as far as their loops have noticed, from the oldest to the
/// newest.
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
    lock().values().cloned().collect()
}

/// An entry of the list, which its destructor removes.
#[derive(Debug)]
pub(crate) struct Registered(u64);

impl Registered {
    pub(crate) fn new(pid: u32, name: String) -> Self {
        let mut active = lock();
        let number = active.last_key_value().map_or(0, |(last, _)| last + 1);
        active.insert(number, ActiveChild { pid, name });
        Self(number)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        lock().remove(&self.0);
    }
}

/// Locks the list. No user code runs while it is locked.
fn lock() -> MutexGuard<'static, BTreeMap<u64, ActiveChild>> {
    ACTIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_of_an_ended_child_is_removed_although_its_process_id_is_used_again() {
        // No process has this id.
        let pid = u32::MAX;
        let names = || {
            let children = active_children().into_iter();
            let children = children.filter(|child| child.pid == pid);
            children.map(|child| child.name).collect::<Vec<_>>()
        };
        let ended = Registered::new(pid, "ended".to_owned());
        let new = Registered::new(pid, "new".to_owned());
        assert_eq!(names(), ["ended", "new"]);
        drop(ended);
        assert_eq!(names(), ["new"]);
        let newest = Registered::new(pid, "newest".to_owned());
        drop(new);
        assert_eq!(names(), ["newest"]);
        drop(newest);
        assert_eq!(names(), [""; 0]);
    }
}
