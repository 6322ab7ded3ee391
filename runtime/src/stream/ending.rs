//! How the body of a generator ends: by return, or with an error as last item.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::stream::co::Closed;

/// What a body returns, for a generator of items `I`. Not for others to
/// implement.
pub trait Ending<I>: sealed::Sealed {
    /// What [`close`](super::Gen::close) returns.
    type Outcome;

    /// The item that the end is, if it is one.
    #[doc(hidden)]
    fn into_item(self) -> Option<I>;

    /// The end as `close` tells it.
    #[doc(hidden)]
    fn into_outcome(self) -> Self::Outcome;

    /// What `close` tells of a body that was over before, or never ran.
    #[doc(hidden)]
    fn over_before() -> Self::Outcome;
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

    fn over_before() {}
}

/// The end of a body that may fail.
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

    fn over_before() -> Result<(), E> {
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
    pub(super) fn new(body: F) -> TryBody<F> {
        TryBody { body }
    }
}

impl<F, E> Future for TryBody<F>
where
    F: Future<Output = Result<(), E>>,
{
    type Output = TryEnd<E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<TryEnd<E>> {
        let end = ready!(self.project().body.poll(context));
        Poll::Ready(TryEnd(end))
    }
}
