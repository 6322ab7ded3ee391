//! The signals to a master, which become requests.
//!
//! | signal | request |
//! |---|---|
//! | `TERM`, `INT` | [`Stop`](Request::Stop) |
//! | `HUP` | [`Reload`](Request::Reload) |
//! | `USR1` | [`Reopen`](Request::Reopen) |
//! | `USR2` | [`Upgrade`](Request::Upgrade) |
//! | `TTIN`, `TTOU` | [`Scale`](Request::Scale) to one worker more, or less |
//!
//! Ctrl-C reaches the workers too, as they are in the master's process group. They ignore it
//! and wait for the master's message, so they drain once and not twice.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use coreloop_runtime::signal::unix::{Signal, SignalKind, signal};
use coreloop_sync::{mpsc, oneshot};
use signal_hook::consts;

use super::request::{Count, Request};

/// Turns signals into requests until the receiver of the requests is dropped.
///
/// The handlers are installed when this is called, not at the first poll: a signal that
/// comes while the first workers start is neither lost, nor does it end the process.
///
/// The results of these requests go nowhere: their receivers are dropped.
pub(super) fn serve(requests: mpsc::Sender<Request>) -> io::Result<impl Future<Output = ()>> {
    let mut signals = Signals::listen()?;
    Ok(async move {
        while let Some(request) = poll_fn(|cx| signals.poll_next(cx)).await {
            if requests.send(request).await.is_err() {
                break;
            }
        }
    })
}

struct Signals(Vec<(Signal, SignalRequest)>);

#[derive(Clone, Copy)]
enum SignalRequest {
    Stop,
    Reload,
    Upgrade,
    Scale(Count),
    Reopen,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        // Signals that come together are handled in this order.
        let kinds = [
            (SignalKind::terminate(), SignalRequest::Stop),
            (SignalKind::interrupt(), SignalRequest::Stop),
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
        let listeners = kinds.map(|(kind, meaning)| Ok((signal(kind)?, meaning)));
        Ok(Self(listeners.into_iter().collect::<io::Result<_>>()?))
    }

    /// Returns the next request; `None` when the loop has ended.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Request>> {
        for (signal, meaning) in &mut self.0 {
            if let Poll::Ready(came) = signal.poll_recv(cx) {
                return Poll::Ready(came.map(|()| meaning.request()));
            }
        }
        Poll::Pending
    }
}

impl SignalRequest {
    fn request(self) -> Request {
        match self {
            Self::Stop => Request::Stop,
            Self::Reload => Request::Reload(oneshot::channel().0),
            Self::Upgrade => Request::Upgrade(oneshot::channel().0),
            Self::Scale(count) => Request::Scale(count, oneshot::channel().0),
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
            let serving = serve(sender).unwrap();
            // Sent before the first poll: without a handler it would end the tests.
            send(Number::TERM);
            let serving = coreloop_runtime::spawn(serving);
            assert!(matches!(requests.recv().await, Some(Request::Stop)));

            send(Number::INT);
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

            drop(requests);
            send(Number::HUP);
            serving.await.unwrap();
        });
    }

    fn send(signal: Number) {
        rustix::process::kill_process(rustix::process::getpid(), signal).unwrap();
    }
}
