//! Loom models of the task state and the inbox together. They run the code that ships, in
//! every interleaving of the loop with one other thread, and with two other threads in every
//! interleaving that preempts up to three times. All interleavings of those would take more
//! than ten minutes for each model.
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" cargo test -p coreloop-runtime --lib --release loom
//! ```
#![expect(
    unsafe_code,
    reason = "the models stand in for the tasks and the loop, and keep the same invariants"
)]

use std::ptr::NonNull;
use std::sync::Arc as StdArc;
use std::sync::atomic::AtomicUsize as StdAtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Notify};
use loom::thread;

use crate::engine::task::remote::inbox::{Inbox, Link, Node, Push};
use crate::engine::task::state::{ScheduleRemote, TaskState};

/// The part of a task that other threads see.
struct Task {
    state: TaskState,
    link: Link<Task>,
    /// Stands for the memory of the task: each reference reads it, and freeing writes it. Loom
    /// reports a free that does not happen after every read.
    memory: UnsafeCell<()>,
    /// The number of tasks that were freed. Not part of the model.
    freed: StdArc<StdAtomicUsize>,
}

// SAFETY: `link` returns the same link each time, and only the inbox uses it.
unsafe impl Node for Task {
    fn link(&self) -> &Link<Self> {
        &self.link
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.freed.fetch_add(1, SeqCst);
    }
}

/// A reference to a task, such as a waker or the owner has.
struct Reference(NonNull<Task>);

// SAFETY: a task's state and link are made for other threads.
unsafe impl Send for Reference {}

impl Reference {
    fn new(freed: &StdArc<StdAtomicUsize>) -> Self {
        let task = Box::new(Task {
            state: TaskState::new(),
            link: Link::default(),
            memory: UnsafeCell::new(()),
            freed: StdArc::clone(freed),
        });
        Self(NonNull::from(Box::leak(task)))
    }

    fn task(&self) -> &Task {
        // SAFETY: the reference keeps the task.
        unsafe { self.0.as_ref() }
    }

    /// Wakes or aborts the task, as `waker::notify` does from another thread.
    fn notify(&self, remote: &Remote, abort: bool) {
        if self.task().state.schedule_remote(abort) == ScheduleRemote::NothingToDo {
            return;
        }
        // SAFETY: the link and a reference were claimed just now.
        match unsafe { remote.inbox.push(self.0) } {
            Push::Queued => {}
            Push::Ring => remote.doorbell.notify(),
            Push::Closed => {
                self.task().state.clear_in_inbox();
                drop(Self(self.0));
            }
        }
    }
}

impl Clone for Reference {
    fn clone(&self) -> Self {
        self.task().state.acquire();
        Self(self.0)
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        self.task().memory.with(|_| ());
        if self.task().state.release() {
            self.task().memory.with_mut(|_| ());
            // SAFETY: the task came from a box, and this was the last reference.
            drop(unsafe { Box::from_raw(self.0.as_ptr()) });
        }
    }
}

/// The part of a loop that other threads reach.
struct Remote {
    inbox: Inbox<Task>,
    doorbell: Notify,
}

impl Remote {
    fn new() -> Arc<Self> {
        let remote = Self {
            inbox: Inbox::new(),
            doorbell: Notify::new(),
        };
        // Loops begin asleep, and are awake while the model runs.
        assert_eq!(remote.inbox.take().count(), 0);
        Arc::new(remote)
    }

    /// Runs one turn of the loop: waits if the inbox is empty, takes the tasks, and returns
    /// their number and whether one of them was aborted.
    fn turn(&self) -> (usize, bool) {
        if self.inbox.is_awake_and_empty() && self.inbox.try_mark_asleep() {
            self.doorbell.wait();
        }
        let mut count = 0;
        let mut aborted = false;
        for task in self.inbox.take() {
            // The inbox's reference.
            let task = Reference(task);
            aborted |= task.task().state.clear_in_inbox();
            count += 1;
        }
        (count, aborted)
    }
}

/// Explores `model` with one other thread, then with two.
fn explore(model: impl Fn(usize) + Copy + Send + Sync + 'static) {
    loom::model(move || model(1));
    let mut bounded = loom::model::Builder::new();
    bounded.preemption_bound = Some(3);
    bounded.check(move || model(2));
}

