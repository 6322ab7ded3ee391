//! [`RawTask`]: the allocation of a task, and the operations that know its future's type.
#![expect(
    unsafe_code,
    reason = "the erased allocation of a task; see the invariants of `task`"
)]

use std::any::Any;
use std::cell::UnsafeCell;
use std::fmt;
use std::mem::{self, ManuallyDrop, needs_drop, offset_of};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};

use crate::engine::id::Id;
use crate::engine::panics::{self, AbortOnPanic};
use crate::engine::task::error::Failure;
use crate::engine::task::header::{Flags, Header};
use crate::engine::task::remote::inbox::{Link, Node};
use crate::engine::task::remote::{self, Remote};
use crate::engine::task::{running, waker};

/// The output of a task, or why it has none.
pub(super) type Outcome<T> = Result<T, Failure>;

/// The allocation of a task: the header, then the stage.
#[repr(C)]
struct TaskCell<F: Future> {
    header: Header,
    stage: UnsafeCell<Stage<F>>,
}

/// The future or the outcome of a task, or neither. The flags determine which (invariant 4).
#[repr(C)]
union Stage<F: Future> {
    future: ManuallyDrop<F>,
    outcome: ManuallyDrop<Outcome<F::Output>>,
}

/// The maximum size in bytes of a future or an output that is stored in the task's own
/// allocation.
///
/// To spawn and join a task that is ready at once takes 458 instructions if its future
/// has 400 bytes, and 744 if it has 600 and is boxed. A future of that size usually does
/// much more: reading and writing a message takes 270.
const MAX_INLINE: usize = 512;

/// Returns whether a future or an output of type `T` has an allocation of its own.
const fn is_large<T>() -> bool {
    size_of::<T>() > MAX_INLINE
}

/// A future whose output is too large for the allocation of its task.
struct BoxedOutput<F>(Pin<Box<F>>);

impl<F: Future> Future for BoxedOutput<F> {
    type Output = Box<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Box<F::Output>> {
        self.0.as_mut().poll(cx).map(Box::new)
    }
}

/// The operations that know the type of the future.
pub(super) struct Vtable {
    poll: unsafe fn(RawTask) -> bool,
    end: unsafe fn(RawTask, Failure),
    drop_outcome: unsafe fn(RawTask),
    free: unsafe fn(RawTask),
    /// The offset of the stage from the header, in bytes.
    stage: usize,
}

impl fmt::Debug for Vtable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vtable").finish_non_exhaustive()
    }
}

/// A pointer to a task. It owns no reference: its user has to know that the task is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawTask(NonNull<Header>);

impl RawTask {
    /// Allocates a task with one reference, the owner's. Its flags are `LIVE`, `JOINED` and
    /// `QUEUED`, although the caller has yet to put it in the queue and the list.
    ///
    /// A large future has an allocation of its own, which is freed when the outcome is
    /// stored, and a large output has one that is freed when the output is taken. The task
    /// itself is freed with its last reference, which may be much later: wakers may be kept,
    /// for instance by a socket that the task polled.
    #[inline]
    pub(super) fn new<F: Future>(
        future: F,
        remote: NonNull<Remote>,
        id: Id,
        spawned_at: &'static Location<'static>,
    ) -> Self {
        if const { is_large::<F::Output>() } {
            Self::allocate(BoxedOutput(Box::pin(future)), remote, id, spawned_at)
        } else if const { is_large::<F>() } {
            Self::allocate(Box::pin(future), remote, id, spawned_at)
        } else {
            Self::allocate(future, remote, id, spawned_at)
        }
    }

    fn allocate<F: Future>(
        future: F,
        remote: NonNull<Remote>,
        id: Id,
        spawned_at: &'static Location<'static>,
    ) -> Self {
        let cell = Box::new(TaskCell {
            header: Header::new(Self::vtable::<F>(), remote, id, spawned_at),
            stage: UnsafeCell::new(Stage {
                future: ManuallyDrop::new(future),
            }),
        });
        // Cast from a pointer to the whole cell, so that it may be used for the stage too.
        Self(NonNull::from(Box::leak(cell)).cast::<Header>())
    }

