//! [`ExecutorMap`], the results of a function for each of many inputs.

use std::collections::VecDeque;
use std::fmt;
use std::future::ready;
use std::marker::PhantomData;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use coreloop_runtime::scope::{AsCompleted, as_completed};
use coreloop_runtime::task::coop;
use futures_core::Stream;
use serde::de::DeserializeOwned;

use super::{Engine, Items};
use crate::error::JobError;
use crate::job::function::{IntoArguments, JobFn};
use crate::pool::window::{self, Gather, Window};
use crate::pool::{CancelOnDrop, IntoInputs, JobHandle, Map};

/// A stream of the results of a function for each of many inputs, which
/// [`Executor::map`](super::Executor::map) and
/// [`map_unordered`](super::Executor::map_unordered) make.
///
/// Inputs are taken and jobs submitted while the stream is polled. Each result is a
/// `Result`: an input whose job fails does not end the stream. Dropping the stream cancels
/// the jobs that have no result yet.
///
/// When the executor is closed, each further input fails. With endless inputs the stream then
/// returns errors without end, so the caller should stop at an error for which
/// [`is_shut_down`](JobError::is_shut_down) returns `true`.
#[must_use = "a stream does nothing until it is polled"]
pub struct ExecutorMap<'a, R>(Inner<'a, R>);

enum Inner<'a, R> {
    Processes(Map<'a, R>),
    Local(Local<'a, R>),
}

/// The map of an executor that has no processes.
struct Local<'a, R> {
    engine: Engine,
    inputs: Option<Box<dyn Inputs<R> + 'a>>,
    window: Window,
    /// The number of inputs that were taken.
    taken: usize,
    /// The number of results that were returned.
    returned: usize,
    /// The results that came with the last one.
    results: VecDeque<Result<R, JobError>>,
    jobs: Jobs<R>,
}

/// The jobs that have no result yet.
enum Jobs<R> {
    Ordered(VecDeque<Job<R>>),
    Unordered(AsCompleted<'static, Items<R>>),
}

/// The outcomes of a chunk of inputs.
type Job<R> = Pin<Box<dyn Future<Output = Items<R>>>>;

/// The inputs, and the function that is called for them.
trait Inputs<R> {
    /// Takes the next input. Returns `None` at the end.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<()>>;

    /// The number of inputs that were taken, and not submitted.
    fn gathered(&self) -> usize;

    /// Submits these inputs as one job.
    fn submit(&mut self, engine: &Engine) -> Result<JobHandle<Items<R>>, JobError>;
}

struct Gathered<I, F: JobFn<S>, S> {
    inputs: Pin<Box<I>>,
    function: F,
    gathered: Vec<F::Arguments>,
    signature: PhantomData<fn(S)>,
}

impl<I, F, S> Inputs<F::Output> for Gathered<I, F, S>
where
    I: Stream<Item: IntoArguments<F::Arguments>>,
    F: JobFn<S, Arguments: Send, Output: Send> + Send,
{
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<()>> {
        let input = ready!(self.inputs.as_mut().poll_next(cx));
        Poll::Ready(input.map(|input| self.gathered.push(input.into_arguments())))
    }

    fn gathered(&self) -> usize {
        self.gathered.len()
    }

    fn submit(&mut self, engine: &Engine) -> Result<JobHandle<Items<F::Output>>, JobError> {
        let items = mem::take(&mut self.gathered);
        match engine {
            Engine::Threads(threads) => threads.submit_items(self.function, items),
            Engine::Inline(inline) => inline.submit_items(self.function, items),
            Engine::Processes(_) => unreachable!("a pool has a map of its own"),
        }
    }
}

impl<'a, R: DeserializeOwned + 'static> ExecutorMap<'a, R> {
    pub(super) fn new<F, S, I, K>(engine: &Engine, function: F, inputs: I, is_ordered: bool) -> Self
    where
        F: JobFn<S, Arguments: Send, Output = R> + Send,
        R: Send,
        S: 'static,
        I: IntoInputs<K, Item: IntoArguments<F::Arguments>, Stream: 'a>,
    {
        if let Engine::Processes(pool) = engine {
            return Self(Inner::Processes(match is_ordered {
                true => pool.map(function, inputs),
                false => pool.map_unordered(function, inputs),
            }));
        }
        let inputs = Gathered::<I::Stream, F, S> {
            inputs: Box::pin(inputs.into_inputs()),
            function,
            gathered: Vec::new(),
            signature: PhantomData,
        };
        Self(Inner::Local(Local {
            engine: engine.clone(),
            inputs: Some(Box::new(inputs)),
            window: Window::new(),
            taken: 0,
            returned: 0,
            results: VecDeque::new(),
            jobs: match is_ordered {
                true => Jobs::Ordered(VecDeque::new()),
                false => Jobs::Unordered(as_completed(Vec::<Job<R>>::new())),
            },
        }))
    }