/// Threads wake one task, and the loop sleeps whenever it may. A turn that follows sees what
/// each thread did before it woke the task.
#[test]
fn loom_no_wake_is_lost() {
    explore(|others| {
        let freed = StdArc::new(StdAtomicUsize::new(0));
        let remote = Remote::new();
        let done = Arc::new(AtomicUsize::new(0));
        let owner = Reference::new(&freed);

        let threads: Vec<_> = (0..others)
            .map(|_| {
                let (remote, done, waker) = (Arc::clone(&remote), Arc::clone(&done), owner.clone());
                thread::spawn(move || {
                    done.fetch_add(1, Ordering::Relaxed);
                    waker.notify(&remote, false);
                })
            })
            .collect();

        // Loom reports a deadlock if the loop sleeps for ever.
        let mut turns = 0;
        while done.load(Ordering::Relaxed) < others || turns == 0 {
            remote.turn();
            turns += 1;
        }

        for thread in threads {
            thread.join().unwrap();
        }
        for task in remote.inbox.close() {
            let task = Reference(task);
            task.task().state.clear_in_inbox();
        }
        owner.task().state.finish();
        assert_eq!(freed.load(SeqCst), 0);
        drop(owner);
        assert_eq!(freed.load(SeqCst), 1);
    });
}

/// Each thread wakes a task of its own. The loop takes all of them.
#[test]
fn loom_every_task_is_taken() {
    explore(|others| {
        let freed = StdArc::new(StdAtomicUsize::new(0));
        let remote = Remote::new();
        let threads: Vec<_> = (0..others)
            .map(|_| {
                let (remote, waker) = (Arc::clone(&remote), Reference::new(&freed));
                thread::spawn(move || waker.notify(&remote, false))
            })
            .collect();
        let mut taken = 0;
        while taken < others {
            taken += remote.turn().0;
        }
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(freed.load(SeqCst), others);
    });
}

/// A wake and an abort race. The abort reaches the loop.
#[test]
fn loom_an_abort_is_seen() {
    explore(|others| {
        let freed = StdArc::new(StdAtomicUsize::new(0));
        let remote = Remote::new();
        let owner = Reference::new(&freed);
        let threads: Vec<_> = [true, false]
            .into_iter()
            .take(others)
            .map(|abort| {
                let (remote, handle) = (Arc::clone(&remote), owner.clone());
                thread::spawn(move || handle.notify(&remote, abort))
            })
            .collect();
        while !remote.turn().1 {}
        for thread in threads {
            thread.join().unwrap();
        }
        for task in remote.inbox.close() {
            let task = Reference(task);
            task.task().state.clear_in_inbox();
        }
        drop(owner);
        assert_eq!(freed.load(SeqCst), 1);
    });
}

/// The loop closes the inbox while other threads wake a task. Nothing leaks, nothing is freed
/// twice, and nothing is pushed afterwards.
#[test]
fn loom_a_close_races_with_wakes() {
    explore(|others| {
        let freed = StdArc::new(StdAtomicUsize::new(0));
        let remote = Remote::new();
        let owner = Reference::new(&freed);
        let threads: Vec<_> = (0..others)
            .map(|_| {
                let (remote, waker) = (Arc::clone(&remote), owner.clone());
                thread::spawn(move || waker.notify(&remote, false))
            })
            .collect();
        owner.task().state.finish();
        for task in remote.inbox.close() {
            let task = Reference(task);
            task.task().state.clear_in_inbox();
        }
        drop(owner);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(remote.inbox.close().count(), 0);
        assert_eq!(freed.load(SeqCst), 1);
    });
}

/// Several threads drop the last references at once. One of them frees the task.
#[test]
fn loom_the_last_reference_frees() {
    explore(|others| {
        let freed = StdArc::new(StdAtomicUsize::new(0));
        let owner = Reference::new(&freed);
        let threads: Vec<_> = (0..others)
            .map(|_| {
                let waker = owner.clone();
                thread::spawn(move || drop(waker.clone()))
            })
            .collect();
        owner.task().state.finish();
        assert!(owner.task().state.is_done());
        drop(owner);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(freed.load(SeqCst), 1);
    });
}

/// The owner wakes its own loop, as a spawn outside a turn does, while another thread wakes a
/// task. The second of them does not ring, and the loop wakes.
#[test]
fn loom_wake_if_asleep_races_with_a_wake() {
    loom::model(|| {
        let freed = StdArc::new(StdAtomicUsize::new(0));
        let remote = Remote::new();
        assert!(remote.inbox.try_mark_asleep());
        let thread = {
            let (remote, waker) = (Arc::clone(&remote), Reference::new(&freed));
            thread::spawn(move || waker.notify(&remote, false))
        };
        if remote.inbox.wake_if_asleep() {
            remote.doorbell.notify();
        }
        remote.doorbell.wait();
        let mut taken = remote.inbox.take().count();
        thread.join().unwrap();
        taken += remote.inbox.take().count();
        assert_eq!(taken, 1);
    });
}
