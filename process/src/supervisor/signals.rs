//! The signals that a master obeys.
//!
//! | signal | request |
//! |---|---|
//! | `TERM`, `INT` | [`Stop`](Request::Stop) |
//! | `HUP` | [`Reload`](Request::Reload) |
//! | `USR2` | [`Upgrade`](Request::Upgrade) |
//! | `TTIN`, `TTOU` | [`Scale`](Request::Scale) to one worker more, or less |
//!
//! Ctrl-C reaches the workers too, as they are in the master's group. They ignore
//! it and wait for the master's word, so there is one drain and not two.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use coreloop_runtime::signal::unix::{Signal, SignalKind, signal};
use coreloop_sync::{mpsc, oneshot};
use signal_hook::consts;

use super::request::{Count, Request};

/// Makes requests of signals until nobody takes them.
///
/// The signals are listened for as soon as this is called, not at the first poll:
/// one that comes while the first workers start is not lost, nor does it end the
/// process.
///
/// Nobody hears what becomes of a request that a signal made: the receivers of
/// their answers are dropped.
pub(crate) fn serve(requests: mpsc::Sender<Request>) -> io::Result<impl Future<Output = ()>> {
    let mut signals = Signals::listen()?;
    Ok(async move {
        while let Some(request) = poll_fn(|context| signals.poll_next(context)).await {
            if requests.send(request).await.is_err() {
                break;
            }
        }
    })
}

struct Signals(Vec<(Signal, Meaning)>);

#[derive(Clone, Copy)]
enum Meaning {
    Stop,
    Reload,
    Upgrade,
    Scale(Count),
}

impl Signals {
    fn listen() -> io::Result<Signals> {
        // In the order in which those that come together are obeyed.
        let kinds = [
            (SignalKind::terminate(), Meaning::Stop),
            (SignalKind::interrupt(), Meaning::Stop),
            (SignalKind::user_defined2(), Meaning::Upgrade),
            (SignalKind::hangup(), Meaning::Reload),
            (
                SignalKind::from_raw(consts::SIGTTIN),
                Meaning::Scale(Count::OneMore),
            ),
            (
                SignalKind::from_raw(consts::SIGTTOU),
                Meaning::Scale(Count::OneLess),
            ),
        ];
        let listeners = kinds.map(|(kind, meaning)| Ok((signal(kind)?, meaning)));
        Ok(Signals(listeners.into_iter().collect::<io::Result<_>>()?))
    }

    /// `None` when the loop is gone.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Request>> {
        for (signal, meaning) in &mut self.0 {
            if let Poll::Ready(came) = signal.poll_recv(context) {
                return Poll::Ready(came.map(|()| meaning.request()));
            }
        }
        Poll::Pending
    }
}

impl Meaning {
    fn request(self) -> Request {
        match self {
            Meaning::Stop => Request::Stop,
            Meaning::Reload => Request::Reload(oneshot::channel().0),
            Meaning::Upgrade => Request::Upgrade(oneshot::channel().0),
            Meaning::Scale(count) => Request::Scale(count, oneshot::channel().0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::Signal as Number;

    /// One test for all, as signals go to the whole process.
    #[test]
    fn each_signal_becomes_its_request() {
        coreloop_runtime::block_on(async {
            let (sender, mut requests) = mpsc::channel(8);
            let serving = serve(sender).unwrap();
            // Before the first poll: without a handler this would end the tests.
            send(Number::TERM);
            let serving = coreloop_runtime::spawn(serving);
            assert!(matches!(requests.recv().await, Some(Request::Stop)));

            send(Number::INT);
            assert!(matches!(requests.recv().await, Some(Request::Stop)));
            send(Number::HUP);
            assert!(matches!(requests.recv().await, Some(Request::Reload(_))));
            send(Number::USR2);
            assert!(matches!(requests.recv().await, Some(Request::Upgrade(_))));
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
