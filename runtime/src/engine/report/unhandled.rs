//! The reaction to panics of tasks that are not joined: [`UnhandledPanic`], [`TaskPanic`].

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::report::task_meta::TaskMeta;
use crate::engine::{panics, report};

/// The reaction of a runtime to the panic of a task that is not joined.
///
/// A task is not joined if its [`JoinHandle`](crate::task::JoinHandle) is dropped,
/// before or after the panic, without returning the outcome. If the handle is awaited,
/// the panic is returned there, and nothing else happens.
///
/// See [`Builder::unhandled_panic`](crate::runtime::Builder::unhandled_panic).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum UnhandledPanic {
    /// Does nothing. The panic hook has printed the panic, as it does for any thread.
    Ignore,
    /// Calls the hook set by
    /// [`Builder::on_unhandled_panic`](crate::runtime::Builder::on_unhandled_panic). If
    /// there is none, writes a line that names the task and where it was spawned: an
    /// error by way of `tracing` if that feature is on, otherwise to standard error.
    #[default]
    Report,
    /// Reports the panic like [`Report`](Self::Report), then drops every task of the
    /// runtime and resumes the panic in the code that drives the runtime: from
    /// [`block_on`](crate::Runtime::block_on), [`turn`](crate::Runtime::turn) or
    /// [`shutdown`](crate::Runtime::shutdown), instead of their return value. The
    /// runtime cannot be used any more: driving it again panics, and what is spawned on
    /// it is cancelled.
    ShutdownRuntime,
    /// Reports the panic like [`Report`](Self::Report), then aborts the process.
    Abort,
}

/// The panic of a task that was not joined.
///
/// The hook set by
/// [`Builder::on_unhandled_panic`](crate::runtime::Builder::on_unhandled_panic) is
/// called with it. Its `Display` is the line that the runtime prints if there is no
/// hook.
#[derive(Debug, Clone)]
pub struct TaskPanic {
    task: TaskMeta,
    message: Option<String>,
}

impl TaskPanic {
    pub(crate) fn new(task: TaskMeta, message: Option<String>) -> Self {
        Self { task, message }
    }

    /// Returns the task that panicked.
    #[must_use]
    pub fn task(&self) -> &TaskMeta {
        &self.task
    }

    /// Returns the message of the panic, if its payload is a string, as of [`panic!`].
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// Returns the message, or a text that replaces it.
    pub(super) fn text(&self) -> &str {
        self.message().unwrap_or("the payload is not a string")
    }
}

impl fmt::Display for TaskPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (task, text) = (&self.task, self.text());
        write!(f, "{task} panicked and was not joined: {text}")
    }
}

/// The user's hook for panics of tasks that were not joined.
pub(crate) type Hook = Arc<dyn Fn(&TaskPanic) + Send + Sync>;

/// The settings for panics of tasks that are not joined.
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

/// Handles the panics of one runtime's tasks that are not joined.
pub(crate) struct Unhandled {
    policy: UnhandledPanic,
    /// Present until the loop ends: see [`close`](Unhandled::close).
    hook: Mutex<Option<Hook>>,
    /// Whether a panic has shut the runtime down.
    is_raised: AtomicBool,
    /// The panic to resume in the code that drives the runtime.
    raised: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Unhandled {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            policy: options.policy,
            hook: Mutex::new(options.hook),
            is_raised: AtomicBool::new(false),
            raised: Mutex::new(None),
        }
    }

    /// Returns the hook, for a panic to keep until it is known whether its task is
    /// joined.
    pub(crate) fn hook(&self) -> Option<Hook> {
        let hook = self.hook.lock().unwrap_or_else(PoisonError::into_inner);
        hook.clone()
    }

    /// Takes the hook when the loop ends, for the caller to drop. This value is freed
    /// with the last waker, possibly on another thread, and that must not run user code,
    /// such as the destructor of a value that the hook has captured.
    pub(crate) fn close(&self) -> Option<Hook> {
        let mut hook = self.hook.lock().unwrap_or_else(PoisonError::into_inner);
        hook.take()
    }

    /// Handles a panic according to the policy, with the hook that the panic has kept.
    /// Returns the payload for the caller to drop, unless this value keeps it.
    #[cold]
    pub(crate) fn handle(
        &self,
        panic: &TaskPanic,
        hook: Option<Hook>,
        payload: Box<dyn Any + Send>,
    ) -> Option<Box<dyn Any + Send>> {
        if self.policy != UnhandledPanic::Ignore {
            // Both may run user code: a hook, or a subscriber of `tracing`.
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

    /// Takes the panic that shuts the runtime down. Later ones are not kept: the
    /// runtime has ended, and this value may be freed on any thread.
    pub(crate) fn take(&self) -> Option<Box<dyn Any + Send>> {
        // The flag was set on the thread that calls this, so `Relaxed` suffices.
        self.is_raised.store(true, Ordering::Relaxed);
        self.raised
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Returns whether a panic has shut the runtime down.
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
