//! The body's end of a generator: what it yields with.

use std::error::Error;
use std::fmt;
use std::io;
use std::mem;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::stream::slot::{Phase, Slot};

/// What the body of a generator yields with: see [`stream`](super::stream()).
///
/// It belongs into that body. A yield that is polled anywhere else, such as in a
/// task of its own, panics, and says so; otherwise it would wait for ever.
/// Yielding to a generator further out, whose body consumes this one, is fine.
///
/// `T` is what is yielded, `R` the answer to it.
pub struct Co<T, R = ()> {
    slot: Rc<Slot<T, R>>,
}

impl<T, R> Co<T, R> {
    pub(super) fn new(slot: Rc<Slot<T, R>>) -> Co<T, R> {
        Co { slot }
    }

    /// Gives `item` to the consumer, and waits until that asks for the next one.
    ///
    /// It takes `&mut self`, so two yields cannot wait at the same time.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: if it is dropped before the poll of the body is over in
    /// which it was first polled, the item is dropped with it. Later on the
    /// consumer has the item, and what is lost is the answer.
    ///
    /// # Errors
    ///
    /// [`Closed`] if the consumer wants no more: it has called
    /// [`close`](super::Gen::close). Every later yield fails alike. The body may
    /// still wait for whatever it needs to end well.
    ///
    /// # Panics
    ///
    /// When it is polled while its generator is not, and inside a cancel scope
    /// that was opened in the generator.
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
            slot: &self.slot,
            stage: Stage::Unpolled(item),
            yielded_at,
        }
    }
}

impl<T, R> fmt::Debug for Co<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Co")
            .field("phase", &self.slot.phase())
            .finish_non_exhaustive()
    }
}

/// The future of [`Co::yield_`] and [`TryCo::yield_`](super::TryCo::yield_).
#[must_use = "futures do nothing unless polled"]
pub struct Yield<'a, T, R> {
    slot: &'a Slot<T, R>,
    stage: Stage<T>,
    yielded_at: &'static Location<'static>,
}

enum Stage<T> {
    /// It was not polled yet.
    Unpolled(T),
    /// It has left its item.
    Waits,
    /// It was ready.
    Over,
}

// The item is never pinned.
impl<T, R> Unpin for Yield<'_, T, R> {}

impl<T, R> Future for Yield<'_, T, R> {
    type Output = Result<R, Closed>;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<R, Closed>> {
        let this = self.get_mut();
        if let Stage::Waits = this.stage {
            return match this.slot.take_answer() {
                Some(answer) => {
                    this.stage = Stage::Over;
                    Poll::Ready(Ok(answer))
                }
                None => this.poll_unanswered(context),
            };
        }
        let Stage::Unpolled(item) = mem::replace(&mut this.stage, Stage::Waits) else {
            this.stage = Stage::Over;
            polled_again();
        };
        this.slot.leave(item, context, this.yielded_at);
        Poll::Pending
    }
}

impl<T, R> Yield<'_, T, R> {
    #[cold]
    fn poll_unanswered(&mut self, context: &Context<'_>) -> Poll<Result<R, Closed>> {
        self.slot.check_polled(self.yielded_at);
        if self.slot.phase() == Phase::Closed {
            self.stage = Stage::Over;
            return Poll::Ready(Err(Closed(())));
        }
        self.slot.keep_waker(context);
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
        if let Stage::Waits = self.stage {
            self.slot.withdraw();
        }
    }
}

impl<T, R> fmt::Debug for Yield<'_, T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Yield")
            .field("yielded_at", &self.yielded_at)
            .field("waits", &matches!(self.stage, Stage::Waits))
            .finish_non_exhaustive()
    }
}

/// The consumer of a generator wants no more items.
///
/// It is an error so that `?` ends the body. A body that has something to see
/// to first looks at it, and may still await.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed(());

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the consumer of the generator wants no more")
    }
}

impl Error for Closed {}

impl From<Closed> for io::Error {
    fn from(_: Closed) -> io::Error {
        io::ErrorKind::BrokenPipe.into()
    }
}
