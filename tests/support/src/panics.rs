//! Panics that a test expects: their texts, and what the panic hook gets.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static RECORDED: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Calls `body`, and returns its value with the panics of this thread meanwhile.
///
/// Each panic has its location and its message, as the panic hook gets them. `body` has to
/// catch panics that would unwind out of it.
///
/// Other threads panic as usual, because the hook belongs to the process.
pub fn recorded<T>(body: impl FnOnce() -> T) -> (T, Vec<String>) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            let is_recorded = RECORDED.with_borrow_mut(|recorded| {
                let recorded = recorded.as_mut();
                recorded
                    .map(|panics| panics.push(panic.to_string()))
                    .is_some()
            });
            if !is_recorded {
                before(panic);
            }
        }));
    });
    RECORDED.set(Some(Vec::new()));
    let value = body();
    (value, RECORDED.take().unwrap())
}

/// Returns the text of the panic of `call`, or `None` if it does not panic.
///
/// # Panics
///
/// Panics if the payload is not text.
#[track_caller]
pub fn text_of<R>(call: impl FnOnce() -> R) -> Option<String> {
    let payload = catch_unwind(AssertUnwindSafe(call)).err()?;
    Some(text(&*payload))
}

/// Returns the text of the panic of `call`.
///
/// # Panics
///
/// Panics if `call` does not panic, or if the payload is not text.
#[track_caller]
pub fn panic_of<R>(call: impl FnOnce() -> R) -> String {
    text_of(call).expect("a panic comes out")
}

/// Returns the text of a caught panic.
///
/// # Panics
///
/// Panics if the payload is not text.
#[track_caller]
pub fn text(payload: &(dyn Any + Send)) -> String {
    match payload.downcast_ref::<&str>() {
        Some(text) => (*text).to_owned(),
        None => payload.downcast_ref::<String>().expect("a text").clone(),
    }
}