    /// Sets how many inputs may have been taken whose results the stream has not returned
    /// yet. The default is 64 for each thread or process, or four chunks for each if that is
    /// more.
    pub fn window(mut self, inputs: usize) -> Self {
        self.0 = match self.0 {
            Inner::Processes(map) => Inner::Processes(map.window(inputs)),
            Inner::Local(mut local) => {
                local.window.set_inputs(inputs);
                Inner::Local(local)
            }
        };
        self
    }

    /// Sets how many inputs are sent in one job. The default is 1.
    ///
    /// With chunks, tiny calls cost a fraction. The results of a chunk come together. A chunk has
    /// fewer inputs if the inputs are a stream that has no more of them at the moment.
    pub fn chunks(mut self, inputs: usize) -> Self {
        self.0 = match self.0 {
            Inner::Processes(map) => Inner::Processes(map.chunks(inputs)),
            Inner::Local(mut local) => {
                local.window.set_chunk(inputs);
                Inner::Local(local)
            }
        };
        self
    }
}

impl<R: 'static> Gather for Local<'_, R> {
    fn window(&self) -> &Window {
        &self.window
    }

    fn workers(&self) -> usize {
        match &self.engine {
            Engine::Threads(threads) => threads.count(),
            Engine::Processes(_) | Engine::Inline(_) => 1,
        }
    }

    fn pending(&self) -> usize {
        self.taken - self.returned
    }

    fn gathered(&self) -> usize {
        self.inputs.as_ref().map_or(0, |inputs| inputs.gathered())
    }

    fn poll_take(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let Some(inputs) = &mut self.inputs else {
            return Poll::Ready(false);
        };
        if ready!(inputs.poll_next(cx)).is_some() {
            self.taken += 1;
            if inputs.gathered() >= self.window.chunk() {
                self.flush();
            }
        } else {
            self.flush();
            self.inputs = None;
        }
        Poll::Ready(self.inputs.is_some())
    }

    fn flush(&mut self) {
        let Some(inputs) = &mut self.inputs else {
            return;
        };
        let count = inputs.gathered();
        if count == 0 {
            return;
        }
        let job: Job<R> = match inputs.submit(&self.engine) {
            Ok(handle) => {
                let job = CancelOnDrop(handle);
                Box::pin(async move {
                    job.outcome()
                        .await
                        .unwrap_or_else(|error| all(&error, count))
                })
            }
            Err(error) => {
                if error.is_not_registered() {
                    // It would be the same for all further inputs, which may be endless.
                    self.taken -= count - 1;
                    self.inputs = None;
                    Box::pin(ready(vec![Err(error)]))
                } else {
                    Box::pin(ready(all(&error, count)))
                }
            }
        };
        match &mut self.jobs {
            Jobs::Ordered(jobs) => jobs.push_back(job),
            Jobs::Unordered(jobs) => jobs.push(job),
        }
    }
}

impl<R: 'static> Local<'_, R> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<R, JobError>>> {
        ready!(coop::poll_proceed(cx));
        // The result that was returned last may have made room for an input, for which a thread
        // should not have to wait.
        window::fill(self, cx);
        loop {
            if let Some(result) = self.results.pop_front() {
                self.returned += 1;
                return Poll::Ready(Some(result));
            }
            let results = match &mut self.jobs {
                Jobs::Ordered(jobs) => match jobs.front_mut() {
                    Some(job) => {
                        let results = ready!(job.as_mut().poll(cx));
                        jobs.pop_front();
                        Some(results)
                    }
                    None => None,
                },
                Jobs::Unordered(jobs) => ready!(jobs.poll_next(cx)),
            };
            match results {
                Some(results) => self.results.extend(results),
                None if self.inputs.is_none() => return Poll::Ready(None),
                // The inputs have registered the task.
                None => return Poll::Pending,
            }
        }
    }
}

/// The outcomes of items that all have the same error.
fn all<R>(error: &JobError, count: usize) -> Items<R> {
    (0..count).map(|_| Err(error.clone())).collect()
}

impl<R: DeserializeOwned + 'static> Stream for ExecutorMap<'_, R> {
    type Item = Result<R, JobError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut self.0 {
            Inner::Processes(map) => Pin::new(map).poll_next(cx),
            Inner::Local(local) => local.poll_next(cx),
        }
    }
}

// The results are never pinned.
impl<R> Unpin for ExecutorMap<'_, R> {}

impl<R> fmt::Debug for ExecutorMap<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecutorMap").finish_non_exhaustive()
    }
}
