//! [`Ending`]: the return values of bodies, of which an error may be the last item.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::stream::co::Closed;

/// The return value of the body of a generator with items of type `I`.
///
/// This trait is sealed: it cannot be implemented outside this crate.
pub trait Ending<I>: sealed::Sealed {
    /// The return type of [`Gen::close`](super::Gen::close).
    type Outcome;

    /// Returns the last item, if the body ended with an error.
    #[doc(hidden)]
    fn into_item(self) -> Option<I>;

    /// Converts the return value for `close`.
    #[doc(hidden)]
    fn into_outcome(self) -> Self::Outcome;

    /// The result of `close` if the body finished before the call, or never ran.
    #[doc(hidden)]
    fn already_finished() -> Self::Outcome;
}

mod sealed {
    pub trait Sealed {}

    impl Sealed for Result<(), crate::stream::co::Closed> {}
    impl<E> Sealed for crate::stream::ending::TryEnd<E> {}
}

impl<I> Ending<I> for Result<(), Closed> {
    type Outcome = ();

    fn into_item(self) -> Option<I> {
        None
    }

    fn into_outcome(self) {}

    fn already_finished() {}
}

/// The return value of the body of a generator that may fail.
#[derive(Debug)]
pub struct TryEnd<E>(Result<(), E>);

impl<T, E> Ending<Result<T, E>> for TryEnd<E> {
    type Outcome = Result<(), E>;

    fn into_item(self) -> Option<Result<T, E>> {
        self.0.err().map(Err)
    }

    fn into_outcome(self) -> Result<(), E> {
        self.0
    }

    fn already_finished() -> Result<(), E> {
        Ok(())
    }
}

pin_project! {
    /// The body of a generator that may fail: see
    /// [`try_stream`](super::try_stream()).
    #[derive(Debug)]
    pub struct TryBody<F> {
        #[pin]
        body: F,
    }
}

impl<F> TryBody<F> {
    pub(super) fn new(body: F) -> Self {
        Self { body }
    }
}

impl<F, E> Future for TryBody<F>
where
    F: Future<Output = Result<(), E>>,
{
    type Output = TryEnd<E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TryEnd<E>> {
        let end = ready!(self.project().body.poll(cx));
        Poll::Ready(TryEnd(end))
    }
}
