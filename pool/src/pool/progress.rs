//! [`Progress`], the values that a job sends while it runs.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::rc::Rc;

use coreloop_sync::watch;
use serde::de::DeserializeOwned;

use crate::error::{ErrorKind, JobError};
use crate::executor::threads::latest::Reader;
use crate::job::encoded::Kept;
use crate::panics;

/// The values that a job sends by [`job::progress`](crate::job::progress), of which only the
/// latest one is kept.
pub struct Progress<T> {
    values: Values,
    value: PhantomData<fn() -> T>,
}

/// The channel that the values come from.
pub(super) enum Values {
    Loop(watch::Receiver<Option<Rc<Kept>>>),
    Thread(Reader),
}

impl<T> Progress<T> {
    pub(super) fn new(values: Values) -> Self {
        Self {
            values,
            value: PhantomData,
        }
    }

    /// The progress of a job that has finished.
    pub(crate) fn ended() -> Self {
        Self::new(Values::Loop(watch::channel(None).1))
    }
}

impl<T: DeserializeOwned> Progress<T> {
    /// Returns the latest value, or `None` if the job has sent none.
    ///
    /// # Errors
    ///
    /// Returns an error if the value does not decode as a `T`.
    #[must_use]
    pub fn latest(&self) -> Option<Result<T, JobError>> {
        match &self.values {
            Values::Loop(receiver) => {
                let value = receiver.borrow().clone()?;
                Some(decode(&value))
            }
            Values::Thread(reader) => {
                let value = reader.latest()?;
                Some(decode(&value))
            }
        }
    }

    /// Waits for a value that this method has not returned before. Returns `None` when the job
    /// has finished.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a later call returns the value.
    ///
    /// # Errors
    ///
    /// Returns an error if the value does not decode as a `T`.
    pub async fn changed(&mut self) -> Option<Result<T, JobError>> {
        match &mut self.values {
            Values::Loop(receiver) => {
                receiver.changed().await.ok()?;
                let value = receiver.borrow_and_update().clone()?;
                Some(decode(&value))
            }
            Values::Thread(reader) => {
                let value = poll_fn(|cx| reader.poll_changed(cx)).await?;
                Some(decode(&value))
            }
        }
    }
}

fn decode<T: DeserializeOwned>(value: &Kept) -> Result<T, JobError> {
    let text = match panics::catch(|| value.input()?.decode()) {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => format!("the progress does not decode: {error}"),
        Err(_) => "decoding the progress panicked".to_owned(),
    };
    Err(JobError::new(ErrorKind::Codec(text)))
}

impl<T> fmt::Debug for Progress<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").finish_non_exhaustive()
    }
}