    const fn vtable<F: Future>() -> &'static Vtable {
        &Vtable {
            poll: poll::<F>,
            end: end::<F>,
            drop_outcome: drop_outcome::<F>,
            free: free::<F>,
            stage: offset_of!(TaskCell<F>, stage),
        }
    }

    /// Returns the task that [`pointer`](RawTask::pointer) was called on.
    #[inline]
    pub(super) fn from_pointer(pointer: NonNull<Header>) -> Self {
        Self(pointer)
    }

    #[inline]
    pub(crate) fn pointer(self) -> NonNull<Header> {
        self.0
    }

    /// Returns the header.
    ///
    /// # Safety
    ///
    /// The task is alive for as long as the reference is used, and fields that are for the
    /// owner only are used on the owner's thread only.
    #[inline]
    pub(super) unsafe fn header<'a>(self) -> &'a Header {
        // SAFETY: the caller's promise. No `&mut Header` is ever formed.
        unsafe { self.0.as_ref() }
    }

    /// Polls the future. Returns whether it was ready; then the outcome is stored.
    ///
    /// A panic of the future propagates, and the caller then has to [`end`](RawTask::end)
    /// the task.
    ///
    /// # Safety
    ///
    /// On the owner's thread. The future is in place, and the task is `RUNNING` for this call
    /// alone.
    #[inline]
    pub(super) unsafe fn poll(self) -> bool {
        // SAFETY: a live task has a header.
        let poll = unsafe { self.header() }.vtable.poll;
        // SAFETY: passed on to the caller.
        unsafe { poll(self) }
    }

    /// Drops the future, and stores `failure` as the outcome, or the panic of the future's
    /// destructor unless `failure` is a panic already.
    ///
    /// # Safety
    ///
    /// The same as for [`poll`](RawTask::poll). A poll may have panicked before.
    pub(super) unsafe fn end(self, failure: Failure) {
        // SAFETY: a live task has a header.
        let end = unsafe { self.header() }.vtable.end;
        // SAFETY: passed on to the caller.
        unsafe { end(self, failure) }
    }

    /// Moves the outcome out of the stage.
    ///
    /// # Safety
    ///
    /// On the owner's thread. `RESULT` was set and the caller has cleared it; `T` is the
    /// output of the future that the task was made of.
    #[inline]
    pub(super) unsafe fn take_outcome<T>(self) -> Outcome<T> {
        // SAFETY: the caller's handle keeps the task.
        let offset = unsafe { self.header() }.vtable.stage;
        // SAFETY: the stage is at this offset, inside the allocation.
        let stage = unsafe { self.0.byte_add(offset) };
        if const { is_large::<T>() } {
            // SAFETY: `new` boxed the output, so the outcome is of this type. It is in
            // place, and is not used in the stage again.
            let outcome = unsafe { stage.cast::<Outcome<Box<T>>>().read() };
            return outcome.map(|output| *output);
        }
        // SAFETY: the outcome is in place, and is not used in the stage again.
        unsafe { stage.cast::<Outcome<T>>().read() }
    }

    /// Drops the outcome, if `RESULT` is set. A panic of its destructor is caught, after the
    /// panic hook has reported it.
    ///
    /// # Safety
    ///
    /// On the owner's thread. The task is alive until this returns.
    #[inline]
    pub(super) unsafe fn discard_outcome(self) {
        // SAFETY: passed on to the caller.
        let header = unsafe { self.header() };
        if header.has(Flags::RESULT) {
            header.clear(Flags::RESULT);
            // SAFETY: `RESULT` was set and is cleared, so the outcome is the caller's.
            unsafe { self.drop_outcome() };
        }
    }

    /// Drops the outcome, and catches a panic of its destructor.
    ///
    /// # Safety
    ///
    /// On the owner's thread. `RESULT` was set and the caller has cleared it.
    #[inline(never)]
    unsafe fn drop_outcome(self) {
        // SAFETY: the caller keeps the task.
        let drop_outcome = unsafe { self.header() }.vtable.drop_outcome;
        // SAFETY: passed on to the caller.
        panics::caught(|| unsafe { drop_outcome(self) });
    }

    /// Gives a reference back, and frees the task if it was the last.
    ///
    /// # Safety
    ///
    /// The caller owns the reference and does not use the task again.
    #[inline]
    pub(super) unsafe fn release(self) {
        // SAFETY: the caller's reference keeps the task until here.
        let last = unsafe { self.header() }.state.release();
        if last {
            // SAFETY: this was the last reference, so the task is freed only below.
            let free = unsafe { self.header() }.vtable.free;
            // SAFETY: there is no other reference; by invariant 4 the stage is empty.
            unsafe { free(self) }
        }
    }

    /// Gives the owner's reference back if no flag holds it any more.
    ///
    /// # Safety
    ///
    /// On the owner's thread. The caller has just cleared a flag of `Flags::OWNED`, and does
    /// not use the task again unless another reference keeps it.
    #[inline]
    pub(super) unsafe fn disown(self) {
        // SAFETY: the flag that the caller cleared held the task until here.
        if !unsafe { self.header() }.has(Flags::OWNED) {
            // SAFETY: invariant 3, the owner's reference is given back once.
            unsafe { self.release() };
        }
    }
}

