//! A closure that is called by a destructor.

/// Calls a closure when it is dropped.
pub(crate) struct OnDrop<F: FnOnce()> {
    call: Option<F>,
}

impl<F: FnOnce()> OnDrop<F> {
    pub(crate) fn new(call: F) -> OnDrop<F> {
        OnDrop { call: Some(call) }
    }
}

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            call();
        }
    }
}
