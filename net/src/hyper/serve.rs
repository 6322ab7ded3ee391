//! [`serve`]: an HTTP/1.1 server in one call.

use std::error::Error;
use std::fmt;
use std::future::{Future, IntoFuture, pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use ::hyper::body::{Body, Incoming};
use ::hyper::header::{CONNECTION, HeaderValue};
use ::hyper::server::conn::http1;
use ::hyper::service::{Service, service_fn};
use ::hyper::{Request, Response};
use coreloop_runtime::hyper::LoopTimer;
use coreloop_runtime::time::{self, Limit, Verdict};

use super::connections::{ConnectionGuard, Connections};
use crate::{Accept, TcpListener, TcpStream};

/// Serves HTTP/1.1: each connection that `listener` accepts is a task, in which `service`
/// answers one request after another.
///
/// Nothing has to be `Send`: not the service, nor its futures, nor the bodies of its
/// responses. Await the returned value to serve; before that, its methods change how it
/// serves. A client has 30 seconds to send the head of each request, which is also how long it
/// may keep an idle connection open.
///
/// A listener that [ends](Accept), like the listener of a supervised worker, shuts the server
/// down like [`with_graceful_shutdown`](Serve::with_graceful_shutdown).
///
/// # Cancel safety
///
/// Cancel safe: dropping the future drops the listener and every connection, with the requests
/// that they are serving.
///
/// # Errors
///
/// Returns an error if the listener fails; it waits when descriptors are exhausted. An error
/// of one connection does not end the others: see [`on_error`](Serve::on_error).
///
/// # Panics
///
/// A service that panics ends only its connection. The panic is handled as in any task that
/// is not joined.
///
/// # Examples
///
/// ```no_run
/// use std::cell::Cell;
/// use std::convert::Infallible;
/// use std::rc::Rc;
///
/// use coreloop::net::TcpListener;
/// use hyper::service::service_fn;
/// use hyper::{Request, Response, body::Incoming};
///
/// # fn main() -> std::io::Result<()> {
/// coreloop::block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:8080").await?;
///     let served = Rc::new(Cell::new(0));
///     let service = service_fn(move |_: Request<Incoming>| {
///         served.set(served.get() + 1);
///         let text = format!("You are visitor {}.\n", served.get());
///         async move { Ok::<_, Infallible>(Response::new(text)) }
///     });
///     coreloop::hyper::serve(listener, service)
///         .with_graceful_shutdown(async {
///             let _ = coreloop::signal::ctrl_c().await;
///         })
///         .on_error(|peer, error| eprintln!("{peer}: {error}"))
///         .await
/// })
/// # }
/// ```
pub fn serve<L, S>(listener: L, service: S) -> Serve<S, L>
where
    L: Accept,
{
    let mut http = http1::Builder::new();
    http.timer(LoopTimer);
    Serve {
        listener,
        service,
        http,
        nodelay: true,
        signal: Box::pin(pending()),
        grace: Duration::MAX,
        last_request: Duration::ZERO,
        on_error: Rc::new(|_, _| {}),
    }
}

/// Called with the peer and the error of each connection that fails.
type OnError = Rc<dyn Fn(SocketAddr, ::hyper::Error)>;

/// A server that runs while it is awaited, created by [`serve`].
#[must_use = "a server does nothing unless it is awaited"]
pub struct Serve<S, L = TcpListener> {
    listener: L,
    service: S,
    http: http1::Builder,
    nodelay: bool,
    signal: Pin<Box<dyn Future<Output = ()>>>,
    grace: Duration,
    last_request: Duration,
    on_error: OnError,
}

/// The future of a server.
pub type Serving = Pin<Box<dyn Future<Output = io::Result<()>>>>;

impl<S, L> Serve<S, L> {
    /// Shuts the server down when `signal` completes.
    ///
    /// The server then accepts no more connections, closes the idle ones, and waits for the
    /// requests that are being served; each of their connections is closed after the next
    /// response. Awaiting the server completes when the last connection is closed.
    pub fn with_graceful_shutdown<F>(mut self, signal: F) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        self.signal = Box::pin(signal);
        self
    }

    /// Sets how long a graceful shutdown waits before it drops the connections that are still
    /// open. By default it waits until they end.
    pub fn grace_period(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets how long a graceful shutdown waits for a last request on each idle connection,
    /// which is closed after the response. By default it does not wait.
    ///
    /// A client that sends a request just when its idle connection is closed gets no answer. A
    /// server that is replaced under load, like a supervised worker, should wait for a second:
    /// busy clients have sent their request by then.
    pub fn last_request(mut self, wait: Duration) -> Self {
        self.last_request = wait;
        self
    }

    /// Sets how long a client may take to send the head of a request, and between two
    /// requests. `None` removes the limit. The default is 30 seconds.
    pub fn header_read_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.http.header_read_timeout(timeout);
        self
    }

    /// Sets whether a connection may serve more than one request. The default is true.
    pub fn keep_alive(mut self, keep_alive: bool) -> Self {
        self.http.keep_alive(keep_alive);
        self
    }

    /// Sets whether small writes are sent at once (`TCP_NODELAY`). The default is true.
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.nodelay = nodelay;
        self
    }

    /// Changes the other options of hyper's builder.
    pub fn configure(mut self, change: impl FnOnce(&mut http1::Builder)) -> Self {
        change(&mut self.http);
        self
    }

    /// Calls `hook` with the peer and the error of each connection that fails: because of what
    /// the client sent, or did not send in time, or because of an error of the service or of
    /// the socket. By default these errors are ignored.
    pub fn on_error(mut self, hook: impl Fn(SocketAddr, ::hyper::Error) + 'static) -> Self {
        self.on_error = Rc::new(hook);
        self
    }
}

