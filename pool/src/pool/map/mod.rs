//! [`Map`], the results of a function for each of many inputs.

mod inputs;
mod results;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use coreloop_runtime::task::coop;
use futures_core::Stream;
use serde::de::DeserializeOwned;

use super::Pool;
use super::job::{Completion, Job};
use super::request::ATTEMPTS;
use crate::dispatch::{JobKey, JobOptions};
use crate::error::{ErrorKind, JobError};
use crate::frame::Kind;
use crate::job::function::{IntoArguments, JobFn};

use inputs::{Encoded, Inputs};
pub use inputs::{FromIterator, FromStream, IntoInputs, Iterated};
use results::{Results, Shared, Waits};

/// A stream of the results of a function for each of many inputs, which [`Pool::map`] and
/// [`Pool::map_unordered`] make.
///
/// Inputs are taken and jobs submitted while the stream is polled. Each result is a
/// `Result`: an input whose job fails does not end the stream. Dropping the stream cancels
/// the jobs that have no result yet.
#[must_use = "a stream does nothing until it is polled"]
pub struct Map<'a, R> {
    pool: Pool,
    function: Result<u16, JobError>,
    inputs: Option<Pin<Box<dyn Inputs + 'a>>>,
    shared: Rc<Shared<R>>,
    window: Option<usize>,
    chunk: usize,
    options: JobOptions,
    /// The encoded inputs of a chunk that is not full.
    body: Vec<u8>,
    /// The number of these inputs.
    gathered: usize,
    /// The index of the next input.
    next: usize,
}

