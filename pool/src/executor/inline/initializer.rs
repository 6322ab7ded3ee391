//! [`Initialization`], which calls the initializer on the loop, before the first job.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use super::Inline;
use super::job::Caught;
use crate::job::initialize::Installed;
use crate::job::worker_state;
use crate::panics;
use crate::pool::FirstArguments;

/// The initializer, and whether it was called.
pub(super) struct Initialization {
    /// `None` after the call.
    call: Cell<Option<FirstArguments>>,
    failure: RefCell<Option<String>>,
    /// Whether the initializer was called and has not finished.
    is_running: Cell<bool>,
}

impl Initialization {
    pub(super) fn new(call: Option<FirstArguments>) -> Self {
        Self {
            call: Cell::new(call),
            failure: RefCell::default(),
            is_running: Cell::new(false),
        }
    }

    pub(super) fn failure(&self) -> Option<String> {
        self.failure.borrow().clone()
    }

    /// Calls the initializer, unless it was called before, and keeps its state.
    pub(super) async fn run(&self, inline: &Inline) -> Result<(), String> {
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        if self.is_running.get() {
            return Err("the initializer was interrupted by the end of its runtime".to_owned());
        }
        let Some(first) = self.call.take() else {
            return Ok(());
        };
        self.is_running.set(true);
        let called = self.call(inline, &first).await;
        self.is_running.set(false);
        let failure = called.as_ref().err().cloned();
        self.failure.replace(failure);
        called
    }

    async fn call(&self, inline: &Inline, first: &FirstArguments) -> Result<(), String> {
        let Some(function) = inline.registry.get(first.function) else {
            return Err("the initializer is not registered".to_owned());
        };
        let begin = || {
            let called = panics::catch(|| function.begin_initialize(first.input()?));
            called.unwrap_or_else(|message| Err(panicked(&message)))
        };
        match inline.keep_state(begin)? {
            Installed::Now => Ok(()),
            Installed::Later(future) => {
                let mut future = pin!(Caught(Box::pin(future)));
                poll_fn(|cx| match inline.keep_state(|| future.as_mut().poll(cx)) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(Ok(result)) => Poll::Ready(result),
                    Poll::Ready(Err(message)) => Poll::Ready(Err(panicked(&message))),
                })
                .await
            }
        }
    }
}

impl Inline {
    /// Calls `install`, and keeps the state that it may have installed.
    fn keep_state<R>(&self, install: impl FnOnce() -> R) -> R {
        worker_state::with(None, || {
            let result = install();
            if let Some(state) = worker_state::current() {
                *self.state.borrow_mut() = Some(state);
            }
            result
        })
    }
}

fn panicked(message: &str) -> String {
    format!("the initializer panicked: {message}")
}