// SAFETY: it is the same field each time, and only the inbox uses it.
unsafe impl Node for Header {
    fn link(&self) -> &Link<Self> {
        &self.remote_link
    }
}

/// # Safety
///
/// The same as for [`RawTask::poll`]; `F` is the type of the task's future.
unsafe fn poll<F: Future>(task: RawTask) -> bool {
    // SAFETY: `RUNNING` keeps the task during the poll.
    let waker = unsafe { waker::borrowed(task) };
    // SAFETY: `RUNNING` keeps the task.
    let future = unsafe { stage::<F>(task) }.cast::<F>();
    // SAFETY: the future is in place, and only this call touches the stage.
    let future = unsafe { &mut *future };
    // SAFETY: invariant 5, the future does not move until it is dropped.
    let future = unsafe { Pin::new_unchecked(future) };
    let Poll::Ready(output) = future.poll(&mut Context::from_waker(&waker)) else {
        return false;
    };
    // SAFETY: passed on to the caller; the future is in place.
    unsafe { replace::<F>(task, Ok(output)) };
    true
}

/// # Safety
///
/// The same as for [`RawTask::end`]; `F` is the type of the task's future.
unsafe fn end<F: Future>(task: RawTask, failure: Failure) {
    // SAFETY: passed on to the caller; the future is in place.
    unsafe { replace::<F>(task, Err(failure)) };
}

/// Drops the future and stores the outcome in its place. A panic of the future's destructor
/// becomes the outcome, unless that is a panic already.
///
/// # Safety
///
/// On the owner's thread. The future is in place, and only this call touches the stage; `F`
/// is the type of the task's future.
unsafe fn replace<F: Future>(task: RawTask, outcome: Outcome<F::Output>) {
    // SAFETY: `RUNNING` keeps the task.
    let stage = unsafe { stage::<F>(task) };
    // The stage is empty from the drop to the write. `Scheduler::fail_current`, which would
    // take it for a future, must not run in between.
    let guard = AbortOnPanic::begin();
    let dropped = if needs_drop::<F>() {
        catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: the future is in place. It is not used again, even if this panics.
            unsafe { stage.cast::<F>().drop_in_place() };
        }))
    } else {
        Ok(())
    };
    let outcome = match dropped {
        Ok(()) => outcome,
        Err(panic) => {
            // SAFETY: `RUNNING` keeps the task.
            outcome_after_drop_panic(unsafe { task.header() }, outcome, panic)
        }
    };
    // SAFETY: the stage is empty, and only this call touches it.
    unsafe { stage.cast::<Outcome<F::Output>>().write(outcome) };
    guard.end();
}

