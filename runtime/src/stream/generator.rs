//! Generators: a body and its slot.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_core::{FusedStream, Stream};
use pin_project_lite::pin_project;

use crate::stream::co::{Closed, Co};
use crate::stream::ending::Ending;
use crate::stream::slot::{Phase, Slot, place};

/// Makes a stream of what an async function yields.
///
/// `body` is called with a [`Co`], by which it yields: an async closure, or a
/// closure that returns an async block. It runs when the stream is polled, in
/// the task that polls it, and stands still between two items. `?` after a yield
/// ends it when the consumer wants no more.
///
/// The body lies in the [`Gen`], so that has to be pinned: by [`std::pin::pin!`],
/// by [`Box::pin`], or by [`for_await!`](crate::for_await). One small
/// allocation is made here, and none for an item.
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

/// Makes a generator whose yields are answered.
///
/// The consumer answers with [`Gen::send`], and each yield gives the body the
/// answer to its item. [`next`](Gen::next), and whatever else takes the generator
/// as a stream, answers with the default of `R`, if that has one.
///
/// If `R` is a [`Result`], the consumer can have a yield fail.
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
    /// A generator: the stream of what its body yields. [`stream`],
    /// [`try_stream`](super::try_stream()) and [`generator`] make it.
    ///
    /// `T` is an item, `F` the body and `R` the answer to an item.
    ///
    /// As a [`Stream`] it is fused: once the body has returned or panicked, there
    /// are no more items. Each item spends a unit of the task's
    /// [budget](crate::task::coop), sixteen of them at a time.
    ///
    /// The methods are those of a generator that is pinned where it is. For one
    /// in a `Pin<Box<_>>` write `generator.as_mut().next()`.
    ///
    /// # Dropping it
    ///
    /// The body is dropped with it, where it stands; as in any future, what is
    /// behind that point does not run. [`close`](Gen::close) lets it come to its
    /// end.
    #[must_use = "generators do nothing unless polled"]
    pub struct Gen<T, F, R = ()> {
        // None when it is over.
        #[pin]
        body: Option<F>,
        slot: Rc<Slot<T, R>>,
    }
}

impl<T, F, R> Gen<T, F, R> {
    pub(super) fn new(body: impl FnOnce(Co<T, R>) -> F) -> Gen<T, F, R> {
        let slot = Rc::new(Slot::new());
        Gen {
            body: Some(body(Co::new(Rc::clone(&slot)))),
            slot,
        }
    }

    fn phase(&self) -> Phase {
        self.slot.phase()
    }

    /// Not by `&self`, which would be a claim on the body too while that may
    /// have borrowed from itself.
    fn slot(self: Pin<&mut Self>) -> &Slot<T, R> {
        self.project().slot
    }
}

