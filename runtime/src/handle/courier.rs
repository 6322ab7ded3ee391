//! The courier: the one task of a loop that others' tasks come by.
//!
//! It is made with the first handle, and lives as long as the loop. Sending
//! puts a letter in the mailbox and wakes the courier if the box was empty: the
//! wake goes by way of the loop's inbox, so that decides whether to ring.
//!
//! # Invariants
//!
//! 1. A courier that has not been polled yet is in the ready queue, and empties
//!    the box when its turn comes. Afterwards its waker is in the box, until the
//!    box is closed.
//! 2. The box is closed by the courier's destructor, at the shutdown of the
//!    loop. What is in it then is dropped; a letter that comes later is dropped
//!    by its sender.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use super::Shared;
use super::outcome::lock;
use crate::context;
use crate::event_loop::EventLoop;
use crate::panics;

/// A task that is yet to be made, on the way to its loop.
pub(super) trait Letter: Send {
    /// Makes the task. Runs no code of the user's.
    fn open(self: Box<Self>, event_loop: &EventLoop);
}

/// Where letters wait for the courier.
pub(super) struct Mailbox {
    contents: Mutex<Contents>,
}

struct Contents {
    letters: Vec<Box<dyn Letter>>,
    courier: Option<Waker>,
    closed: bool,
}

impl Mailbox {
    pub(super) fn new() -> Mailbox {
        Mailbox {
            contents: Mutex::new(Contents {
                letters: Vec::new(),
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
                drop(letter);
                return;
            }
            let was_empty = contents.letters.is_empty();
            contents.letters.push(letter);
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

    /// Swaps the letters for `empty`, and takes the waker in.
    fn collect(&self, empty: &mut Vec<Box<dyn Letter>>, context: &Context<'_>) {
        let mut contents = lock(&self.contents);
        mem::swap(&mut contents.letters, empty);
        // A task has one and the same waker for life.
        if contents.courier.is_none() {
            contents.courier = Some(context.waker().clone());
        }
    }

    fn close(&self) {
        let (letters, courier) = {
            let mut contents = lock(&self.contents);
            contents.closed = true;
            (mem::take(&mut contents.letters), contents.courier.take())
        };
        drop(courier);
        for letter in letters {
            panics::caught(|| drop(letter));
        }
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
    letters: Vec<Box<dyn Letter>>,
}

impl Courier {
    pub(super) fn new(shared: Arc<Shared>) -> Courier {
        Courier {
            shared,
            letters: Vec::new(),
        }
    }
}

impl Future for Courier {
    type Output = ();

    /// Opens what is there, once: whoever sends more meanwhile finds an empty
    /// box, and wakes the courier.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let courier = &mut *self;
        courier
            .shared
            .mailbox
            .collect(&mut courier.letters, context);
        context::with_running(|event_loop| {
            for letter in courier.letters.drain(..) {
                letter.open(event_loop);
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
