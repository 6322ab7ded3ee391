//! Panics of tasks that nobody joined.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::diagnostics;
use crate::panics;
use crate::runtime::TaskMeta;

/// What a runtime does when a task has panicked and nobody is there to join it.
///
/// Nobody is once the [`JoinHandle`](crate::task::JoinHandle) has been dropped,
/// whether that was before the panic or after. A task whose handle is awaited
/// gives its panic there and to nobody else.
///
/// See [`Builder::unhandled_panic`](crate::runtime::Builder::unhandled_panic).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum UnhandledPanic {
    /// Nothing: the panic hook has printed the panic as it does for any thread.
    Ignore,
    /// A line says which task it was, and where that was spawned: an error by
    /// way of `tracing` if that feature is on, otherwise on the standard error.
    #[default]
    Report,
    /// The same line; then every task of the runtime is dropped, and the panic
    /// goes on in whoever drives it, from
    /// [`block_on`](crate::Runtime::block_on), [`turn`](crate::Runtime::turn) or
    /// [`shutdown`](crate::Runtime::shutdown), instead of what these would have
    /// returned. The runtime is over: driving it again panics, and what is
    /// spawned on it is cancelled.
    ShutdownRuntime,
    /// The same line; then the process is aborted.
    Abort,
}

/// Sees to the panics of one runtime's tasks that nobody joined.
pub(crate) struct Unhandled {
    policy: UnhandledPanic,
    is_raised: AtomicBool,
    /// What to go on with where the runtime is driven.
    raised: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Unhandled {
    pub(crate) fn new(policy: UnhandledPanic) -> Unhandled {
        Unhandled {
            policy,
            is_raised: AtomicBool::new(false),
            raised: Mutex::new(None),
        }
    }

    /// Does what the policy says. Returns a payload that is not kept, for the
    /// caller to drop.
    #[cold]
    pub(crate) fn see(
        &self,
        task: &TaskMeta,
        message: Option<&str>,
        payload: Box<dyn Any + Send>,
    ) -> Option<Box<dyn Any + Send>> {
        if self.policy != UnhandledPanic::Ignore {
            // A subscriber of `tracing` is the user's.
            panics::caught(|| diagnostics::unhandled_panic(task, message));
        }
        match self.policy {
            UnhandledPanic::Ignore | UnhandledPanic::Report => Some(payload),
            UnhandledPanic::Abort => std::process::abort(),
            UnhandledPanic::ShutdownRuntime => {
                if self.is_raised.swap(true, Ordering::Relaxed) {
                    return Some(payload);
                }
                *self.raised.lock().unwrap_or_else(PoisonError::into_inner) = Some(payload);
                None
            }
        }
    }

    /// The panic that is to end the runtime. Later ones are not kept: it has
    /// ended, and what keeps this may go on any thread.
    pub(crate) fn take(&self) -> Option<Box<dyn Any + Send>> {
        // Raised on the thread that asks.
        self.is_raised.store(true, Ordering::Relaxed);
        self.raised
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    #[inline]
    pub(crate) fn is_raised(&self) -> bool {
        self.is_raised.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Unhandled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unhandled")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
