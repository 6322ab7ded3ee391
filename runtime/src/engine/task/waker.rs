//! Wakers: safe to use on any thread, and a push on a list on their own.
#![expect(
    unsafe_code,
    reason = "the vtable of the wakers; see the invariants of `task`"
)]

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::task::{RawWaker, RawWakerVTable, Waker};

use crate::engine::task::header::Header;
use crate::engine::task::raw::RawTask;
use crate::engine::task::running;
use crate::engine::task::state::ScheduleRemote;

/// One for all tasks, so that `Waker::will_wake` can compare addresses.
static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

/// A waker that owns no reference, because something else keeps the task meanwhile.
pub(crate) struct Borrowed<'a> {
    waker: ManuallyDrop<Waker>,
    keeper: PhantomData<&'a ()>,
}

/// A waker of a task that is kept for as long as the result is used.
///
/// # Safety
///
/// The task is alive for `'a`.
#[inline]
pub(crate) unsafe fn borrowed<'a>(task: RawTask) -> Borrowed<'a> {
    Borrowed {
        // SAFETY: the functions keep the contract of `RawWaker`: they may be called on any
        // thread (invariant 1), and the data is a task that the caller keeps alive. The
        // waker is never dropped, and so gives no reference back.
        waker: ManuallyDrop::new(unsafe { Waker::from_raw(raw_waker(task)) }),
        keeper: PhantomData,
    }
}

impl Deref for Borrowed<'_> {
    type Target = Waker;

    #[inline]
    fn deref(&self) -> &Waker {
        &self.waker
    }
}

#[inline]
fn raw_waker(task: RawTask) -> RawWaker {
    RawWaker::new(task.pointer().as_ptr().cast_const().cast::<()>(), &VTABLE)
}

/// The task that `waker` wakes, if it is a waker of ours. It is alive while the
/// waker is.
#[inline]
pub(crate) fn recognise(waker: &Waker) -> Option<RawTask> {
    // SAFETY: the vtable is ours, so the data is a task of ours: whoever takes
    // the vtable of a waker to make another has to keep its contract.
    ptr::eq(waker.vtable(), &raw const VTABLE).then(|| unsafe { raw(waker.data()) })
}

/// Whether the task has finished that `waker` wakes; nothing if it is not a waker
/// of ours.
pub(crate) fn has_finished(waker: &Waker) -> Option<bool> {
    // SAFETY: the waker keeps the task, and every thread may read its state.
    recognise(waker).map(|task| unsafe { task.header() }.state.is_done())
}

/// # Safety
///
/// `data` is that of a waker of ours.
#[inline]
unsafe fn raw(data: *const ()) -> RawTask {
    let pointer = data.cast_mut().cast::<Header>();
    // SAFETY: it was made of a `NonNull` in `raw_waker`.
    RawTask::from_pointer(unsafe { NonNull::new_unchecked(pointer) })
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: the waker that is cloned keeps the task.
    let task = unsafe { raw(data) };
    // SAFETY: likewise.
    unsafe { task.header() }.state.acquire();
    raw_waker(task)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: the waker keeps the task until its reference is given back.
    unsafe { wake_by_ref(data) };
    // SAFETY: `wake` takes the waker, and so its reference.
    unsafe { drop_waker(data) };
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: the waker keeps the task.
    let task = unsafe { raw(data) };
    // SAFETY: likewise.
    unsafe { notify(task, false) };
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: the waker keeps the task.
    let task = unsafe { raw(data) };
    // SAFETY: the waker's reference, which nobody uses again.
    unsafe { task.release() };
}

/// Makes the task run, or end if `abort`, wherever the caller is.
///
/// # Safety
///
/// The caller holds a reference to the task.
#[inline]
pub(crate) unsafe fn notify(task: RawTask, abort: bool) {
    // SAFETY: the caller's reference keeps the task; `remote` never changes.
    let remote = unsafe { task.header() }.remote;
    let here = running::with_running(|tasks| {
        if tasks.owns(remote) {
            // SAFETY: the caller's reference keeps the task, and this is the
            // thread of the loop that owns it.
            unsafe { tasks.make_ready(task, abort) };
            true
        } else {
            false
        }
    });
    if here != Some(true) {
        // SAFETY: passed on to the caller.
        unsafe { post(task, abort) };
    }
}

/// Leaves the task in the inbox of its loop.
///
/// # Safety
///
/// The caller holds a reference to the task.
#[cold]
unsafe fn post(task: RawTask, abort: bool) {
    // SAFETY: the caller's reference keeps the task.
    let header = unsafe { task.header() };
    if header.state.schedule_remote(abort) == ScheduleRemote::AlreadyScheduled {
        return;
    }
    // SAFETY: invariant 6, the task keeps the remote.
    let remote = unsafe { header.remote.as_ref() };
    // SAFETY: the link and a reference for the inbox were claimed just now.
    if let Err(task) = unsafe { remote.post(task) } {
        // The loop is gone, and the task over: there is nothing to wake.
        header.state.clear_scheduled();
        // SAFETY: the reference that was meant for the inbox.
        unsafe { task.release() };
    }
}
