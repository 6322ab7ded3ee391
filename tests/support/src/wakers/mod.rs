//! Wakers that call back, or panic.

mod calling;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Wake, Waker};

pub use self::calling::{Call, calling};

thread_local! {
    static HOOK: RefCell<Option<Rc<dyn Fn()>>> = const { RefCell::new(None) };
}

fn call_hook() {
    let hook = HOOK.with_borrow(Clone::clone);
    if let Some(hook) = hook {
        hook();
    }
}

struct ComesBack;

impl Wake for ComesBack {
    fn wake(self: Arc<Self>) {
        call_hook();
    }
}

impl Drop for ComesBack {
    fn drop(&mut self) {
        call_hook();
    }
}

/// Wakers that call the closure when they are woken and when the last of them
/// is dropped, while `body` runs.
pub fn with_hook(hook: impl Fn() + 'static, body: impl FnOnce(&dyn Fn() -> Waker)) {
    HOOK.set(Some(Rc::new(hook)));
    body(&|| Waker::from(Arc::new(ComesBack)));
    HOOK.set(None);
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a waker that panics");
    }
}

/// A waker that panics when it is woken.
pub fn panicking_waker() -> Waker {
    Waker::from(Arc::new(Panics))
}
