//! [`Gen`]: the stream of what a body yields.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_core::{FusedStream, Stream};
use pin_project_lite::pin_project;

use crate::engine::task::budget;
use crate::stream::co::{Closed, Co};
use crate::stream::ending::Ending;
use crate::stream::state::{GeneratorState, Phase};

/// Creates a stream of the items that an async function yields.
///
/// `body` is an async closure, or a closure that returns an async block. It receives a
/// [`Co`], with which it yields items. The body runs only while the stream is polled, in
/// the task that polls it, and is suspended between two items. `?` after a yield ends the
/// body when the consumer wants no more items.
///
/// The [`Gen`] contains the body, so it has to be pinned: with [`std::pin::pin!`],
/// [`Box::pin`] or [`for_await!`](crate::for_await). This function makes one small
/// allocation; yielding an item makes none.
///
/// # Examples
///
/// ```
/// use coreloop::stream::{Gen, stream};
/// use std::pin::pin;
///
/// # coreloop::block_on(async {
/// let mut squares = pin!(stream(async |mut co| {
///     for number in 1..=3 {
///         co.yield_(number * number).await?;
///     }
///     Ok(())
/// }));
/// assert_eq!(squares.next().await, Some(1));
/// assert_eq!(squares.next().await, Some(4));
/// assert_eq!(squares.next().await, Some(9));
/// assert_eq!(squares.next().await, None);
/// # })
/// ```
pub fn stream<T, F, B>(body: B) -> Gen<T, F>
where
    B: FnOnce(Co<T>) -> F,
    F: Future<Output = Result<(), Closed>>,
{
    Gen::new(body)
}

/// Creates a generator whose consumer answers each item.
///
/// The consumer answers with [`Gen::send`], and each yield returns the answer to its
/// item. [`next`](Gen::next), and everything else that uses the generator as a stream,
/// answers with the default value of `R`, and needs `R` to implement [`Default`].
///
/// If `R` is a [`Result`], the consumer can answer with an error.
///
/// # Examples
///
/// A running mean:
///
/// ```
/// use coreloop::stream::generator;
/// use std::pin::pin;
///
/// # coreloop::block_on(async {
/// let mut mean = pin!(generator(async |mut co| {
///     let (mut sum, mut count) = (0.0, 0.0);
///     loop {
///         let sample: f64 = co.yield_(sum / count).await?;
///         sum += sample;
///         count += 1.0;
///     }
/// }));
/// mean.resume().await;
/// assert_eq!(mean.send(10.0).await, Some(10.0));
/// assert_eq!(mean.send(20.0).await, Some(15.0));
/// # })
/// ```
pub fn generator<T, R, F, B>(body: B) -> Gen<T, F, R>
where
    B: FnOnce(Co<T, R>) -> F,
    F: Future<Output = Result<(), Closed>>,
{
    Gen::new(body)
}

pin_project! {
    /// A generator: the stream of the items that its body yields.
    ///
    /// [`stream`], [`try_stream`](super::try_stream()) and [`generator`] create one. `T` is
    /// the type of an item, `F` the body and `R` the type of the answer to an item.
    ///
    /// As a [`Stream`] it is fused: once the body has returned or panicked, there
    /// are no more items. Each item spends a unit of the task's
    /// [budget](crate::task::coop).
    ///
    /// The methods take `&mut Pin<&mut Gen<_>>`, the type that [`std::pin::pin!`] returns.
    /// For a generator in a `Pin<Box<_>>` write `generator.as_mut().next()`.
    ///
    /// # Dropping a generator
    ///
    /// Dropping a generator drops its body at its current `.await`; as with any future,
    /// the code after that point does not run. [`close`](Gen::close) lets the body run to
    /// its end.
    #[must_use = "generators do nothing unless polled"]
    pub struct Gen<T, F, R = ()> {
        // `None` after it has finished.
        #[pin]
        body: Option<F>,
        state: Rc<GeneratorState<T, R>>,
    }
}

