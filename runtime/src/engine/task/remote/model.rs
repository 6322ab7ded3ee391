//! Loom models of the state and the inbox together: the code that ships, in
//! every interleaving of the loop with one other thread, and with two other
//! threads in every one that preempts up to three times. All of those take more
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
use std::sync::Arc as Uncounted;
use std::sync::atomic::AtomicUsize as Tally;
use std::sync::atomic::Ordering::SeqCst;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Notify};
use loom::thread;

use crate::engine::task::remote::inbox::{Inbox, Link, Node, Push};
use crate::engine::task::state::{ScheduleRemote, TaskState};

/// A task, as far as other threads see it.
struct Task {
    state: TaskState,
    link: Link<Task>,
    /// The memory: read by whoever has a reference, written when it is freed. Loom
    /// tells if the free does not come after every read.
    memory: UnsafeCell<()>,
    /// How often one was freed. Not part of the model.
    freed: Uncounted<Tally>,
}

// SAFETY: the same link each time, used by the inbox alone.
unsafe impl Node for Task {
    fn link(&self) -> &Link<Task> {
        &self.link
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.freed.fetch_add(1, SeqCst);
    }
}

/// A reference to a task, as a waker or the owner has.
struct Reference(NonNull<Task>);

// SAFETY: a task's state and link are made for other threads.
unsafe impl Send for Reference {}

impl Reference {
    fn new(freed: &Uncounted<Tally>) -> Reference {
        let task = Box::new(Task {
            state: TaskState::new(),
            link: Link::default(),
            memory: UnsafeCell::new(()),
            freed: Uncounted::clone(freed),
        });
        Reference(NonNull::from(Box::leak(task)))
    }

    fn task(&self) -> &Task {
        // SAFETY: the reference keeps it.
        unsafe { self.0.as_ref() }
    }

    /// Wakes or aborts the task, as `waker::notify` does from another thread.
    fn notify(&self, far: &Far, abort: bool) {
        if self.task().state.schedule_remote(abort) == ScheduleRemote::AlreadyScheduled {
            return;
        }
        // SAFETY: the link and a reference were claimed just now.
        match unsafe { far.inbox.push(self.0) } {
            Push::Queued => {}
            Push::Ring => far.doorbell.notify(),
            Push::Closed => {
                self.task().state.clear_scheduled();
                drop(Reference(self.0));
            }
        }
    }
}

impl Clone for Reference {
    fn clone(&self) -> Reference {
        self.task().state.acquire();
        Reference(self.0)
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        self.task().memory.with(|_| ());
        if self.task().state.release() {
            self.task().memory.with_mut(|_| ());
            // SAFETY: it came from a box, and this was the last reference.
            drop(unsafe { Box::from_raw(self.0.as_ptr()) });
        }
    }
}

/// The part of a loop that other threads reach.
struct Far {
    inbox: Inbox<Task>,
    doorbell: Notify,
}

impl Far {
    fn new() -> Arc<Far> {
        let far = Far {
            inbox: Inbox::new(),
            doorbell: Notify::new(),
        };
        // Loops begin asleep, and are awake while the model runs.
        assert_eq!(far.inbox.take().count(), 0);
        Arc::new(far)
    }

