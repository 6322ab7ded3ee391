//! The lookup of a host name on another thread.
//!
//! `getaddrinfo` blocks for as long as a name server takes, so it must not run on the loop. It
//! runs in the blocking pool of the runtime. Outside a runtime it runs on a thread of its own,
//! which shares the answer with the future: if either is dropped, the other finishes alone.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::thread;

use coreloop_runtime::runtime::Handle;
use coreloop_runtime::task::{JoinError, RemoteJoinHandle};

/// The answer of the resolver.
type LookupResult = io::Result<Vec<SocketAddr>>;

/// A future of the addresses of a host.
///
/// If it is dropped before its job starts, the job does not run.
pub(super) enum Lookup {
    Pool(RemoteJoinHandle<LookupResult>),
    Thread(Arc<Mutex<ThreadAnswer>>),
}

#[derive(Default)]
pub(super) struct ThreadAnswer {
    answer: Option<LookupResult>,
    waker: Option<Waker>,
}

impl Lookup {
    pub(super) fn start(host: String, port: u16) -> io::Result<Self> {
        let ask = move || (host, port).to_socket_addrs().map(Iterator::collect);
        match Handle::try_current() {
            Ok(runtime) => Ok(Self::Pool(runtime.spawn_blocking(ask))),
            Err(_) => Self::on_a_thread(ask),
        }
    }

    fn on_a_thread(ask: impl FnOnce() -> LookupResult + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Mutex::new(ThreadAnswer::default()));
        let theirs = Arc::clone(&shared);
        thread::Builder::new()
            .name("coreloop-lookup".to_owned())
            .spawn(move || {
                let answer = ask();
                let waker = {
                    let mut shared = lock(&theirs);
                    shared.answer = Some(answer);
                    shared.waker.take()
                };
                // The lock is released: a waker may run user code.
                if let Some(waker) = waker {
                    waker.wake();
                }
            })?;
        Ok(Self::Thread(shared))
    }
}

impl Future for Lookup {
    type Output = LookupResult;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<LookupResult> {
        match self.get_mut() {
            Self::Pool(job) => {
                let answer = ready!(Pin::new(job).poll(cx));
                Poll::Ready(answer.unwrap_or_else(|error| Err(failed(error))))
            }
            Self::Thread(shared) => poll_thread(shared, cx),
        }
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        if let Self::Pool(job) = self {
            job.abort();
        }
    }
}

/// Returns why the pool has no answer: it is shut down, or no thread could be started.
fn failed(error: JoinError) -> io::Error {
    match error.try_into_panic() {
        Ok(panic) => match panic.downcast::<String>() {
            Ok(message) => io::Error::other(*message),
            Err(_) => io::Error::other("the name lookup panicked"),
        },
        Err(_) => io::Error::other("the name lookup was cancelled, as its runtime is gone"),
    }
}

fn poll_thread(shared: &Mutex<ThreadAnswer>, cx: &Context<'_>) -> Poll<LookupResult> {
    let waker = cx.waker().clone();
    let mut shared = lock(shared);
    if let Some(answer) = shared.answer.take() {
        return Poll::Ready(answer);
    }
    let previous = shared.waker.replace(waker);
    drop(shared);
    drop(previous);
    Poll::Pending
}

/// Locks the answer. A poisoned lock is sound, because nothing panics while it is held.
fn lock(shared: &Mutex<ThreadAnswer>) -> MutexGuard<'_, ThreadAnswer> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