/// Returns the outcome of a task that would have ended with `outcome`, but whose future
/// panicked when it was dropped.
#[cold]
fn outcome_after_drop_panic<T>(
    header: &Header,
    outcome: Outcome<T>,
    panic: Box<dyn Any + Send>,
) -> Outcome<T> {
    if let Err(Failure::Panicked(first)) = outcome {
        panics::discard(panic);
        return Err(Failure::Panicked(first));
    }
    panics::caught(|| drop(outcome));
    let unhandled = remote_of(header).unhandled();
    Err(Failure::panicked(header.meta(), unhandled, panic))
}

/// Drops the outcome. A panic of its destructor propagates; the panic of a task that was not
/// joined goes to the loop as unhandled.
///
/// # Safety
///
/// On the owner's thread. `RESULT` was set and the caller has cleared it, and keeps the task
/// alive; `F` is the type of the task's future.
unsafe fn drop_outcome<F: Future>(task: RawTask) {
    // SAFETY: the owner's share keeps the task.
    let stage = unsafe { stage::<F>(task) };
    let stage = stage.cast::<Outcome<F::Output>>();
    // SAFETY: the outcome is in place, and belongs to this call.
    let failure = unsafe { &mut *stage }.as_mut().err();
    // Only the failure is moved out, as the whole outcome may be too large for the stack.
    let failure = failure.map(|failure| mem::replace(failure, Failure::Cancelled));
    // SAFETY: the outcome is in place. It is not used again, even if this panics.
    unsafe { stage.drop_in_place() };
    if let Some(Failure::Panicked(panic)) = failure {
        // SAFETY: the owner's share keeps the task.
        let header = unsafe { task.header() };
        panic.hand_to(remote_of(header));
    }
}

/// Returns the part of the task's loop that other threads may touch.
fn remote_of(header: &Header) -> &Remote {
    // SAFETY: invariant 6, the task keeps the remote.
    unsafe { header.remote.as_ref() }
}

/// Frees the memory of a task.
///
/// # Safety
///
/// There is no reference to the task, and its stage is empty; `F` is the type of the task's
/// future.
unsafe fn free<F: Future>(task: RawTask) {
    let remote = {
        // SAFETY: the memory is still there.
        let header = unsafe { task.header() };
        // The join waker is gone too, because the handle takes it out when it is dropped.
        debug_assert!(!header.has(Flags::RESULT.union(Flags::OWNED)));
        header.remote
    };
    let cell = task.pointer().cast::<TaskCell<F>>();
    // SAFETY: the cell came from a box in `RawTask::new`, and is not used again. Dropping
    // the stage, a union, drops neither of its fields.
    drop(unsafe { Box::from_raw(cell.as_ptr()) });
    // SAFETY: the share of the task that has just been freed.
    unsafe { unshare(remote) };
}

/// Returns a pointer to the stage, at whose start both the future and the outcome are.
///
/// # Safety
///
/// The task is alive; `F` is the type of the task's future.
#[inline]
unsafe fn stage<F: Future>(task: RawTask) -> *mut Stage<F> {
    let cell = task.pointer().cast::<TaskCell<F>>().as_ptr();
    // SAFETY: the field is inside the allocation that the pointer points to.
    UnsafeCell::raw_get(unsafe { &raw const (*cell).stage })
}

/// Gives back the share of a freed task in its loop's `Remote`.
///
/// # Safety
///
/// The share belonged to the task, and the caller does not use the pointer again.
#[inline]
unsafe fn unshare(remote: NonNull<Remote>) {
    let counted = running::with_running(|tasks| tasks.unshare(remote));
    if counted != Some(true) {
        // SAFETY: passed on to the caller.
        unsafe { remote::unshare(remote) };
    }
}
