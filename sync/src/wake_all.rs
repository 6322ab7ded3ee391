//! [`wake_all`]: waking many waiters, of which some may panic.

use std::panic::resume_unwind;
use std::task::Waker;

use coreloop_runtime::__panics::{catch, discard};

/// Wakes all wakers in order, even if some panic, because nothing else would wake the others.
/// The first panic is resumed afterwards, and the payloads of later ones are dropped.
#[cold]
pub(crate) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    let mut first = None;
    for waker in wakers {
        if let Err(payload) = catch(|| waker.wake()) {
            match first {
                None => first = Some(payload),
                Some(_) => discard(payload),
            }
        }
    }
    if let Some(payload) = first {
        resume_unwind(payload);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{catch_unwind, panic_any};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    use super::*;

    static WOKEN: AtomicU32 = AtomicU32::new(0);

    struct PanickingPayload(u32);

    impl Drop for PanickingPayload {
        fn drop(&mut self) {
            if self.0 > 0 {
                panic_any(Self(self.0 - 1));
            }
        }
    }

    enum TestWaker {
        Counting,
        Panicking(&'static str),
        PanickingTwice,
    }

    impl Wake for TestWaker {
        fn wake(self: Arc<Self>) {
            WOKEN.fetch_add(1, Ordering::Relaxed);
            match *self {
                Self::Counting => {}
                Self::Panicking(message) => panic_any(message),
                Self::PanickingTwice => panic_any(PanickingPayload(2)),
            }
        }
    }

    #[test]
    fn all_are_woken_and_the_first_panic_is_resumed() {
        let wakers = [
            TestWaker::Counting,
            TestWaker::Panicking("first"),
            TestWaker::Panicking("second"),
            TestWaker::PanickingTwice,
            TestWaker::Counting,
        ];
        let wakers = wakers.map(|waker| Waker::from(Arc::new(waker)));
        let payload = catch_unwind(|| wake_all(wakers)).unwrap_err();
        assert_eq!(*payload.downcast::<&str>().unwrap(), "first");
        assert_eq!(WOKEN.load(Ordering::Relaxed), 5);
    }
}
