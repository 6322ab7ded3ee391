//! [`JoinError`]: why a task has no output.

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};

use crate::engine::id::Id;
use crate::engine::panics;
use crate::engine::report::task_meta::TaskMeta;
use crate::engine::report::unhandled::{Hook, TaskPanic, Unhandled};
use crate::engine::task::remote::Remote;

/// The reason why a task failed. It has the size of a pointer, because each task has room for
/// one.
pub(crate) enum Failure {
    Cancelled,
    Panicked(Box<Panic>),
}

/// The panic of a task.
pub(crate) struct Panic {
    /// The task that panicked; `None` for work on other threads.
    task: Option<TaskMeta>,
    /// The text of the panic, if it is a string.
    message: Option<String>,
    /// The hook that is called if the task is not joined. It is kept here, because the
    /// handle may be dropped after the loop. A [`JoinError`] does not have it.
    hook: Option<AssertUnwindSafe<Hook>>,
    /// The mutex is never locked; it makes the error `Sync`.
    payload: Mutex<Box<dyn Any + Send>>,
}

impl Failure {
    /// Creates the failure for a panic of `task`. If the task is not joined, the panic
    /// goes to the hook of `unhandled`.
    #[cold]
    pub(super) fn panicked(
        task: TaskMeta,
        unhandled: &Unhandled,
        payload: Box<dyn Any + Send>,
    ) -> Self {
        Self::Panicked(Box::new(Panic {
            task: Some(task),
            hook: unhandled.hook().map(AssertUnwindSafe),
            ..Panic::from(payload)
        }))
    }
}

impl From<Box<dyn Any + Send>> for Panic {
    fn from(payload: Box<dyn Any + Send>) -> Self {
        Self {
            task: None,
            message: message(&*payload),
            hook: None,
            payload: Mutex::new(payload),
        }
    }
}

impl Panic {
    /// Passes the panic to the loop as unhandled, because the task will not be joined.
    pub(super) fn hand_to(self, remote: &Remote) {
        let payload = self
            .payload
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = self.task {
            let panic = TaskPanic::new(task, self.message);
            let hook = self.hook.map(|AssertUnwindSafe(hook)| hook);
            drop(remote.unhandled_panic(&panic, hook, payload));
        }
    }
}

/// An error returned for a task that was aborted or panicked, and so has no output.
///
/// # Examples
///
/// ```
/// # coreloop::block_on(async {
/// let handle = coreloop::spawn(async { panic!("lost") });
/// let error = handle.await.unwrap_err();
/// assert!(error.is_panic());
/// assert_eq!(*error.into_panic().downcast_ref::<&str>().unwrap(), "lost");
/// # })
/// ```
pub struct JoinError {
    id: Id,
    failure: Failure,
}

impl JoinError {
    /// Creates the error that awaiting the handle of a task returns.
    pub(super) fn new(id: Id, mut failure: Failure) -> Self {
        if let Failure::Panicked(panic) = &mut failure {
            // This may be the last reference to the hook, whose destructor is user code.
            let hook = panic.hook.take();
            panics::caught(|| drop(hook));
        }
        Self { id, failure }
    }

    pub(crate) fn cancelled(id: Id) -> Self {
        Self::new(id, Failure::Cancelled)
    }

    pub(crate) fn panicked(id: Id, payload: Box<dyn Any + Send>) -> Self {
        Self::new(id, Failure::Panicked(Box::new(Panic::from(payload))))
    }

    /// Returns whether the task was aborted, or its runtime dropped.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.failure, Failure::Cancelled)
    }

    /// Returns whether the task panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self.failure, Failure::Panicked(_))
    }

    /// Returns the payload of the task's panic, for [`std::panic::resume_unwind`].
    ///
    /// # Panics
    ///
    /// Panics if the task did not panic. Use
    /// [`try_into_panic`](JoinError::try_into_panic) where it may not have.
    #[must_use]
    #[track_caller]
    pub fn into_panic(self) -> Box<dyn Any + Send + 'static> {
        match self.try_into_panic() {
            Ok(payload) => payload,
            Err(error) => panic!("into_panic on a task that did not panic: {error}"),
        }
    }

    /// Returns the payload of the task's panic.
    ///
    /// # Errors
    ///
    /// Returns the error itself if the task did not panic.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send + 'static>, Self> {
        match self.failure {
            Failure::Panicked(panic) => Ok(panic
                .payload
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner)),
            Failure::Cancelled => Err(self),
        }
    }

    /// Returns the id of the task.
    #[must_use]
    pub fn id(&self) -> Id {
        self.id
    }
}

/// Returns the message of a panic, if it is a string.
pub(crate) fn message(payload: &(dyn Any + Send)) -> Option<String> {
    payload
        .downcast_ref::<&'static str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id;
        match &self.failure {
            Failure::Cancelled => write!(f, "task {id} was cancelled"),
            Failure::Panicked(panic) => match &panic.message {
                Some(text) => write!(f, "task {id} panicked with message {text:?}"),
                None => write!(f, "task {id} panicked"),
            },
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id;
        match &self.failure {
            Failure::Cancelled => write!(f, "JoinError::Cancelled({id:?})"),
            Failure::Panicked(panic) => match &panic.message {
                Some(text) => write!(f, "JoinError::Panic({id:?}, {text:?}, ...)"),
                None => write!(f, "JoinError::Panic({id:?}, ...)"),
            },
        }
    }
}

impl std::error::Error for JoinError {}

/// Converts to an error of kind `Other`, as in tokio.
impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> Self {
        Self::other(if error.is_panic() {
            "task panicked"
        } else {
            "task was cancelled"
        })
    }
}
