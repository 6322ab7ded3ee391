//! [`Incoming`]: connections as a stream.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

/// A stream of the connections of a listener.
///
/// The stream never ends: when the listener can accept no further connection, each item is an
/// error. Dropping the stream loses no connection.
///
/// Each item is a future in a small allocation. So several tasks may have streams of one
/// listener, and each of them is woken.
#[must_use = "a stream does nothing unless polled"]
pub struct Incoming<'a, S> {
    accept: Box<dyn FnMut() -> Accepting<'a, S> + 'a>,
    waiting: Option<Accepting<'a, S>>,
}

type Accepting<'a, S> = Pin<Box<dyn Future<Output = io::Result<S>> + 'a>>;

impl<'a, S> Incoming<'a, S> {
    /// Creates a stream of the connections that `accept` returns. Its futures must lose no
    /// connection when they are dropped.
    pub(crate) fn new<F>(mut accept: impl FnMut() -> F + 'a) -> Self
    where
        F: Future<Output = io::Result<S>> + 'a,
    {
        Incoming {
            accept: Box::new(move || Box::pin(accept())),
            waiting: None,
        }
    }
}

impl<S> Stream for Incoming<'_, S> {
    type Item = io::Result<S>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<S>>> {
        let incoming = self.get_mut();
        let waiting = incoming.waiting.get_or_insert_with(&mut incoming.accept);
        let connection = ready!(waiting.as_mut().poll(cx));
        incoming.waiting = None;
        Poll::Ready(Some(connection))
    }
}

impl<S> fmt::Debug for Incoming<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").finish_non_exhaustive()
    }
}