impl<T, F, R> Gen<T, F, R>
where
    F: Future,
    F::Output: Ending<T>,
{
    /// Runs the body until it yields the next item; `None` if it returns.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the body stays where it is, and an item leaves it only when
    /// this is ready.
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
        poll_fn(|context| self.as_mut().poll_next(context))
    }

    /// Runs the body without an answer: until its first item, or until the item
    /// that a [`send`](Gen::send) or `resume` did not wait for.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the body stays where it is, and an item leaves it only when
    /// this is ready.
    ///
    /// # Panics
    ///
    /// If a yield waits for an answer.
    #[track_caller]
    pub fn resume(self: &mut Pin<&mut Self>) -> impl Future<Output = Option<T>> {
        assert!(
            self.as_mut().slot().phase() != Phase::Taken,
            "a yield waits for an answer: call `send`"
        );
        poll_fn(|context| {
            ready!(self.as_mut().slot().poll_count(context));
            self.as_mut().poll_on(context)
        })
    }

    /// Answers the yield that the last item came from, and runs the body until it
    /// yields the next one.
    ///
    /// If the body is over, this drops the answer and gives `None`.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the answer is lost if it was not given yet, which happens
    /// in the first poll. The body stays where it is; [`resume`](Gen::resume) goes
    /// on waiting for the item.
    ///
    /// # Panics
    ///
    /// If no yield waits for an answer, as the body has not come to its first
    /// one, or has not come to the next since the last answer.
    #[track_caller]
    pub fn send(self: &mut Pin<&mut Self>, answer: R) -> impl Future<Output = Option<T>> {
        assert!(
            matches!(
                self.as_mut().slot().phase(),
                Phase::Taken | Phase::Closed | Phase::Over
            ),
            "no yield waits for an answer: call `resume` or `next` until there is an item"
        );
        let mut answer = Some(answer);
        poll_fn(move |context| {
            let slot = self.as_mut().slot();
            ready!(slot.poll_count(context));
            if slot.phase() == Phase::Taken
                && let Some(answer) = answer.take()
            {
                slot.answer(answer);
            }
            self.as_mut().poll_on(context)
        })
    }

    /// Tells the body that no more items are wanted, and runs it to its end.
    ///
    /// The yield that waits, and every later one, fails with [`Closed`]. What the
    /// body then awaits is waited for: that is where a generator says goodbye to
    /// its peers. A body that waits for something else than its consumer goes on
    /// until it yields or ends. One that never ran is dropped, and one that is
    /// over stays so.
    ///
    /// It gives `()`; for a generator that may fail, the result of the body, so
    /// if that ended by `?` after a yield, the [`Closed`] as the error that it
    /// was made into.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the generator stays closed and the body stays where it is.
    /// Call it again to wait for the end.
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
        poll_fn(|context| self.as_mut().poll_close(context))
    }

    pub(super) fn poll_close(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<<F::Output as Ending<T>>::Outcome> {
        let mut this = self.project();
        match this.slot.phase() {
            Phase::Unstarted => end(this.body.as_mut(), this.slot),
            Phase::Running | Phase::Taken => this.slot.close(),
            Phase::Closed | Phase::Over => {}
        }
        let Some(poll) = this.slot.start(context) else {
            return Poll::Ready(F::Output::over_before());
        };
        poll_body(this.body, this.slot, poll, context).map(Ending::into_outcome)
    }

    /// For the next item, when no yield waits for an answer.
    fn poll_on(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let this = self.project();
        match this.slot.start(context) {
            Some(poll) => poll_item(this.body, this.slot, poll, context),
            None => Poll::Ready(None),
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
    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let this = self.project();
        let slot = &**this.slot;
        let (waits, poll) = if slot.count_in_lap() {
            (true, place(context))
        } else {
            match ready!(slot.poll_start(context)) {
                Some(start) => start,
                None => return Poll::Ready(None),
            }
        };
        if waits {
            slot.answer(R::default());
        }
        poll_item(this.body, slot, poll, context)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self.phase() {
            Phase::Over => (0, Some(0)),
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
        self.phase() == Phase::Over
    }
}

impl<T, F, R> fmt::Debug for Gen<T, F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gen")
            .field("phase", &self.phase())
            .finish_non_exhaustive()
    }
}

/// Polls the body, entering with `poll`, for an item.
#[inline]
fn poll_item<T, F, R>(
    body: Pin<&mut Option<F>>,
    slot: &Slot<T, R>,
    poll: *const (),
    context: &mut Context<'_>,
) -> Poll<Option<T>>
where
    F: Future,
    F::Output: Ending<T>,
{
    match poll_body(body, slot, poll, context) {
        Poll::Ready(end) => Poll::Ready(end.into_item()),
        Poll::Pending => match slot.take_item() {
            Some(item) => Poll::Ready(Some(item)),
            None => Poll::Pending,
        },
    }
}

/// Polls the body, entering with `poll`.
#[inline]
fn poll_body<T, F: Future, R>(
    mut body: Pin<&mut Option<F>>,
    slot: &Slot<T, R>,
    poll: *const (),
    context: &mut Context<'_>,
) -> Poll<F::Output> {
    let Some(future) = body.as_mut().as_pin_mut() else {
        unreachable!("a body that is over is not polled");
    };
    let polling = slot.enter(poll);
    let polled = future.poll(context);
    polling.returned();
    if polled.is_ready() {
        end(body, slot);
    }
    polled
}

#[cold]
fn end<T, F, R>(mut body: Pin<&mut Option<F>>, slot: &Slot<T, R>) {
    slot.set_phase(Phase::Over);
    body.set(None);
}
