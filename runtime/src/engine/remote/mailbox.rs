//! [`Mailbox`]: the tasks that other threads have asked the loop to spawn.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::sync::Mutex;
use std::task::{Context, Waker};

use crate::engine::core::event_loop::EventLoop;
use crate::engine::remote::outcome::lock;
use crate::engine::task::meta::TaskMeta;
use crate::engine::{nesting, panics};

/// The room for letters that an empty box keeps.
const KEPT_ROOM: usize = 256;

/// A task that is yet to be made, on the way to its loop.
pub(crate) trait Letter: Send {
    /// Makes the task. Runs no code of the user's.
    fn open(self: Box<Self>, event_loop: &EventLoop);

    /// What is known of the task.
    fn meta(&self) -> TaskMeta;
}

/// Where letters wait for the courier.
pub(crate) struct Mailbox {
    contents: Mutex<Contents>,
}

struct Contents {
    letters: VecDeque<Box<dyn Letter>>,
    courier: Option<Waker>,
    closed: bool,
}

impl Mailbox {
    pub(crate) fn new() -> Mailbox {
        Mailbox {
            contents: Mutex::new(Contents {
                letters: VecDeque::new(),
                courier: None,
                closed: false,
            }),
        }
    }

    /// Leaves a letter, or drops it if the loop is gone.
    pub(crate) fn send(&self, letter: Box<dyn Letter>) {
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
    pub(crate) fn wake(&self) {
        let courier = lock(&self.contents).courier.clone();
        if let Some(courier) = courier {
            courier.wake();
        }
    }

    /// Moves up to `most` letters to `taken`, and keeps the waker. Returns whether letters
    /// are left.
    pub(crate) fn collect(
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
    pub(crate) fn discard(&self) -> Vec<TaskMeta> {
        let letters = mem::take(&mut lock(&self.contents).letters);
        let discard = |letter: Box<dyn Letter>| {
            let meta = letter.meta();
            panics::caught(|| drop(letter));
            meta
        };
        letters.into_iter().map(discard).collect()
    }

    pub(crate) fn close(&self) {
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