impl<'a, R: DeserializeOwned + 'static> Map<'a, R> {
    pub(super) fn new<F, S, I, K>(pool: &Pool, inputs: I, is_ordered: bool) -> Self
    where
        F: JobFn<S, Output = R>,
        I: IntoInputs<K, Item: IntoArguments<F::Arguments>, Stream: 'a>,
    {
        let function = pool.core.function::<F>();
        let is_idempotent = match &function {
            Ok(function) => pool.core.registered(*function).is_idempotent(),
            Err(_) => false,
        };
        let encoded = Encoded::<I::Stream, F::Arguments> {
            inputs: Box::pin(inputs.into_inputs()),
            arguments: PhantomData,
        };
        Self {
            pool: pool.clone(),
            function,
            inputs: Some(Box::pin(encoded)),
            shared: Rc::new(Shared {
                results: RefCell::new(Results {
                    list: VecDeque::new(),
                    taken: 0,
                }),
                is_ordered,
                waker: Cell::new(None),
                keys: RefCell::default(),
            }),
            window: None,
            chunk: 1,
            options: JobOptions {
                priority: 0,
                max_attempts: ATTEMPTS,
                is_idempotent,
            },
            body: Vec::new(),
            gathered: 0,
            next: 0,
        }
    }

    /// Sets how many inputs may have been taken whose results the stream has not returned
    /// yet. The default is 64 for each worker, or four chunks for each worker if that is more.
    pub fn window(mut self, inputs: usize) -> Self {
        self.window = Some(inputs.max(1));
        self
    }

    /// Sets how many inputs are sent in one job. The default is 1.
    ///
    /// With chunks, tiny calls cost a tenth. The results of a chunk come together, and together
    /// they may not be longer than [`max_message`](super::Builder::max_message) allows; a
    /// result that does not fit is an error. A chunk has fewer inputs if their arguments would be
    /// too long together, or if the inputs are a stream that has no more of them at the moment.
    pub fn chunks(mut self, inputs: usize) -> Self {
        self.chunk = inputs.max(1);
        self
    }

    /// Sets the priority of the jobs, like [`JobRequest::priority`](super::JobRequest::priority).
    pub fn priority(mut self, priority: i32) -> Self {
        self.options.priority = priority;
        self
    }

    /// Sets whether a call may be repeated, like
    /// [`JobRequest::idempotent`](super::JobRequest::idempotent).
    pub fn idempotent(mut self, idempotent: bool) -> Self {
        self.options.is_idempotent = idempotent;
        self
    }

    /// Sets how often a call is started at most, like
    /// [`JobRequest::attempts`](super::JobRequest::attempts).
    ///
    /// If the worker of a chunk dies, only the item that ran uses up an attempt. The items before
    /// it run again uncounted, because their results were lost with the worker.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.options.max_attempts = attempts.max(1);
        self
    }

    /// Takes inputs and submits jobs while the window has room.
    fn submit(&mut self, cx: &mut Context<'_>) {
        let workers = self.pool.core.options.workers;
        let window = self
            .window
            .unwrap_or_else(|| self.chunk.saturating_mul(4).max(64).saturating_mul(workers));
        while let Some(inputs) = &mut self.inputs {
            let taken = self.shared.results.borrow().taken;
            if self.next - taken >= window {
                if self.next - self.gathered > taken {
                    // Returning the results of other inputs makes room to fill this chunk.
                    return;
                }
                break;
            }
            let function = match &self.function {
                Ok(function) => *function,
                Err(error) => {
                    let error = error.clone();
                    self.inputs = None;
                    self.fail_next(error);
                    break;
                }
            };
            let max = self.pool.core.options.max_message;
            let start = self.body.len();
            let inputs = inputs.as_mut();
            match inputs.poll_next(cx, &self.pool, function, &mut self.body) {
                Poll::Ready(Some(Ok(()))) => {
                    if self.gathered > 0 && self.body.len() > max {
                        // A chunk is limited like one message.
                        let input = self.body.split_off(start);
                        self.flush(function);
                        self.body = input;
                    }
                    self.gathered += 1;
                    self.next += 1;
                    if self.gathered >= self.chunk || self.body.len() >= max / 2 {
                        self.flush(function);
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    self.flush(function);
                    self.fail_next(error);
                }
                Poll::Ready(None) => self.inputs = None,
                Poll::Pending => break,
            }
        }
        // Inputs that were kept would wait for others that do not come, or for the room that
        // they take themselves.
        if let Ok(function) = self.function {
            self.flush(function);
        }
    }

    /// Submits the gathered inputs.
    fn flush(&mut self, function: u16) {
        if self.gathered == 0 {
            return;
        }
        let items = self.next - self.gathered..self.next;
        let mut body = mem::take(&mut self.body);
        self.gathered = 0;
        let kind = if items.len() == 1 {
            // One input is an ordinary job, without its length.
            body.drain(..4);
            Kind::Job
        } else {
            Kind::Chunk
        };
        let waits = Waits {
            shared: Rc::clone(&self.shared),
            items,
        };
        if let Err(error) = self.pool.core.check_open(function) {
            Box::new(waits).failed(error);
            return;
        }
        let job = Job {
            id: self.pool.core.new_id(),
            function,
            options: self.options,
            attempt: 0,
            slot: 0,
            kind,
            body: body.into(),
            completion: Some(Box::new(waits)),
            is_cancelled: false,
            progress: None,
            room: None,
            timer: None,
        };
        let key = self.pool.core.submit(job, self.options);
        self.remember(key);
    }

    fn fail_next(&mut self, error: JobError) {
        let index = self.next;
        self.next += 1;
        self.shared.put(index, Err(error));
    }

    fn remember(&self, key: JobKey) {
        let mut keys = self.shared.keys.borrow_mut();
        if keys.len() >= 1_024 && keys.len() == keys.capacity() {
            let dispatcher = self.pool.core.dispatcher.borrow();
            keys.retain(|&key| dispatcher.contains(key));
        }
        keys.push_back(key);
    }
}

impl<R: DeserializeOwned + 'static> Stream for Map<'_, R> {
    type Item = Result<R, JobError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        ready!(coop::poll_proceed(cx));
        // The result that was returned last may have made room for an input, for which a worker
        // should not have to wait.
        self.submit(cx);
        if let Some(result) = self.shared.take() {
            return Poll::Ready(Some(result));
        }
        let is_done = self.next == self.shared.results.borrow().taken;
        if self.inputs.is_none() && is_done {
            return Poll::Ready(None);
        }
        self.shared.waker.set(Some(cx.waker().clone()));
        Poll::Pending
    }
}

impl<R> Drop for Map<'_, R> {
    fn drop(&mut self) {
        let keys = mem::take(&mut *self.shared.keys.borrow_mut());
        for key in keys {
            self.pool.core.cancel(key, ErrorKind::Cancelled);
        }
    }
}

impl<R> fmt::Debug for Map<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map")
            .field("window", &self.window)
            .field("chunk", &self.chunk)
            .finish_non_exhaustive()
    }
}
