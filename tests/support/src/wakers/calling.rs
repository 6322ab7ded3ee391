//! [`calling`], a foreign waker that calls a closure.
#![expect(
    unsafe_code,
    reason = "`Wake` has no say in how a waker is cloned or dropped"
)]

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{RawWaker, RawWakerVTable, Waker};

/// The functions of a waker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Clone,
    Wake,
    Drop,
}

/// The closure of a waker.
type Callback = Rc<RefCell<dyn FnMut(Call)>>;

/// Returns a waker that passes each call, of itself or of a clone, to `callback`. Calls that
/// `callback` makes itself are not passed.
///
/// The waker is for one thread: tests must not send it to another.
pub fn calling(callback: impl FnMut(Call) + 'static) -> Waker {
    let callback: Callback = Rc::new(RefCell::new(callback));
    // SAFETY: the functions of `VTABLE` keep the contract of `RawWaker`, except that the waker
    // must stay on its thread, which the callers of this function guarantee.
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
/// `data` is the data of a waker that was created here.
unsafe fn callback(data: *const ()) -> Callback {
    // SAFETY: `data` came from a box in `raw`, which the waker keeps alive.
    let callback = unsafe { &*data.cast::<Callback>() };
    Rc::clone(callback)
}

fn report(callback: &Callback, call: Call) {
    if let Ok(mut callback) = callback.try_borrow_mut() {
        callback(call);
    }
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: the waker that is cloned keeps the box alive.
    let callback = unsafe { callback(data) };
    report(&callback, Call::Clone);
    raw(callback)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: `data` came from a box in `raw`, and is not used again.
    let callback = unsafe { Box::from_raw(data.cast_mut().cast::<Callback>()) };
    report(&callback, Call::Wake);
    report(&callback, Call::Drop);
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: the waker keeps the box alive.
    let callback = unsafe { callback(data) };
    report(&callback, Call::Wake);
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: `data` came from a box in `raw`, and is not used again.
    let callback = unsafe { Box::from_raw(data.cast_mut().cast::<Callback>()) };
    report(&callback, Call::Drop);
}
