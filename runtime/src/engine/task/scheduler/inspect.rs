//! What a set tells of its tasks.

use std::sync::Arc;

use crate::engine::id::Id;
use crate::engine::panics::{self, Payload};
use crate::engine::report::task_meta::TaskMeta;
use crate::engine::task::error::Failure;
use crate::engine::task::header::{Flags, Header};
use crate::engine::task::join::JoinHandle;
use crate::engine::task::ready_queue::TaskRef;
use crate::engine::task::scheduler::Scheduler;

impl Scheduler {
    /// The task that runs.
    #[inline]
    pub(crate) fn current(&self) -> Option<Id> {
        self.with_current(|header| header.id)
    }

    /// The name of the task that runs.
    pub(crate) fn current_name(&self) -> Option<Arc<str>> {
        self.with_current(|header| self.name_of(header))?
    }

    /// What is known of a task of this set.
    pub(crate) fn meta(&self, header: &Header) -> TaskMeta {
        TaskMeta {
            id: header.id,
            name: self.name_of(header),
            spawned_at: header.spawned_at,
        }
    }

    /// Does what the runtime is to do with a panic of the task that runs, which is not
    /// joined.
    pub(crate) fn report_unjoined(&self, payload: Payload) {
        let Some(task) = self.current_meta() else {
            return panics::discard(payload);
        };
        if let Failure::Panicked(panic) = Failure::panicked(task, self.remote.unhandled(), payload)
        {
            // The payload is dropped in there.
            panics::caught(|| panic.hand_to(self.remote.get()));
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
        let header = handle.header();
        if header.has(Flags::LIVE) {
            header.set(Flags::NAMED);
            self.names.borrow_mut().insert(header.id, name.into());
        }
    }

    /// Makes the task of `handle` one of the loop's own.
    pub(crate) fn hide<T>(&self, handle: &JoinHandle<T>) {
        let header = handle.header();
        if header.has(Flags::LIVE) {
            header.set(Flags::HIDDEN);
            self.counts.hidden.set(self.counts.hidden.get() + 1);
        }
    }

    /// What is known of the task that is to run next, unless it is one of the
    /// loop's own.
    pub(crate) fn next_meta(&self) -> Option<TaskMeta> {
        let task = self.ready.first()?;
        let header = task.header();
        (!header.has(Flags::HIDDEN)).then(|| self.meta(header))
    }

    /// What is known of the tasks that live, oldest first.
    pub(crate) fn metas(&self) -> Vec<TaskMeta> {
        let tasks = self.live.all();
        let headers = tasks.iter().rev().map(TaskRef::header);
        headers
            .filter(|header| !header.has(Flags::HIDDEN))
            .map(|header| self.meta(header))
            .collect()
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

    /// How many polls of tasks were begun, the one that runs among them. So this is
    /// also the number of that poll.
    pub(crate) fn polls(&self) -> u64 {
        self.counts.polls.get() - u64::from(self.counts.left.get())
    }

    /// How many wakes came by the inbox.
    pub(crate) fn posted(&self) -> u64 {
        self.counts.posted.get()
    }
}
