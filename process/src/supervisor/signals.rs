//! The signals to a master, which become requests.
//!
//! | signal | request |
//! |---|---|
//! | `TERM`, `INT`, `QUIT` | [`Stop`](Request::Stop) |
//! | `HUP` | [`Reload`](Request::Reload) |
//! | `USR1` | [`Reopen`](Request::Reopen) |
//! | `USR2` | [`Upgrade`](Request::Upgrade) |
//! | `TTIN`, `TTOU` | [`Scale`](Request::Scale) to one worker more, or less |
//!
//! Ctrl-C and Ctrl-\ reach the workers too, as they are in the master's process group. They
//! ignore it and wait for the master's message, so they drain once and not twice.
//!
//! A master that process 1 has started passes signals on to its successor while it drains, and
//! `WINCH` too, which has no meaning for itself. So there its requests are
//! [`Signalled`](Request::Signalled).

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use coreloop_runtime::signal::unix::{Signal, SignalKind, signal};
use coreloop_sync::{mpsc, oneshot};
use signal_hook::{consts, flag};

use super::request::{Count, Request};

/// Turns signals into requests until the receiver of the requests is dropped.
///
/// The handlers are installed when this is called, not at the first poll: a signal that
/// comes while the first workers start is neither lost, nor does it end the process.
///
/// The results of these requests go nowhere: their receivers are dropped.
pub(super) fn serve(
    requests: mpsc::Sender<Request>,
    passes_on: bool,
) -> io::Result<impl Future<Output = ()>> {
    let mut signals = Signals::listen(passes_on)?;
    Ok(async move {
        while let Some(request) = poll_fn(|cx| signals.poll_next(cx)).await {
            if requests.send(request).await.is_err() {
                break;
            }
        }
    })
}

/// Takes care that the kernel keeps the status of a child that has ended.
///
/// A parent may have set `CHLD` to be ignored, which processes inherit; then the statuses are
/// lost. A handler changes that, and a child inherits the default.
pub(super) fn keep_statuses() -> io::Result<()> {
    flag::register(consts::SIGCHLD, Arc::default()).map(drop)
}

struct Signals {
    listeners: Vec<(SignalKind, Signal, Option<SignalRequest>)>,
    passes_on: bool,
}

#[derive(Clone, Copy)]
enum SignalRequest {
    Stop,
    Reload,
    Upgrade,
    Scale(Count),
    Reopen,
}

impl Signals {
    fn listen(passes_on: bool) -> io::Result<Self> {
        // Signals that come together are handled in this order.
        let kinds = [
            (SignalKind::terminate(), SignalRequest::Stop),
            (SignalKind::interrupt(), SignalRequest::Stop),
            (SignalKind::quit(), SignalRequest::Stop),
            (SignalKind::user_defined2(), SignalRequest::Upgrade),
            (SignalKind::hangup(), SignalRequest::Reload),
            (SignalKind::user_defined1(), SignalRequest::Reopen),
            (
                SignalKind::from_raw(consts::SIGTTIN),
                SignalRequest::Scale(Count::OneMore),
            ),
            (
                SignalKind::from_raw(consts::SIGTTOU),
                SignalRequest::Scale(Count::OneLess),
            ),
        ];
        let kinds = kinds.map(|(kind, meaning)| (kind, Some(meaning)));
        let only_passed_on = passes_on.then_some((SignalKind::window_change(), None));
        let listeners = kinds.into_iter().chain(only_passed_on);
        let listeners = listeners.map(|(kind, meaning)| Ok((kind, signal(kind)?, meaning)));
        Ok(Self {
            listeners: listeners.collect::<io::Result<_>>()?,
            passes_on,
        })
    }

    /// Returns the next request; `None` when the loop has ended.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Request>> {
        for (kind, signal, meaning) in &mut self.listeners {
            if let Poll::Ready(came) = signal.poll_recv(cx) {
                let request = meaning.as_ref().map(SignalRequest::request);
                let number = kind.as_raw_value();
                return Poll::Ready(came.and(match (self.passes_on, request) {
                    (true, request) => Some(Request::Signalled(number, request.map(Box::new))),
                    (false, request) => request,
                }));
            }
        }
        Poll::Pending
    }
}

impl SignalRequest {
    fn request(&self) -> Request {
        match self {
            Self::Stop => Request::Stop,
            Self::Reload => Request::Reload(oneshot::channel().0),
            Self::Upgrade => Request::Upgrade(oneshot::channel().0),
            Self::Scale(count) => Request::Scale(*count, oneshot::channel().0),
            Self::Reopen => Request::Reopen(oneshot::channel().0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::Signal as Number;

    /// One test covers all signals, because they are sent to the whole process.
    #[test]
    fn each_signal_becomes_its_request() {
        coreloop_runtime::block_on(async {
            let (sender, mut requests) = mpsc::channel(8);
            let serving = serve(sender, false).unwrap();
            // Sent before the first poll: without a handler it would end the tests.
            send(Number::TERM);
            let serving = coreloop_runtime::spawn(serving);
            assert!(matches!(requests.recv().await, Some(Request::Stop)));

            send(Number::INT);
            assert!(matches!(requests.recv().await, Some(Request::Stop)));
            send(Number::QUIT);
            assert!(matches!(requests.recv().await, Some(Request::Stop)));
            send(Number::HUP);
            assert!(matches!(requests.recv().await, Some(Request::Reload(_))));
            send(Number::USR2);
            assert!(matches!(requests.recv().await, Some(Request::Upgrade(_))));
            send(Number::USR1);
            assert!(matches!(requests.recv().await, Some(Request::Reopen(_))));
            send(Number::TTIN);
            let more = requests.recv().await;
            assert!(matches!(more, Some(Request::Scale(Count::OneMore, _))));
            send(Number::TTOU);
            let less = requests.recv().await;
            assert!(matches!(less, Some(Request::Scale(Count::OneLess, _))));

            let (sender, mut signalled) = mpsc::channel(8);
            let passing_on = coreloop_runtime::spawn(serve(sender, true).unwrap());
            send(Number::TERM);
            let Some(Request::Signalled(consts::SIGTERM, Some(stop))) = signalled.recv().await
            else {
                panic!("another request");
            };
            assert!(matches!(*stop, Request::Stop));
            send(Number::WINCH);
            let passed_on = signalled.recv().await;
            let number = consts::SIGWINCH;
            assert!(matches!(passed_on, Some(Request::Signalled(n, None)) if n == number));
            passing_on.abort();
            assert!(matches!(requests.recv().await, Some(Request::Stop)));

            drop(requests);
            send(Number::HUP);
            serving.await.unwrap();
        });
    }

    fn send(signal: Number) {
        rustix::process::kill_process(rustix::process::getpid(), signal).unwrap();
    }
}
