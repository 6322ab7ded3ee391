//! The wakers of tasks, which may be used on any thread.
//!
//! A wake on the owner's thread, inside a turn of its loop, is a push on the ready queue. Any
//! other wake is a push on the inbox.
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

/// One table for all tasks, so that [`recognise`] and `Waker::will_wake` can compare
/// addresses.
static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

/// A waker that owns no reference, because something else keeps the task for `'a`.
pub(crate) struct Borrowed<'a> {
    waker: ManuallyDrop<Waker>,
    keeper: PhantomData<&'a ()>,
}

/// Returns a waker of `task` that owns no reference.
///
/// # Safety
///
/// The task is alive for `'a`.
#[inline]
pub(super) unsafe fn borrowed<'a>(task: RawTask) -> Borrowed<'a> {
    Borrowed {
        // SAFETY: the functions fulfil the contract of `RawWaker`: they may be called on any
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

/// Returns the task that `waker` wakes, or `None` if it is not the waker of a task. The waker
/// keeps the task alive. The task may belong to any loop.
#[inline]
pub(crate) fn recognise(waker: &Waker) -> Option<RawTask> {
    // SAFETY: the waker has our vtable, so its data is a task. Unsafe code that makes another
    // waker with this vtable has to fulfil the contract of its functions.
    ptr::eq(waker.vtable(), &raw const VTABLE).then(|| unsafe { raw(waker.data()) })
}

/// Returns whether the task that `waker` wakes has finished, or `None` if it is not the waker
/// of a task.
pub(crate) fn has_finished(waker: &Waker) -> Option<bool> {
    // SAFETY: the waker keeps the task, and any thread may read its state.
    recognise(waker).map(|task| unsafe { task.header() }.state.is_done())
}

/// Returns the task of which `data` is the data of a waker.
///
/// # Safety
///
/// `data` comes from `raw_waker`.
#[inline]
unsafe fn raw(data: *const ()) -> RawTask {
    let pointer = data.cast_mut().cast::<Header>();
    // SAFETY: `raw_waker` made it from a `NonNull`.
    RawTask::from_pointer(unsafe { NonNull::new_unchecked(pointer) })
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: the waker that is being cloned keeps the task.
    let task = unsafe { raw(data) };
    // SAFETY: likewise.
    unsafe { task.header() }.state.acquire();
    raw_waker(task)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: the waker keeps the task until its reference is given back.
    unsafe { wake_by_ref(data) };
    // SAFETY: `wake` consumes the waker, and so its reference.
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
    // SAFETY: the waker's reference, which is not used again.
    unsafe { task.release() };
}

/// Wakes the task, or aborts it if `abort`. May be called on any thread.
///
/// # Safety
///
/// The caller holds a reference to the task.
#[inline]
pub(super) unsafe fn notify(task: RawTask, abort: bool) {
    // SAFETY: the caller's reference keeps the task, and any thread may read `remote`.
    let remote = unsafe { task.header() }.remote;
    let here = running::with_running(|tasks| {
        if tasks.owns(remote) {
            // SAFETY: the caller's reference keeps the task, and this is the owner's thread.
            unsafe { tasks.make_ready(task, abort) };
            true
        } else {
            false
        }
    });
    if here != Some(true) {
        // SAFETY: passed on to the caller.
        unsafe { schedule_remote(task, abort) };
    }
}

/// Puts the task in the inbox of its loop, unless it is there or has finished.
///
/// # Safety
///
/// The caller holds a reference to the task.
#[cold]
unsafe fn schedule_remote(task: RawTask, abort: bool) {
    // SAFETY: the caller's reference keeps the task.
    let header = unsafe { task.header() };
    if header.state.schedule_remote(abort) == ScheduleRemote::NothingToDo {
        return;
    }
    // SAFETY: invariant 6, the task keeps its `Remote`.
    let remote = unsafe { header.remote.as_ref() };
    // SAFETY: `schedule_remote` has just claimed the link and a reference for the inbox.
    if let Err(task) = unsafe { remote.post(task) } {
        // The loop has shut down, which ends all tasks: there is nothing to wake.
        header.state.clear_in_inbox();
        // SAFETY: the reference that was taken for the inbox.
        unsafe { task.release() };
    }
}
