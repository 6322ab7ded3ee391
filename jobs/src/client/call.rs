//! [`Call`], a request until its answer has come, and [`CallRequest`], a request to a typed service.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use coreloop_runtime::time::timeout;
use coreloop_sync::oneshot;

use super::Client;
use super::link::{Link, closed};
use crate::error::{Error, Kind};
use crate::services::{Options, Service, decode, encode};

/// A request until its answer has come. Dropping it cancels the request.
pub(super) struct Call {
    link: Rc<Link>,
    service: Rc<str>,
    id: u64,
    answer: oneshot::Receiver<Result<Vec<u8>, Error>>,
    has_answer: bool,
}

impl Call {
    pub(super) fn new(
        link: &Rc<Link>,
        service: &Rc<str>,
        body: Vec<u8>,
        repeat: bool,
    ) -> Result<Self, Error> {
        let (sender, answer) = oneshot::channel();
        Ok(Self {
            id: link.add(service, body, repeat, sender)?,
            link: Rc::clone(link),
            service: Rc::clone(service),
            answer,
            has_answer: false,
        })
    }
}

impl Future for Call {
    type Output = Result<Vec<u8>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = Pin::new(&mut self.answer).poll(cx);
        polled.map(|answer| {
            self.has_answer = true;
            answer.unwrap_or_else(|_| Err(closed()))
        })
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.has_answer {
            return;
        }
        match self.answer.try_recv() {
            // The answer has come, and the caller has not taken it.
            Ok(Ok(answer)) => self.link.undelivered(&self.service, &answer),
            Ok(Err(_)) => {}
            Err(_) => self.link.cancel(self.id),
        }
    }
}

/// Waits for an answer, but for no longer than `limit`. `details` is added to the error.
pub(crate) async fn within(
    limit: Option<Duration>,
    answer: impl Future<Output = Result<Vec<u8>, Error>>,
    details: impl FnOnce() -> String,
) -> Result<Vec<u8>, Error> {
    let Some(limit) = limit else {
        return answer.await;
    };
    match timeout(limit, answer).await {
        Ok(answer) => answer,
        Err(_) => {
            let text = format!("the answer did not come within {limit:?}{}", details());
            Err(Error::new(Kind::TimedOut, text))
        }
    }
}

/// A request to a [`Service`]. Await it for the answer.
///
/// # Cancel safety
///
/// Not cancel safe: dropping the future cancels the request and aborts its handler, which may have
/// done a part of its work.
///
/// # Errors
///
/// The answer is an error if the manager does not have the service, or its handler returned an
/// error or panicked; if the request or the answer does not encode, does not decode or is too long;
/// if the answer has not come in time; or if the connection was lost, and the manager does not know
/// the client any more (see [`is_lost`](Error::is_lost)).
#[must_use = "a request is made when it is awaited"]
pub struct CallRequest<'a, S: Service> {
    client: &'a Client,
    request: &'a S::Request,
    timeout: Option<Duration>,
    repeat: bool,
    service: PhantomData<S>,
}

impl<'a, S: Service> CallRequest<'a, S> {
    pub(super) fn new(client: &'a Client, request: &'a S::Request) -> Self {
        Self {
            client,
            request,
            timeout: Some(client.call_timeout()),
            repeat: false,
            service: PhantomData,
        }
    }

    /// Sets how long to wait for the answer. [`Duration::MAX`] is no limit. The default is the limit
    /// of the [client](super::ClientBuilder::call_timeout).
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = (limit != Duration::MAX).then_some(limit);
        self
    }

    /// Sets whether the request may be carried out twice. It is made again then, if the manager has
    /// lost it, or was started anew, before the answer came. The default is `false`.
    pub fn idempotent(mut self, is_idempotent: bool) -> Self {
        self.repeat = is_idempotent;
        self
    }

    async fn make(self) -> Result<S::Response, Error> {
        let options = Options {
            timeout: self.timeout,
            repeat: self.repeat,
        };
        let body = encode(self.request)?;
        let service = Rc::from(S::NAME);
        let answer = self.client.request(&service, body, options).await?;
        decode(&answer)
    }
}

impl<'a, S: Service> IntoFuture for CallRequest<'a, S> {
    type Output = Result<S::Response, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.make())
    }
}

impl<S: Service> fmt::Debug for CallRequest<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallRequest")
            .field("service", &S::NAME)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
