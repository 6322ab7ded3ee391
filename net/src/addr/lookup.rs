//! One lookup of a host name, on a thread of its own.
//!
//! `getaddrinfo` blocks for as long as a name server takes, so it must not run on
//! the loop. The thread and the future share one slot; whichever is gone first,
//! the other finishes alone.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;

/// The addresses of a host, once they are known.
pub(super) struct Lookup {
    slot: Arc<Mutex<Slot>>,
}

#[derive(Default)]
struct Slot {
    answer: Option<io::Result<Vec<SocketAddr>>>,
    waker: Option<Waker>,
}

impl Lookup {
    pub(super) fn start(host: String, port: u16) -> io::Result<Lookup> {
        let slot = Arc::new(Mutex::new(Slot::default()));
        let theirs = Arc::clone(&slot);
        thread::Builder::new()
            .name("coreloop-lookup".to_owned())
            .spawn(move || {
                let answer = (host, port).to_socket_addrs().map(Iterator::collect);
                let waker = {
                    let mut slot = lock(&theirs);
                    slot.answer = Some(answer);
                    slot.waker.take()
                };
                // The lock is free again: a waker may run anything.
                if let Some(waker) = waker {
                    waker.wake();
                }
            })?;
        Ok(Lookup { slot })
    }
}

impl Future for Lookup {
    type Output = io::Result<Vec<SocketAddr>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let waker = cx.waker().clone();
        let mut slot = lock(&self.slot);
        if let Some(answer) = slot.answer.take() {
            return Poll::Ready(answer);
        }
        let previous = slot.waker.replace(waker);
        drop(slot);
        drop(previous);
        Poll::Pending
    }
}

/// A poisoned slot is as good as any: nothing between lock and unlock can panic
/// half way.
fn lock(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
