//! Wakers of no task: that of a foreign executor, and those that call back.
#![expect(
    unsafe_code,
    reason = "`Wake` has no say in how a waker is cloned or dropped"
)]

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{RawWaker, RawWakerVTable, Waker};

/// What a waker may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Clone,
    Wake,
    Drop,
}

/// What is called.
type Callback = Rc<RefCell<dyn FnMut(Call)>>;

/// A waker that tells `callback` of each call, by whatever is left of it. A call
/// from within a call is not told.
///
/// It is for one thread: tests must not send it away.
pub fn calling(callback: impl FnMut(Call) + 'static) -> Waker {
    let callback: Callback = Rc::new(RefCell::new(callback));
    // SAFETY: the functions of `VTABLE` keep the contract of `RawWaker`, except
    // that the waker must stay on its thread, as it does in these tests.
    unsafe { Waker::from_raw(raw(callback)) }
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

fn raw(callback: Callback) -> RawWaker {
    // Boxed, as a pointer to a trait object does not fit.
    RawWaker::new(
        Box::into_raw(Box::new(callback)).cast_const().cast(),
        &VTABLE,
    )
}

/// # Safety
///
/// `data` is that of a waker made here.
unsafe fn callback(data: *const ()) -> Callback {
    // SAFETY: it came from a box in `raw`, which the waker keeps.
    let callback = unsafe { &*data.cast::<Callback>() };
    Rc::clone(callback)
}

fn tell(callback: &Callback, call: Call) {
    if let Ok(mut callback) = callback.try_borrow_mut() {
        callback(call);
    }
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: the waker that is cloned keeps it.
    let callback = unsafe { callback(data) };
    tell(&callback, Call::Clone);
    raw(callback)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: it came from a box in `raw`, and nobody uses it again.
    let callback = unsafe { Box::from_raw(data.cast_mut().cast::<Callback>()) };
    tell(&callback, Call::Wake);
    tell(&callback, Call::Drop);
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: the waker keeps it.
    let callback = unsafe { callback(data) };
    tell(&callback, Call::Wake);
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: it came from a box in `raw`, and nobody uses it again.
    let callback = unsafe { Box::from_raw(data.cast_mut().cast::<Callback>()) };
    tell(&callback, Call::Drop);
}
