//! [`Raw`], a queue of encoded items, wherever it is. It is the same code for all types of items.

mod receive;
mod send;

use std::time::{Duration, Instant};

use coreloop_runtime::time::timeout;
use serde::{Deserialize, Serialize};

use super::error::QueueError;
use crate::ipc::broker::error::done;
use crate::ipc::broker::link::{ask, blocking_ask, blocking_call, call};
use crate::ipc::broker::protocol::{Answer, Body, Operation};
use crate::ipc::broker::{BrokerError, Handle};

pub(super) use send::{Encoded, Unwritten};

/// A handle of a queue.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Raw {
    handle: Handle,
    capacity: u64,
    max_message: u64,
    batch: u32,
}

impl Raw {
    pub(super) fn new(handle: Handle, capacity: usize, max_message: usize, batch: u32) -> Self {
        Self {
            handle,
            capacity: capacity as u64,
            max_message: max_message as u64,
            batch,
        }
    }

    pub(super) fn capacity(&self) -> usize {
        usize::try_from(self.capacity).unwrap_or(usize::MAX)
    }

    pub(super) fn max_message(&self) -> usize {
        usize::try_from(self.max_message).unwrap_or(usize::MAX)
    }

    /// How many items a consumer confirms before it sends a notice.
    fn batch(&self) -> usize {
        usize::try_from(self.batch).unwrap_or(usize::MAX)
    }

    /// Returns how many items no user code has, and how many are not confirmed.
    pub(super) async fn lengths(&self) -> Result<(usize, usize), QueueError> {
        lengths(&done(call(&self.handle, Operation::LEN, &[]).await?)?)
    }

    pub(super) fn blocking_lengths(&self) -> Result<(usize, usize), QueueError> {
        lengths(&done(blocking_call(&self.handle, Operation::LEN, &[])?)?)
    }

    pub(super) async fn close(&self) -> Result<(), QueueError> {
        done(call(&self.handle, Operation::END, &[]).await?)?;
        Ok(())
    }

    pub(super) fn blocking_close(&self) -> Result<(), QueueError> {
        done(blocking_call(&self.handle, Operation::END, &[])?)?;
        Ok(())
    }

    pub(super) async fn join(&self) -> Result<(), QueueError> {
        let (answer, pending) = ask(&self.handle, Operation::JOIN, &[]).await?;
        pending.finish();
        done(answer)?;
        Ok(())
    }

    pub(super) fn blocking_join(&self, deadline: Option<Instant>) -> Result<(), QueueError> {
        let (answer, pending) = blocking_ask(&self.handle, Operation::JOIN, &[], deadline)?;
        pending.finish();
        done(answer)?;
        Ok(())
    }
}

fn lengths(answer: &Answer) -> Result<(usize, usize), QueueError> {
    let mut body = Body(&answer.body);
    let mut next = || {
        let number = body.u64().and_then(|number| usize::try_from(number).ok());
        number.ok_or_else(crate::ipc::broker::error::garbled)
    };
    Ok((next()?, next()?))
}

/// Limits how long a future runs.
pub(super) async fn limited<T, E: From<QueueError>>(
    limit: Duration,
    future: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    match timeout(limit, future).await {
        Ok(result) => result,
        Err(_) => Err(QueueError::from(BrokerError::timeout()).into()),
    }
}
