//! [`Map`], the results of a function for each of many inputs.

mod inputs;
mod results;
pub(crate) mod window;

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
use super::attached::Attached;
use super::job::{Completion, Job};
use super::request::ATTEMPTS;
use crate::dispatch::{JobKey, JobOptions};
use crate::error::{ErrorKind, JobError};
use crate::frame::Kind;
use crate::frame::chunk::ITEM_HEADER;
use crate::ipc::MAX_DESCRIPTORS;
use crate::job::encoded::Encoded;
use crate::job::function::{IntoArguments, JobFn};

use inputs::{EncodedInputs, Inputs};
pub use inputs::{FromIterator, FromStream, IntoInputs, Iterated};
use results::{Results, Shared, Waits};
use window::{Gather, Window};

/// A stream of the results of a function for each of many inputs, which [`Pool::map`] and
/// [`Pool::map_unordered`] make.
///
/// Inputs are taken and jobs submitted while the stream is polled. Each result is a
/// `Result`: an input whose job fails does not end the stream. Dropping the stream cancels
/// the jobs that have no result yet.
///
/// When the pool is closed, each further input fails. With endless inputs the stream then
/// returns errors without end, so the caller should stop at an error for which
/// [`is_shut_down`](JobError::is_shut_down) returns `true`.
#[must_use = "a stream does nothing until it is polled"]
pub struct Map<'a, R> {
    pool: Pool,
    function: Result<u16, JobError>,
    inputs: Option<Pin<Box<dyn Inputs + 'a>>>,
    shared: Rc<Shared<R>>,
    window: Window,
    options: JobOptions,
    /// The encoded inputs of a chunk that is not full.
    body: Encoded,
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
        let encoded = EncodedInputs::<I::Stream, F::Arguments> {
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
            window: Window::new(),
            options: JobOptions {
                priority: 0,
                max_attempts: ATTEMPTS,
                is_idempotent,
            },
            body: Encoded::default(),
            gathered: 0,
            next: 0,
        }
    }

    /// Sets how many inputs may have been taken whose results the stream has not returned
    /// yet. The default is 64 for each worker, or four chunks for each worker if that is more.
    pub fn window(mut self, inputs: usize) -> Self {
        self.window.set_inputs(inputs);
        self
    }

    /// Sets how many inputs are sent in one job. The default is 1.
    ///
    /// With chunks, tiny calls cost a tenth. The results of a chunk come together, and together
    /// they may not be longer than [`max_message`](super::Builder::max_message) allows; a
    /// result that does not fit is an error. A chunk has fewer inputs if their arguments would be
    /// too long together, or if the inputs are a stream that has no more of them at the moment.
    pub fn chunks(mut self, inputs: usize) -> Self {
        self.window.set_chunk(inputs);
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

    /// Returns the number of the function. If it is not registered, the map returns one error and
    /// ends.
    fn function(&mut self) -> Option<u16> {
        match &self.function {
            Ok(function) => Some(*function),
            Err(error) => {
                let error = error.clone();
                if self.inputs.take().is_some() {
                    self.fail_next(error);
                }
                None
            }
        }
    }

    /// Submits the gathered inputs, of which there is at least one.
    fn submit(&mut self, function: u16) {
        let items = self.next - self.gathered..self.next;
        let mut body = mem::take(&mut self.body);
        self.gathered = 0;
        let kind = if items.len() == 1 {
            // One input is an ordinary job, without its length.
            body.bytes.drain(..ITEM_HEADER);
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
            has_run: false,
            slot: 0,
            kind,
            body: body.bytes.into(),
            attached: Attached::new(body.descriptors),
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

impl<R: DeserializeOwned + 'static> Gather for Map<'_, R> {
    fn window(&self) -> &Window {
        &self.window
    }

    fn workers(&self) -> usize {
        self.pool.core.options.workers
    }

    fn pending(&self) -> usize {
        self.next - self.shared.results.borrow().taken
    }

    fn gathered(&self) -> usize {
        self.gathered
    }

    fn poll_take(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let Some(function) = self.function() else {
            return Poll::Ready(false);
        };
        let Some(inputs) = &mut self.inputs else {
            return Poll::Ready(false);
        };
        let max = self.pool.core.options.max_message;
        let start = self.body.mark();
        let taken = inputs
            .as_mut()
            .poll_next(cx, &self.pool, function, &mut self.body);
        match ready!(taken) {
            Some(Ok(())) => {
                let is_too_much =
                    self.body.bytes.len() > max || self.body.descriptors.len() > MAX_DESCRIPTORS;
                if self.gathered > 0 && is_too_much {
                    // A chunk is limited like one message.
                    let input = self.body.split_off(start);
                    self.submit(function);
                    self.body = input;
                }
                self.gathered += 1;
                self.next += 1;
                if self.gathered >= self.window.chunk() || self.body.bytes.len() >= max / 2 {
                    self.submit(function);
                }
            }
            Some(Err(error)) => {
                self.flush();
                self.fail_next(error);
            }
            None => self.inputs = None,
        }
        Poll::Ready(self.inputs.is_some())
    }

    fn flush(&mut self) {
        if self.gathered > 0
            && let Ok(function) = self.function
        {
            self.submit(function);
        }
    }
}

impl<R: DeserializeOwned + 'static> Stream for Map<'_, R> {
    type Item = Result<R, JobError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        ready!(coop::poll_proceed(cx));
        // The result that was returned last may have made room for an input, for which a worker
        // should not have to wait.
        window::fill(&mut *self, cx);
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
            .finish_non_exhaustive()
    }
}
