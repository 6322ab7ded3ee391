//! What a set tells of its tasks.
#![expect(
    unsafe_code,
    reason = "looks at the headers of tasks that it owns; see the invariants of `task`"
)]

use std::sync::Arc;

use super::TaskSet;
use crate::task::Id;
use crate::task::header::{Flags, Header};
use crate::task::join::JoinHandle;
use crate::task::meta::TaskMeta;

impl TaskSet {
    /// The task that runs.
    pub(crate) fn current(&self) -> Option<Id> {
        self.with_current(|header| header.id)
    }

    /// The name of the task that runs.
    pub(crate) fn current_name(&self) -> Option<Arc<str>> {
        self.with_current(|header| self.name_of(header))?
    }

    /// What is known of a task of this set.
    pub(in crate::task) fn meta(&self, header: &Header) -> TaskMeta {
        TaskMeta {
            id: header.id,
            name: self.name_of(header),
            spawned_at: header.spawned_at,
        }
    }

    fn name_of(&self, header: &Header) -> Option<Arc<str>> {
        if !header.has(Flags::NAMED) {
            return None;
        }
        self.names.borrow().get(&header.id).cloned()
    }

    /// Names the task of `handle`, unless it is over.
    pub(crate) fn name<T>(&self, handle: &JoinHandle<T>, name: &str) {
        // SAFETY: the handle keeps the task, and this is the owner's thread.
        let header = unsafe { handle.task().header() };
        if header.has(Flags::LIVE) {
            header.set(Flags::NAMED);
            self.names.borrow_mut().insert(header.id, name.into());
        }
    }

    /// Makes the task of `handle` one of the loop's own.
    pub(crate) fn hide<T>(&self, handle: &JoinHandle<T>) {
        // SAFETY: the handle keeps the task, and this is the owner's thread.
        let header = unsafe { handle.task().header() };
        if header.has(Flags::LIVE) {
            header.set(Flags::HIDDEN);
            self.counts.hidden.set(self.counts.hidden.get() + 1);
        }
    }

    /// What is known of the task that is to run next, unless it is one of the
    /// loop's own.
    pub(crate) fn next_meta(&self) -> Option<TaskMeta> {
        let task = self.ready.first()?;
        // SAFETY: `QUEUED` keeps the task.
        let header = unsafe { task.header() };
        (!header.has(Flags::HIDDEN)).then(|| self.meta(header))
    }

    /// What is known of the tasks that live, oldest first.
    pub(crate) fn metas(&self) -> Vec<TaskMeta> {
        let mut metas = Vec::new();
        let mut next = self.live.first();
        while let Some(task) = next {
            // SAFETY: `LIVE` keeps the task, and nothing of others runs here.
            let header = unsafe { task.header() };
            if !header.has(Flags::HIDDEN) {
                metas.push(self.meta(header));
            }
            next = header.live_next.get();
        }
        metas.reverse();
        metas
    }

    /// How many tasks live, without those of the loop's own.
    pub(crate) fn alive(&self) -> u64 {
        self.spawned() - self.counts.ended.get() - self.counts.hidden.get()
    }

    /// How many tasks were made, some of them by the loop for itself.
    pub(crate) fn spawned(&self) -> u64 {
        self.counts.spawned.get()
    }

    /// How many are ready to run.
    pub(crate) fn ready(&self) -> usize {
        self.ready.count()
    }

    /// How often tasks were polled, up to the slice that runs.
    pub(crate) fn polls(&self) -> u64 {
        self.counts.polls.get()
    }

    /// How many wakes came by the inbox.
    pub(crate) fn posted(&self) -> u64 {
        self.counts.posted.get()
    }
}
