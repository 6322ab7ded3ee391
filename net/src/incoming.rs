//! Connections as a stream.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

/// The connections of a listener, one after another.
///
/// It never ends: when the listener cannot go on, each item is an error. Dropping
/// it loses no connection.
///
/// Each item waits for itself, in a small allocation. So there may be several
/// streams of one listener, in several tasks, and nobody's wake is lost.
#[must_use = "a stream does nothing unless polled"]
pub struct Incoming<'a, S> {
    accept: Box<dyn FnMut() -> Accepting<'a, S> + 'a>,
    waiting: Option<Accepting<'a, S>>,
}

type Accepting<'a, S> = Pin<Box<dyn Future<Output = io::Result<S>> + 'a>>;

impl<'a, S> Incoming<'a, S> {
    /// `accept` makes a future of the next connection, which loses none if it is
    /// dropped.
    pub(crate) fn new<F>(mut accept: impl FnMut() -> F + 'a) -> Incoming<'a, S>
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
