//! What the panic hook is given, without a line on the standard error.

use std::cell::RefCell;
use std::panic::{set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static RECORDED: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Calls `body`, and returns its value with the panics of this thread meanwhile.
///
/// Each names its place and its message, as the panic hook is given them. `body` has to
/// catch what would unwind out of it.
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