impl<T, F, R> Gen<T, F, R> {
    pub(super) fn new(body: impl FnOnce(Co<T, R>) -> F) -> Self {
        let state = Rc::new(GeneratorState::new());
        Self {
            body: Some(body(Co::new(Rc::clone(&state)))),
            state,
        }
    }

    fn phase(&self) -> Phase {
        self.state.phase()
    }

    /// Returns the shared state. This does not take `&self`, because a reference to the
    /// whole generator would alias references that the body holds to its own fields.
    fn state(self: Pin<&mut Self>) -> &GeneratorState<T, R> {
        self.project().state
    }
}

impl<T, F, R> Gen<T, F, R>
where
    F: Future,
    F::Output: Ending<T>,
{
    /// Runs the body until it yields the next item, or returns `None` if the body returns.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the body keeps its progress, and the next call returns the item.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::{stream::stream, time::timeout};
    /// use std::{pin::pin, time::Duration};
    ///
    /// # coreloop::block_on(async {
    /// # coreloop::time::pause();
    /// let mut seconds = pin!(stream(async |mut co| {
    ///     for second in 1.. {
    ///         coreloop::time::sleep(Duration::from_secs(1)).await;
    ///         co.yield_(second).await?;
    ///     }
    ///     Ok(())
    /// }));
    /// let half = Duration::from_millis(500);
    /// assert!(timeout(half, seconds.next()).await.is_err());
    /// assert_eq!(seconds.next().await, Some(1));
    /// # })
    /// ```
    #[inline]
    pub fn next(self: &mut Pin<&mut Self>) -> impl Future<Output = Option<T>>
    where
        R: Default,
    {
        poll_fn(|cx| self.as_mut().poll_next(cx))
    }

    /// Runs the body until it yields the next item, without answering a yield.
    ///
    /// This returns the first item, or the item of a [`send`](Gen::send) or `resume` whose
    /// future was dropped before it completed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the body keeps its progress, and the next call returns the item.
    ///
    /// # Panics
    ///
    /// Panics if a yield waits for an answer.
    #[track_caller]
    pub fn resume(self: &mut Pin<&mut Self>) -> impl Future<Output = Option<T>> {
        assert!(
            !self.as_mut().state().phase().awaits_answer(),
            "a yield waits for an answer: call `send`"
        );
        poll_fn(|cx| {
            ready!(budget::poll_proceed(cx));
            self.as_mut().poll_item(None, cx)
        })
    }

    /// Answers the yield that the last item came from, and runs the body until it
    /// yields the next one.
    ///
    /// If the body has ended, this drops the answer and returns `None`.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: if the future is dropped before its first poll, or that poll finds
    /// the task's budget spent, the answer is lost. The body keeps its progress;
    /// [`resume`](Gen::resume) continues to wait for the item.
    ///
    /// # Panics
    ///
    /// Panics if no yield waits for an answer, because the body has not reached its first
    /// yield, or has not reached another one since the last answer.
    #[track_caller]
    pub fn send(self: &mut Pin<&mut Self>, answer: R) -> impl Future<Output = Option<T>> {
        assert!(
            matches!(
                self.as_mut().state().phase(),
                Phase::Yielded | Phase::YieldedWithWaker | Phase::Closed | Phase::Finished
            ),
            "no yield waits for an answer: call `resume` or `next` until there is an item"
        );
        let mut answer = Some(answer);
        poll_fn(move |cx| {
            ready!(budget::poll_proceed(cx));
            self.as_mut().poll_item(answer.take(), cx)
        })
    }

    /// Makes the yields of the body fail, and runs the body to its end.
    ///
    /// The yield that waits, and every later one, fails with [`Closed`]. The body may then
    /// await as much as it needs, for instance to say goodbye to its peers. A body that
    /// waits for something other than its consumer continues until it yields or ends. A
    /// body that has never run is dropped, and one that has ended is left alone.
    ///
    /// Returns `()`, or, for a generator that may fail, the result of the body. If such a
    /// body ended with `?` after a yield, the result is the error that [`Closed`] was
    /// converted into.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the generator stays closed and the body keeps its progress. Call this
    /// again to wait for the end.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::{stream::stream, task::yield_now};
    /// use std::{cell::Cell, pin::pin};
    ///
    /// # coreloop::block_on(async {
    /// let said_goodbye = Cell::new(false);
    /// let mut numbers = pin!(stream(async |mut co| {
    ///     for number in 0.. {
    ///         if co.yield_(number).await.is_err() {
    ///             break;
    ///         }
    ///     }
    ///     yield_now().await;
    ///     said_goodbye.set(true);
    ///     Ok(())
    /// }));
    /// assert_eq!(numbers.next().await, Some(0));
    /// numbers.close().await;
    /// assert!(said_goodbye.get());
    /// assert_eq!(numbers.next().await, None);
    /// # })
    /// ```
    pub fn close(
        self: &mut Pin<&mut Self>,
    ) -> impl Future<Output = <F::Output as Ending<T>>::Outcome> {
        poll_fn(|cx| self.as_mut().poll_close(cx))
    }

    pub(super) fn poll_close(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<<F::Output as Ending<T>>::Outcome> {
        let mut this = self.project();
        match this.state.phase() {
            Phase::Unstarted => end(this.body.as_mut(), this.state),
            Phase::Running | Phase::Yielded | Phase::YieldedWithWaker => this.state.close(),
            Phase::Closed | Phase::Finished => {}
        }
        if !this.state.start(None) {
            return Poll::Ready(F::Output::already_finished());
        }
        poll_body(this.body, this.state, cx).map(Ending::into_outcome)
    }

    /// Polls for the next item, after answering the yield that waits, if one does.
    #[inline]
    fn poll_item(self: Pin<&mut Self>, answer: Option<R>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let this = self.project();
        let state = &**this.state;
        if !state.start(answer) {
            return Poll::Ready(None);
        }
        match poll_body(this.body, state, cx) {
            Poll::Ready(end) => Poll::Ready(end.into_item()),
            Poll::Pending => match state.take_item() {
                Some(item) => Poll::Ready(Some(item)),
                None => Poll::Pending,
            },
        }
    }
}

impl<T, F, R> Stream for Gen<T, F, R>
where
    F: Future,
    F::Output: Ending<T>,
    R: Default,
{
    type Item = T;

    #[inline]
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        ready!(budget::poll_proceed(cx));
        self.poll_item(Some(R::default()), cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self.phase() {
            Phase::Finished => (0, Some(0)),
            _ => (0, None),
        }
    }
}

impl<T, F, R> FusedStream for Gen<T, F, R>
where
    F: Future,
    F::Output: Ending<T>,
    R: Default,
{
    fn is_terminated(&self) -> bool {
        self.phase() == Phase::Finished
    }
}

impl<T, F, R> fmt::Debug for Gen<T, F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gen")
            .field("phase", &self.phase())
            .finish_non_exhaustive()
    }
}

#[inline]
fn poll_body<T, F: Future, R>(
    mut body: Pin<&mut Option<F>>,
    state: &GeneratorState<T, R>,
    cx: &mut Context<'_>,
) -> Poll<F::Output> {
    let Some(future) = body.as_mut().as_pin_mut() else {
        unreachable!("a finished body is not polled");
    };
    let polling = state.enter(cx);
    let polled = future.poll(cx);
    polling.returned();
    if polled.is_ready() {
        end(body, state);
    }
    polled
}

#[cold]
fn end<T, F, R>(mut body: Pin<&mut Option<F>>, state: &GeneratorState<T, R>) {
    state.set_phase(Phase::Finished);
    body.set(None);
}