    /// One turn of the loop: sleeps if nothing is there, takes what is, and
    /// returns how many tasks that was and whether one was to be aborted.
    fn turn(&self) -> (usize, bool) {
        if self.inbox.is_empty() && self.inbox.sleep() {
            self.doorbell.wait();
        }
        let mut count = 0;
        let mut aborted = false;
        for task in self.inbox.take() {
            // The inbox's reference.
            let task = Reference(task);
            aborted |= task.task().state.clear_scheduled();
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

/// Threads wake one task; the loop sleeps whenever it may. Whatever a
/// thread did before it woke the task is seen by a turn that follows.
#[test]
fn loom_no_wake_is_lost() {
    explore(|others| {
        let freed = Uncounted::new(Tally::new(0));
        let far = Far::new();
        let done = Arc::new(AtomicUsize::new(0));
        let owner = Reference::new(&freed);

        let threads: Vec<_> = (0..others)
            .map(|_| {
                let (far, done, waker) = (Arc::clone(&far), Arc::clone(&done), owner.clone());
                thread::spawn(move || {
                    done.fetch_add(1, Ordering::Relaxed);
                    waker.notify(&far, false);
                })
            })
            .collect();

        // Loom reports a deadlock if the loop sleeps for ever.
        let mut turns = 0;
        while done.load(Ordering::Relaxed) < others || turns == 0 {
            far.turn();
            turns += 1;
        }

        for thread in threads {
            thread.join().unwrap();
        }
        for task in far.inbox.close() {
            let task = Reference(task);
            task.task().state.clear_scheduled();
        }
        owner.task().state.finish();
        assert_eq!(freed.load(SeqCst), 0);
        drop(owner);
        assert_eq!(freed.load(SeqCst), 1);
    });
}

/// Each thread wakes a task of its own: all are taken.
#[test]
fn loom_every_task_is_taken() {
    explore(|others| {
        let freed = Uncounted::new(Tally::new(0));
        let far = Far::new();
        let threads: Vec<_> = (0..others)
            .map(|_| {
                let (far, waker) = (Arc::clone(&far), Reference::new(&freed));
                thread::spawn(move || waker.notify(&far, false))
            })
            .collect();
        let mut taken = 0;
        while taken < others {
            taken += far.turn().0;
        }
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(freed.load(SeqCst), others);
    });
}

/// A wake and an abort race: the abort reaches the loop.
#[test]
fn loom_an_abort_is_seen() {
    explore(|others| {
        let freed = Uncounted::new(Tally::new(0));
        let far = Far::new();
        let owner = Reference::new(&freed);
        let threads: Vec<_> = [true, false]
            .into_iter()
            .take(others)
            .map(|abort| {
                let (far, handle) = (Arc::clone(&far), owner.clone());
                thread::spawn(move || handle.notify(&far, abort))
            })
            .collect();
        while !far.turn().1 {}
        for thread in threads {
            thread.join().unwrap();
        }
        for task in far.inbox.close() {
            let task = Reference(task);
            task.task().state.clear_scheduled();
        }
        drop(owner);
        assert_eq!(freed.load(SeqCst), 1);
    });
}

/// The loop closes while others wake: nothing leaks, nothing is freed
/// twice, and nobody pushes afterwards.
#[test]
fn loom_a_close_races_with_wakes() {
    explore(|others| {
        let freed = Uncounted::new(Tally::new(0));
        let far = Far::new();
        let owner = Reference::new(&freed);
        let threads: Vec<_> = (0..others)
            .map(|_| {
                let (far, waker) = (Arc::clone(&far), owner.clone());
                thread::spawn(move || waker.notify(&far, false))
            })
            .collect();
        owner.task().state.finish();
        for task in far.inbox.close() {
            let task = Reference(task);
            task.task().state.clear_scheduled();
        }
        drop(owner);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(far.inbox.close().count(), 0);
        assert_eq!(freed.load(SeqCst), 1);
    });
}

/// The last references go on several threads at once: one of them frees.
#[test]
fn loom_the_last_reference_frees() {
    explore(|others| {
        let freed = Uncounted::new(Tally::new(0));
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

/// The owner rouses its own loop, as a spawn outside a turn does, while another
/// thread wakes a task: whoever is second does not ring, and the loop wakes.
#[test]
fn loom_a_rouse_races_with_a_wake() {
    loom::model(|| {
        let freed = Uncounted::new(Tally::new(0));
        let far = Far::new();
        assert!(far.inbox.sleep());
        let thread = {
            let (far, waker) = (Arc::clone(&far), Reference::new(&freed));
            thread::spawn(move || waker.notify(&far, false))
        };
        if far.inbox.wake_if_asleep() {
            far.doorbell.notify();
        }
        far.doorbell.wait();
        let mut taken = far.inbox.take().count();
        thread.join().unwrap();
        taken += far.inbox.take().count();
        assert_eq!(taken, 1);
    });
}
