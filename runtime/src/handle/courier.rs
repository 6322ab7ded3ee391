//! The courier: the one task of a loop that makes the tasks which other threads spawn.
//!
//! It is made with the first handle, and lives as long as the loop. Sending
//! puts a letter in the mailbox and wakes the courier if the box was empty: the
//! wake goes by way of the loop's inbox, so that decides whether to ring.
//!
//! The courier makes a bounded number of tasks each time that it is polled, and is ready
//! again while letters are left. So a thread that spawns faster than the loop can run the
//! tasks delays neither the loop's own tasks nor what waits for descriptors and timers.
//!
//! # Invariants
//!
//! 1. While there are letters in the box, the courier is ready or about to be woken: it
//!    has not been polled yet, or its last poll left letters and woke it, or the sender of
//!    the first letter wakes it. So the loop does not sleep while there are letters.
//! 2. The box is closed by the courier's destructor, at the shutdown of the
//!    loop. What is in it then is dropped; a letter that comes later is dropped
//!    by its sender.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use super::Shared;
use super::outcome::lock;
use crate::context;
use crate::event_loop::EventLoop;
use crate::nesting;
use crate::panics;
use crate::task::TaskMeta;

/// How many letters are opened in one poll, at most. A task that is woken after that waits
/// until as many others have run.
const AT_ONCE: usize = 32;

/// While other tasks are ready, one letter is opened for this number of polls, which is the
/// default of tokio. Otherwise each wake of a local task would wait for tasks of other threads.
const INTERVAL: u64 = 31;

/// The room for letters that an empty box keeps.
const KEPT_ROOM: usize = 256;

/// A task that is yet to be made, on the way to its loop.
pub(super) trait Letter: Send {
    /// Makes the task. Runs no code of the user's.
    fn open(self: Box<Self>, event_loop: &EventLoop);

    /// What is known of the task.
    fn meta(&self) -> TaskMeta;
}

/// Where letters wait for the courier.
pub(super) struct Mailbox {
    contents: Mutex<Contents>,
}

struct Contents {
    letters: VecDeque<Box<dyn Letter>>,
    courier: Option<Waker>,
    closed: bool,
}

impl Mailbox {
    pub(super) fn new() -> Mailbox {
        Mailbox {
            contents: Mutex::new(Contents {
                letters: VecDeque::new(),
                courier: None,
                closed: false,
            }),
        }
    }

    /// Leaves a letter, or drops it if the loop is gone.
    pub(super) fn send(&self, letter: Box<dyn Letter>) {
        let courier = {
            let mut contents = lock(&self.contents);
            if contents.closed {
                drop(contents);
                nesting::drop_nested(letter);
                return;
            }
            let was_empty = contents.letters.is_empty();
            contents.letters.push_back(letter);
            // The waker is that of a task of ours, so cloning it calls nobody.
            contents.courier.as_ref().filter(|_| was_empty).cloned()
        };
        if let Some(courier) = courier {
            courier.wake();
        }
    }

    /// Wakes the courier.
    pub(super) fn wake(&self) {
        let courier = lock(&self.contents).courier.clone();
        if let Some(courier) = courier {
            courier.wake();
        }
    }

    /// Moves up to `most` letters to `taken`, and keeps the waker. Returns whether letters
    /// are left.
    fn collect(
        &self,
        most: usize,
        taken: &mut Vec<Box<dyn Letter>>,
        context: &Context<'_>,
    ) -> bool {
        let mut contents = lock(&self.contents);
        // A task has one and the same waker for life.
        if contents.courier.is_none() {
            contents.courier = Some(context.waker().clone());
        }
        let letters = &mut contents.letters;
        taken.extend(letters.drain(..most.min(letters.len())));
        if letters.is_empty() {
            letters.shrink_to(KEPT_ROOM);
        }
        !letters.is_empty()
    }

    /// Drops the letters. Returns what is known of their tasks.
    pub(super) fn discard(&self) -> Vec<TaskMeta> {
        let letters = mem::take(&mut lock(&self.contents).letters);
        let discard = |letter: Box<dyn Letter>| {
            let meta = letter.meta();
            panics::caught(|| drop(letter));
            meta
        };
        letters.into_iter().map(discard).collect()
    }

    fn close(&self) {
        let courier = {
            let mut contents = lock(&self.contents);
            contents.closed = true;
            contents.courier.take()
        };
        drop(courier);
        drop(self.discard());
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").finish_non_exhaustive()
    }
}

/// The future of the courier. It has no end.
pub(super) struct Courier {
    shared: Arc<Shared>,
    /// Empty, but for its memory.
    taken: Vec<Box<dyn Letter>>,
    /// How many polls of tasks the loop had counted when letters were last opened, if any
    /// were.
    counted: Option<u64>,
}

impl Courier {
    pub(super) fn new(shared: Arc<Shared>) -> Courier {
        Courier {
            shared,
            taken: Vec::new(),
            counted: None,
        }
    }

    /// How many letters may be opened in this poll.
    fn allowance(&self, event_loop: &EventLoop) -> usize {
        if !event_loop.tasks.has_ready() {
            return AT_ONCE;
        }
        let polls = event_loop.tasks.polls();
        let share = match self.counted {
            Some(counted) => (polls - counted) / INTERVAL,
            // The first letter does not wait.
            None => (polls / INTERVAL).max(1),
        };
        usize::try_from(share).map_or(AT_ONCE, |share| share.min(AT_ONCE))
    }
}

impl Future for Courier {
    type Output = ();

    /// Opens some letters. A sender that finds the box empty afterwards wakes the courier.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let courier = &mut *self;
        context::with_running(|event_loop| {
            let most = courier.allowance(event_loop);
            // If it is zero there may be letters.
            let mut are_left = true;
            if most > 0 {
                let mailbox = &courier.shared.mailbox;
                are_left = mailbox.collect(most, &mut courier.taken, context);
            }
            if !courier.taken.is_empty() {
                courier.counted = Some(event_loop.tasks.polls());
            }
            for letter in courier.taken.drain(..) {
                letter.open(event_loop);
            }
            if are_left {
                context.waker().wake_by_ref();
            }
        });
        Poll::Pending
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        self.shared.mailbox.close();
    }
}
