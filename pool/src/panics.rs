//! Calling user code whose panic must not spread.

use std::any::Any;

pub(crate) use coreloop_runtime::__panics::{caught, discard};

/// Calls `f`. If it panics, which the panic hook has reported, returns the message.
pub(crate) fn catch<R>(f: impl FnOnce() -> R) -> Result<R, String> {
    coreloop_runtime::__panics::catch(f).map_err(|payload| {
        let text = message(&*payload).to_owned();
        discard(payload);
        text
    })
}

/// Returns the message of a panic.
pub(crate) fn message(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "a panic without a message"
    }
}
