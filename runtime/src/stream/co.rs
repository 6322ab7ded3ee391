//! [`Co`], with which the body of a generator yields its items.

use std::error::Error;
use std::fmt;
use std::io;
use std::mem;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::stream::state::{GeneratorState, Phase};

/// A handle with which the body of a generator yields items: see
/// [`stream`](super::stream()).
///
/// It must be used in that body. A yield that is polled anywhere else, such as in
/// another task, panics, because otherwise it would never complete. The body of an inner
/// generator may yield to an outer generator whose body consumes the inner one.
///
/// `T` is the type of an item, `R` the type of the answer to it.
pub struct Co<T, R = ()> {
    state: Rc<GeneratorState<T, R>>,
}

impl<T, R> Co<T, R> {
    pub(super) fn new(state: Rc<GeneratorState<T, R>>) -> Self {
        Self { state }
    }

    /// Yields `item` to the consumer, and waits until the consumer requests the next one.
    ///
    /// Because this takes `&mut self`, only one yield can wait at a time.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: if the future is dropped during the same poll of the body in which
    /// it was first polled, the item is dropped with it. Later the consumer has the item,
    /// and only the answer is lost.
    ///
    /// # Errors
    ///
    /// Returns [`Closed`] if the consumer has called [`close`](super::Gen::close), as does
    /// every later yield. The body may still await what it needs to end in order.
    ///
    /// # Panics
    ///
    /// Panics if it is polled while its generator is not, or inside a cancel scope that
    /// the body of the generator entered.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::stream::stream;
    ///
    /// # coreloop::block_on(async {
    /// let mut lines = std::pin::pin!(stream(async |mut co| {
    ///     co.yield_("one").await?;
    ///     co.yield_("two").await?;
    ///     Ok(())
    /// }));
    /// assert_eq!(lines.next().await, Some("one"));
    /// # })
    /// ```
    #[inline]
    #[track_caller]
    pub fn yield_(&mut self, item: T) -> Yield<'_, T, R> {
        self.yield_at(item, Location::caller())
    }

    #[inline]
    pub(super) fn yield_at(
        &mut self,
        item: T,
        yielded_at: &'static Location<'static>,
    ) -> Yield<'_, T, R> {
        Yield {
            state: &self.state,
            progress: YieldState::Unpolled(item),
            yielded_at,
        }
    }
}

impl<T, R> fmt::Debug for Co<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Co")
            .field("phase", &self.state.phase())
            .finish_non_exhaustive()
    }
}

/// The future of [`Co::yield_`] and [`TryCo::yield_`](super::TryCo::yield_).
#[must_use = "futures do nothing unless polled"]
pub struct Yield<'a, T, R> {
    state: &'a GeneratorState<T, R>,
    progress: YieldState<T>,
    yielded_at: &'static Location<'static>,
}

enum YieldState<T> {
    /// The yield has not been polled, and holds its item.
    Unpolled(T),
    /// The yield has passed on its item, and waits for the answer.
    Waiting,
    /// The yield has completed.
    Finished,
}

// The item is moved out, and never pinned.
impl<T, R> Unpin for Yield<'_, T, R> {}

impl<T, R> Future for Yield<'_, T, R> {
    type Output = Result<R, Closed>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<R, Closed>> {
        let this = self.get_mut();
        if let YieldState::Waiting = this.progress {
            return match this.state.take_answer() {
                Some(answer) => {
                    this.progress = YieldState::Finished;
                    Poll::Ready(Ok(answer))
                }
                None => this.poll_unanswered(cx),
            };
        }
        let YieldState::Unpolled(item) = mem::replace(&mut this.progress, YieldState::Waiting)
        else {
            this.progress = YieldState::Finished;
            polled_again();
        };
        this.state.put_item(item, cx, this.yielded_at);
        Poll::Pending
    }
}

impl<T, R> Yield<'_, T, R> {
    #[cold]
    fn poll_unanswered(&mut self, cx: &Context<'_>) -> Poll<Result<R, Closed>> {
        self.state.check_polled(self.yielded_at);
        if self.state.phase() == Phase::Closed {
            self.progress = YieldState::Finished;
            return Poll::Ready(Err(Closed(())));
        }
        self.state.keep_waker(cx);
        Poll::Pending
    }
}

#[cold]
fn polled_again() -> ! {
    panic!("a yield was polled after it was ready");
}

impl<T, R> Drop for Yield<'_, T, R> {
    #[inline]
    fn drop(&mut self) {
        if let YieldState::Waiting = self.progress {
            self.state.withdraw();
        }
    }
}

impl<T, R> fmt::Debug for Yield<'_, T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Yield")
            .field("yielded_at", &self.yielded_at)
            .field("waiting", &matches!(self.progress, YieldState::Waiting))
            .finish_non_exhaustive()
    }
}

/// The error of a yield whose consumer wants no more items.
///
/// It is an error so that `?` after a yield ends the body. A body that has something to
/// do before it ends can handle the error instead, and may still await.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed(());

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the consumer of the generator has closed it")
    }
}

impl Error for Closed {}

impl From<Closed> for io::Error {
    fn from(_: Closed) -> Self {
        io::ErrorKind::BrokenPipe.into()
    }
}
