//! What a scheduler reports of its tasks: ids, names, descriptions and counts.

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
    /// Returns the id of the current task.
    #[inline]
    pub(crate) fn current(&self) -> Option<Id> {
        self.with_current(|header| header.id)
    }

    /// Returns the name of the current task, if it has one.
    pub(crate) fn current_name(&self) -> Option<Arc<str>> {
        self.with_current(|header| self.name_of(header))?
    }

    /// Returns the description of a task of this scheduler.
    pub(crate) fn meta(&self, header: &Header) -> TaskMeta {
        TaskMeta {
            id: header.id,
            name: self.name_of(header),
            spawned_at: header.spawned_at,
        }
    }

    /// Treats `payload` as a panic of the current task that is not joined: passes it to the loop
    /// as unhandled.
    pub(crate) fn report_unjoined(&self, payload: Payload) {
        let Some(task) = self.current_meta() else {
            return panics::discard(payload);
        };
        if let Failure::Panicked(panic) = Failure::panicked(task, self.remote.unhandled(), payload)
        {
            // `hand_to` drops the payload, which is user code.
            panics::caught(|| panic.hand_to(self.remote.get()));
        }
    }

    fn name_of(&self, header: &Header) -> Option<Arc<str>> {
        if !header.has(Flags::NAMED) {
            return None;
        }
        self.names.borrow().get(&header.id).cloned()
    }

    /// Gives the task of `handle` a name, unless the task has finished.
    pub(crate) fn name<T>(&self, handle: &JoinHandle<T>, name: &str) {
        let header = handle.header();
        if header.has(Flags::LIVE) {
            header.set(Flags::NAMED);
            self.names.borrow_mut().insert(header.id, name.into());
        }
    }

    /// Marks the task of `handle` as one of the loop's own, which is not reported.
    pub(crate) fn hide<T>(&self, handle: &JoinHandle<T>) {
        let header = handle.header();
        if header.has(Flags::LIVE) {
            header.set(Flags::HIDDEN);
            self.counts.hidden.set(self.counts.hidden.get() + 1);
        }
    }

    /// Returns the description of the task at the head of the ready queue, unless it is one of
    /// the loop's own.
    pub(crate) fn next_meta(&self) -> Option<TaskMeta> {
        let task = self.ready.first()?;
        let header = task.header();
        (!header.has(Flags::HIDDEN)).then(|| self.meta(header))
    }

    /// Returns the descriptions of the live tasks, oldest first, without the loop's own.
    pub(crate) fn metas(&self) -> Vec<TaskMeta> {
        let tasks = self.live.all();
        let headers = tasks.iter().rev().map(TaskRef::header);
        headers
            .filter(|header| !header.has(Flags::HIDDEN))
            .map(|header| self.meta(header))
            .collect()
    }

    /// Returns the number of live tasks, without the loop's own.
    pub(crate) fn alive(&self) -> u64 {
        self.spawned() - self.counts.ended.get() - self.counts.hidden.get()
    }

    /// Returns the number of tasks ever spawned, the loop's own included.
    pub(crate) fn spawned(&self) -> u64 {
        self.counts.spawned.get()
    }

    /// Counts the tasks that are ready to run, in linear time.
    pub(crate) fn ready(&self) -> usize {
        self.ready.count()
    }

    /// Returns the number of polls of tasks that were begun, including the current one. So it
    /// also identifies the current poll.
    pub(crate) fn polls(&self) -> u64 {
        self.counts.polls.get() - u64::from(self.counts.left.get())
    }

    /// Returns how many times a task was taken from the inbox.
    pub(crate) fn remote_schedules(&self) -> u64 {
        self.counts.remote_schedules.get()
    }
}
