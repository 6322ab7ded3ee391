//! [`Guarded`], an answer whose panic is an error.

use std::pin::Pin;
use std::task::{Context, Poll};

use coreloop_runtime::__panics::{Payload, catch, caught, discard};

use super::Answer;
use crate::error::{Error, Kind};

/// The future of an answer, or the answer. A panic of the future is an error.
pub(crate) struct Guarded(Option<Answer>);

impl Guarded {
    /// Calls `f`, which is user code.
    pub(crate) fn new(f: impl FnOnce() -> Answer) -> Self {
        let answer = catch(f).unwrap_or_else(|payload| Answer::Now(Err(panicked(payload))));
        Self(Some(answer))
    }

    /// Returns the answer if it is there at once.
    pub(crate) fn now(self) -> Result<Result<Vec<u8>, Error>, Self> {
        match self.0 {
            Some(Answer::Now(_)) => Ok(self.into_answer()),
            _ => Err(self),
        }
    }

    fn into_answer(mut self) -> Result<Vec<u8>, Error> {
        match self.0.take() {
            Some(Answer::Now(answer)) => answer,
            _ => Err(Error::new(Kind::Closed, "the answer was taken")),
        }
    }
}

impl Future for Guarded {
    type Output = Result<Vec<u8>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = match &mut self.0 {
            Some(Answer::Later(future)) => match catch(|| future.as_mut().poll(cx)) {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(answer)) => answer,
                Err(payload) => Err(panicked(payload)),
            },
            Some(Answer::Now(_)) => match self.0.take() {
                Some(Answer::Now(answer)) => answer,
                _ => return Poll::Pending,
            },
            None => return Poll::Pending,
        };
        let finished = self.0.take();
        caught(|| drop(finished));
        Poll::Ready(answer)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if let Some(answer) = self.0.take() {
            caught(|| drop(answer));
        }
    }
}

/// Returns the error for a panic, which the panic hook has reported.
fn panicked(payload: Payload) -> Error {
    let message = if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without a message".to_owned()
    };
    discard(payload);
    Error::new(Kind::Panicked, format!("the handler panicked: {message}"))
}
