//! One lookup of a host name, on another thread.
//!
//! `getaddrinfo` blocks for as long as a name server takes, so it must not run on
//! the loop. It runs in the runtime's pool; outside a runtime, on a thread of its
//! own, which shares one slot with the future: whichever is gone first, the other
//! finishes alone.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::thread;

use coreloop_runtime::runtime::Handle;
use coreloop_runtime::task::{JoinError, RemoteJoinHandle};

/// What the resolver says.
type Answer = io::Result<Vec<SocketAddr>>;

/// The addresses of a host, once they are known.
///
/// One that is dropped before its turn is not made.
pub(super) enum Lookup {
    Pool(RemoteJoinHandle<Answer>),
    Thread(Arc<Mutex<Slot>>),
}

#[derive(Default)]
pub(super) struct Slot {
    answer: Option<Answer>,
    waker: Option<Waker>,
}

impl Lookup {
    pub(super) fn start(host: String, port: u16) -> io::Result<Lookup> {
        let ask = move || (host, port).to_socket_addrs().map(Iterator::collect);
        match Handle::try_current() {
            Ok(runtime) => Ok(Lookup::Pool(runtime.spawn_blocking(ask))),
            Err(_) => Lookup::on_a_thread(ask),
        }
    }

    fn on_a_thread(ask: impl FnOnce() -> Answer + Send + 'static) -> io::Result<Lookup> {
        let slot = Arc::new(Mutex::new(Slot::default()));
        let theirs = Arc::clone(&slot);
        thread::Builder::new()
            .name("coreloop-lookup".to_owned())
            .spawn(move || {
                let answer = ask();
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
        Ok(Lookup::Thread(slot))
    }
}

impl Future for Lookup {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        match self.get_mut() {
            Lookup::Pool(job) => {
                let answer = ready!(Pin::new(job).poll(cx));
                Poll::Ready(answer.unwrap_or_else(|error| Err(failed(error))))
            }
            Lookup::Thread(slot) => poll_slot(slot, cx),
        }
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        if let Lookup::Pool(job) = self {
            job.abort();
        }
    }
}

/// Why the pool gave no answer: it is shut down, or has no thread.
fn failed(error: JoinError) -> io::Error {
    match error.try_into_panic() {
        Ok(panic) => match panic.downcast::<String>() {
            Ok(message) => io::Error::other(*message),
            Err(_) => io::Error::other("the name lookup panicked"),
        },
        Err(_) => io::Error::other("the name lookup was cancelled, as its runtime is gone"),
    }
}

fn poll_slot(slot: &Mutex<Slot>, cx: &Context<'_>) -> Poll<Answer> {
    let waker = cx.waker().clone();
    let mut slot = lock(slot);
    if let Some(answer) = slot.answer.take() {
        return Poll::Ready(answer);
    }
    let previous = slot.waker.replace(waker);
    drop(slot);
    drop(previous);
    Poll::Pending
}

/// A poisoned slot is as good as any: nothing between lock and unlock can panic
/// half way.
fn lock(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
