//! The panic hook of a worker, which keeps the message of a job's panic for the master.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo, catch_unwind};

thread_local! {
    /// Whether this thread runs a job.
    static IN_JOB: Cell<bool> = const { Cell::new(false) };
    /// The message and place of the last panic of the job.
    static MESSAGE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Sets a panic hook that keeps the message of a job's panic instead of printing it. For
/// every other panic it calls the previous hook.
pub(super) fn install() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        // If a panic aborts the process, only the previous hook reports it.
        if cfg!(panic = "abort") || !keep(info) {
            previous(info);
        }
    }));
}

/// Calls a function of a job. If it panics, returns the message and the place.
pub(super) fn catch<R>(call: impl FnOnce() -> R) -> Result<R, String> {
    // An earlier job may have caught a panic, whose message is still kept.
    drop(MESSAGE.take());
    IN_JOB.set(true);
    let called = catch_unwind(AssertUnwindSafe(call));
    IN_JOB.set(false);
    called.map_err(|payload| {
        let kept = MESSAGE.take();
        let message = kept.unwrap_or_else(|| crate::panics::message(&*payload).to_owned());
        crate::panics::discard(payload);
        message
    })
}

fn keep(info: &PanicHookInfo<'_>) -> bool {
    if !IN_JOB.try_with(Cell::get).unwrap_or(false) {
        return false;
    }
    let message = crate::panics::message(info.payload());
    let text = match info.location() {
        Some(place) => format!("{message}, at {place}"),
        None => message.to_owned(),
    };
    MESSAGE
        .try_with(|kept| kept.replace(Some(text)))
        .map(drop)
        .is_ok()
}