impl<S, L, B> IntoFuture for Serve<S, L>
where
    L: Accept + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Output = io::Result<()>;
    type IntoFuture = Serving;

    fn into_future(self) -> Serving {
        Box::pin(run(self))
    }
}

impl<S, L: fmt::Debug> fmt::Debug for Serve<S, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("listener", &self.listener)
            .finish_non_exhaustive()
    }
}

async fn run<S, L, B>(server: Serve<S, L>) -> io::Result<()>
where
    L: Accept,
    S: Service<Request<Incoming>, Response = Response<B>> + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let Serve {
        mut listener,
        service,
        http,
        nodelay,
        mut signal,
        grace,
        last_request,
        on_error,
    } = server;
    let service = Rc::new(service);
    let connections = Connections::default();

    let accepted = poll_fn(|cx| {
        loop {
            if signal.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let (stream, peer) = match listener.poll_accept(cx) {
                Poll::Ready(Ok(Some(accepted))) => accepted,
                Poll::Ready(Ok(None)) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            };
            if nodelay {
                // This fails if the peer has closed the connection, which the first read
                // reports.
                let _ = stream.set_nodelay(true);
            }
            let (service, on_error) = (Rc::clone(&service), Rc::clone(&on_error));
            let http = &http;
            connections.spawn(|guard| {
                let serving = connection(http, stream, service, guard, last_request);
                async move {
                    if let Err(error) = serving.await {
                        on_error(peer, error);
                    }
                }
            });
        }
    });
    accepted.await?;

    drop((signal, listener));
    connections.begin_shutdown();
    let last = poll_fn(|cx| connections.poll_none(cx));
    // After the grace period, the rest is dropped with the list.
    let _ = time::timeout(grace, last).await;
    Ok(())
}

/// Serves one connection until it ends.
fn connection<S, B>(
    http: &http1::Builder,
    stream: TcpStream,
    service: Rc<S>,
    guard: ConnectionGuard,
    last_request: Duration,
) -> impl Future<Output = ::hyper::Result<()>> + use<S, B>
where
    S: Service<Request<Incoming>, Response = Response<B>> + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let shutting_down = guard.shutting_down();
    let service = service_fn(move |request| {
        let (answer, shutting_down) = (service.call(request), shutting_down.clone());
        async move {
            let mut response = answer.await?;
            if shutting_down.get() {
                let headers = response.headers_mut();
                // The service may have set the header itself.
                headers
                    .entry(CONNECTION)
                    .or_insert(HeaderValue::from_static("close"));
            }
            Ok::<_, S::Error>(response)
        }
    });
    let serving = http.serve_connection(stream, service);
    async move {
        let mut serving = pin!(serving);
        let mut last_request = Some(last_request);
        let mut wait = None;
        poll_fn(|cx| {
            let mut limit = Limit::before_poll();
            loop {
                // First, so that a request that has arrived is answered.
                let served = serving.as_mut().poll(cx);
                if served.is_ready() || last_request.is_none() || !guard.poll_shutting_down(cx) {
                    return served;
                }
                let Some(time) = last_request.filter(|time| !time.is_zero()) else {
                    break;
                };
                let clock = wait.get_or_insert_with(|| Limit::clock(time));
                match limit.check(clock, cx) {
                    Verdict::Wait => return Poll::Pending,
                    Verdict::Late => break,
                    Verdict::PollAgain => {}
                }
            }
            last_request = None;
            serving.as_mut().graceful_shutdown();
            serving.as_mut().poll(cx)
        })
        .await
    }
}
