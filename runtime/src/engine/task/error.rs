//! Why a task gave no output.

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};

use crate::engine::panics;
use crate::engine::remote::Remote;
use crate::engine::report::unhandled::{Hook, TaskPanic, Unhandled};
use crate::engine::task::id::Id;
use crate::engine::task::meta::TaskMeta;

/// How a task failed. One word, for there is room for it in every task.
pub(crate) enum Failure {
    Cancelled,
    Panicked(Box<Panic>),
}

/// What a task panicked with.
pub(crate) struct Panic {
    /// Whose it is; not known of work on other threads.
    task: Option<TaskMeta>,
    /// The text, if it was one.
    message: Option<String>,
    /// What is called if the task is not joined. Kept here, because its handle may
    /// be dropped after the loop. A joiner sees nothing of it.
    hook: Option<AssertUnwindSafe<Hook>>,
    /// In a mutex that is never locked, which makes the error `Sync`.
    payload: Mutex<Box<dyn Any + Send>>,
}

impl Failure {
    /// A panic of `task`, whose loop sees to it by `unhandled` if it is not joined.
    #[cold]
    pub(crate) fn panicked(
        task: TaskMeta,
        unhandled: &Unhandled,
        payload: Box<dyn Any + Send>,
    ) -> Failure {
        Failure::Panicked(Box::new(Panic {
            task: Some(task),
            hook: unhandled.hook().map(AssertUnwindSafe),
            ..Panic::from(payload)
        }))
    }
}

impl From<Box<dyn Any + Send>> for Panic {
    fn from(payload: Box<dyn Any + Send>) -> Panic {
        Panic {
            task: None,
            message: message(&*payload),
            hook: None,
            payload: Mutex::new(payload),
        }
    }
}

impl Panic {
    /// Nobody is there to join the task.
    pub(crate) fn hand_to(self, remote: &Remote) {
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

/// A task was aborted, or panicked, before it could give its output.
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
    /// What is given to the joiner of a task.
    pub(crate) fn new(id: Id, mut failure: Failure) -> JoinError {
        if let Failure::Panicked(panic) = &mut failure {
            // It may be the last owner of the user's hook.
            let hook = panic.hook.take();
            panics::caught(|| drop(hook));
        }
        JoinError { id, failure }
    }

    pub(crate) fn cancelled(id: Id) -> JoinError {
        JoinError::new(id, Failure::Cancelled)
    }

    pub(crate) fn panicked(id: Id, payload: Box<dyn Any + Send>) -> JoinError {
        JoinError::new(id, Failure::Panicked(Box::new(Panic::from(payload))))
    }

    /// Whether the task was aborted, or its runtime dropped.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.failure, Failure::Cancelled)
    }

    /// Whether the task panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self.failure, Failure::Panicked(_))
    }

    /// What the task panicked with, for [`std::panic::resume_unwind`].
    ///
    /// # Panics
    ///
    /// If the task did not panic; see [`try_into_panic`](JoinError::try_into_panic).
    #[must_use]
    #[track_caller]
    pub fn into_panic(self) -> Box<dyn Any + Send + 'static> {
        match self.try_into_panic() {
            Ok(payload) => payload,
            Err(error) => panic!("into_panic on a task that did not panic: {error}"),
        }
    }

    /// What the task panicked with.
    ///
    /// # Errors
    ///
    /// The error itself, if the task did not panic.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send + 'static>, JoinError> {
        match self.failure {
            Failure::Panicked(panic) => Ok(panic
                .payload
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner)),
            Failure::Cancelled => Err(self),
        }
    }

    /// The id of the task.
    #[must_use]
    pub fn id(&self) -> Id {
        self.id
    }
}

/// The message of a panic, if it is text.
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

/// As in tokio: an error of kind `Other`.
impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> io::Error {
        io::Error::other(if error.is_panic() {
            "task panicked"
        } else {
            "task was cancelled"
        })
    }
}
