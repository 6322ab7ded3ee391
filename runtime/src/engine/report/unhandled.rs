//! Panics of tasks that nobody joined.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::task::meta::TaskMeta;
use crate::engine::{panics, report};

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
    /// The hook of
    /// [`Builder::on_unhandled_panic`](crate::runtime::Builder::on_unhandled_panic)
    /// is called. If there is none, a line says which task it was, and where that
    /// was spawned: an error by way of `tracing` if that feature is on, otherwise
    /// on the standard error.
    #[default]
    Report,
    /// The same report; then every task of the runtime is dropped, and the panic
    /// goes on in whoever drives it, from
    /// [`block_on`](crate::Runtime::block_on), [`turn`](crate::Runtime::turn) or
    /// [`shutdown`](crate::Runtime::shutdown), instead of what these would have
    /// returned. The runtime is over: driving it again panics, and what is
    /// spawned on it is cancelled.
    ShutdownRuntime,
    /// The same report; then the process is aborted.
    Abort,
}

/// The panic of a task that was not joined.
///
/// It is what the hook of
/// [`Builder::on_unhandled_panic`](crate::runtime::Builder::on_unhandled_panic) is
/// called with. Its text is the line that the runtime prints if there is no hook.
#[derive(Debug, Clone)]
pub struct TaskPanic {
    task: TaskMeta,
    message: Option<String>,
}

impl TaskPanic {
    pub(crate) fn new(task: TaskMeta, message: Option<String>) -> TaskPanic {
        TaskPanic { task, message }
    }

    /// The task.
    #[must_use]
    pub fn task(&self) -> &TaskMeta {
        &self.task
    }

    /// What the task panicked with, if that is a string, as it is after
    /// [`panic!`].
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// The message, or what is said instead of one.
    pub(crate) fn text(&self) -> &str {
        self.message().unwrap_or("the payload is not a string")
    }
}

impl fmt::Display for TaskPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (task, text) = (&self.task, self.text());
        write!(f, "{task} panicked, and nobody joined it: {text}")
    }
}

/// What to do with the panic of a task that was not joined.
pub(crate) type Hook = Arc<dyn Fn(&TaskPanic) + Send + Sync>;

/// How such panics are to be seen to.
#[derive(Clone, Default)]
pub(crate) struct Options {
    pub(crate) policy: UnhandledPanic,
    pub(crate) hook: Option<Hook>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// Sees to the panics of one runtime's tasks that nobody joined.
pub(crate) struct Unhandled {
    policy: UnhandledPanic,
    /// As long as the loop is there: see [`close`](Unhandled::close).
    hook: Mutex<Option<Hook>>,
    is_raised: AtomicBool,
    /// What to go on with where the runtime is driven.
    raised: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Unhandled {
    pub(crate) fn new(options: Options) -> Unhandled {
        Unhandled {
            policy: options.policy,
            hook: Mutex::new(options.hook),
            is_raised: AtomicBool::new(false),
            raised: Mutex::new(None),
        }
    }

    /// The hook, for a panic to keep until it is known whether its task is joined.
    pub(crate) fn hook(&self) -> Option<Hook> {
        let hook = self.hook.lock().unwrap_or_else(PoisonError::into_inner);
        hook.clone()
    }

    /// Gives the hook up when the loop goes, for the caller to drop. What other
    /// threads share of the loop goes with the last waker, and that runs no code
    /// of the user's, such as the destructor of what a hook has captured.
    pub(crate) fn close(&self) -> Option<Hook> {
        let mut hook = self.hook.lock().unwrap_or_else(PoisonError::into_inner);
        hook.take()
    }

    /// Does what the policy says, with the hook that the panic has kept. Returns
    /// a payload that is not kept, for the caller to drop.
    #[cold]
    pub(crate) fn see(
        &self,
        panic: &TaskPanic,
        hook: Option<Hook>,
        payload: Box<dyn Any + Send>,
    ) -> Option<Box<dyn Any + Send>> {
        if self.policy != UnhandledPanic::Ignore {
            // Both are the user's: a subscriber of `tracing` is too.
            panics::caught(move || match hook {
                Some(hook) => hook(panic),
                None => report::report_unhandled_panic(panic),
            });
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
