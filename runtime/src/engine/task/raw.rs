//! The allocation of a task, and the operations that know its future's type.
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

/// What a task ends with.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// A task: the header, then the future or what became of it.
#[repr(C)]
struct TaskCell<F: Future> {
    header: Header,
    stage: UnsafeCell<Stage<F>>,
}

/// Which of the two it is, if any, the flags `LIVE` and `RESULT` say.
#[repr(C)]
union Stage<F: Future> {
    future: ManuallyDrop<F>,
    outcome: ManuallyDrop<Outcome<F::Output>>,
}

/// The most bytes that a future or an output takes in the allocation of its task.
///
/// To spawn and join a task that is ready at once takes 458 instructions if its future
/// has 400 bytes, and 744 if it has 600 and is boxed. A future of that size usually does
/// much more: reading and writing a message takes 270.
const MOST_INLINE: usize = 512;

/// Whether a future or an output of type `T` has an allocation of its own.
const fn is_large<T>() -> bool {
    size_of::<T>() > MOST_INLINE
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
pub(crate) struct Vtable {
    poll: unsafe fn(RawTask) -> bool,
    end: unsafe fn(RawTask, Failure),
    drop_outcome: unsafe fn(RawTask),
    free: unsafe fn(RawTask),
    /// Where the stage is, in bytes from the header.
    stage: usize,
}

impl fmt::Debug for Vtable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vtable").finish_non_exhaustive()
    }
}

/// A pointer to a task. Whether the task is alive is for the holder to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawTask(NonNull<Header>);

impl RawTask {
    /// Allocates a task: live, with a handle, and queued by the flags, though
    /// the caller has yet to put it in the queue and the list.
    ///
    /// A large future has an allocation of its own, which is freed when the task
    /// finishes; so has a large output, which is freed when it is taken. The
    /// task itself is freed with its last reference, and its wakers may be kept
    /// for much longer, for instance by a socket that the task polled.
    #[inline]
    pub(crate) fn new<F: Future>(
        future: F,
        remote: NonNull<Remote>,
        id: Id,
        spawned_at: &'static Location<'static>,
    ) -> RawTask {
        if const { is_large::<F::Output>() } {
            RawTask::allocate(BoxedOutput(Box::pin(future)), remote, id, spawned_at)
        } else if const { is_large::<F>() } {
            RawTask::allocate(Box::pin(future), remote, id, spawned_at)
        } else {
            RawTask::allocate(future, remote, id, spawned_at)
        }
    }

    fn allocate<F: Future>(
        future: F,
        remote: NonNull<Remote>,
        id: Id,
        spawned_at: &'static Location<'static>,
    ) -> RawTask {
        let cell = Box::new(TaskCell {
            header: Header::new(Self::vtable::<F>(), remote, id, spawned_at),
            stage: UnsafeCell::new(Stage {
                future: ManuallyDrop::new(future),
            }),
        });
        // Cast from the pointer to the whole, so that it may reach the stage.
        RawTask(NonNull::from(Box::leak(cell)).cast::<Header>())
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

    /// Whose pointer `pointer` was before.
    #[inline]
    pub(crate) fn from_pointer(pointer: NonNull<Header>) -> RawTask {
        RawTask(pointer)
    }

    #[inline]
    pub(crate) fn pointer(self) -> NonNull<Header> {
        self.0
    }

    /// The header.
    ///
    /// # Safety
    ///
    /// The task is alive for as long as the reference is used, and what is the
    /// owner's is used on the owner's thread only.
    #[inline]
    pub(crate) unsafe fn header<'a>(self) -> &'a Header {
        // SAFETY: the caller's promise. No `&mut Header` is ever formed.
        unsafe { self.0.as_ref() }
    }

    /// Polls the future; true if that was the end, and the outcome is stored.
    /// A panic of the future comes out, and the caller has to
    /// [`end`](RawTask::end) the task.
    ///
    /// # Safety
    ///
    /// The task is `LIVE`, and this is the loop's thread with the task
    /// `RUNNING` by this call alone.
    #[inline]
    pub(crate) unsafe fn poll(self) -> bool {
        // SAFETY: a live task has a header.
        let poll = unsafe { self.header() }.vtable.poll;
        // SAFETY: passed on to the caller.
        unsafe { poll(self) }
    }

    /// Drops the future, and stores `failure` as the outcome, or the panic of
    /// the future's destructor.
    ///
    /// # Safety
    ///
    /// As for [`poll`](RawTask::poll), which may have been left by a panic.
    pub(crate) unsafe fn end(self, failure: Failure) {
        // SAFETY: a live task has a header.
        let end = unsafe { self.header() }.vtable.end;
        // SAFETY: passed on to the caller.
        unsafe { end(self, failure) }
    }

    /// Moves the outcome out.
    ///
    /// # Safety
    ///
    /// `RESULT` was set and the caller has cleared it, on the owner's thread;
    /// `T` is the output of the future that the task was made of.
    #[inline]
    pub(crate) unsafe fn take_outcome<T>(self) -> Outcome<T> {
        // SAFETY: the caller's handle keeps the task.
        let offset = unsafe { self.header() }.vtable.stage;
        // SAFETY: that is where the stage is, inside the allocation.
        let stage = unsafe { self.0.byte_add(offset) };
        if const { is_large::<T>() } {
            // SAFETY: `new` boxed the output, so this is the outcome, which is
            // in place and counts as gone after this.
            let outcome = unsafe { stage.cast::<Outcome<Box<T>>>().read() };
            return outcome.map(|output| *output);
        }
        // SAFETY: the outcome is in place, and counts as gone after this.
        unsafe { stage.cast::<Outcome<T>>().read() }
    }

    /// Drops the outcome, if there is one. A panic of its destructor does not come out:
    /// the panic hook has reported it.
    ///
    /// # Safety
    ///
    /// The task is alive, and stays so meanwhile; this is the owner's thread.
    #[inline]
    pub(crate) unsafe fn discard_outcome(self) {
        // SAFETY: passed on to the caller.
        let header = unsafe { self.header() };
        if header.has(Flags::RESULT) {
            header.clear(Flags::RESULT);
            // SAFETY: `RESULT` was set and is cleared, so the outcome is the caller's.
            unsafe { self.drop_outcome() };
        }
    }

    /// Drops the outcome.
    ///
    /// # Safety
    ///
    /// `RESULT` was set and the caller has cleared it, on the owner's thread.
    #[inline(never)]
    unsafe fn drop_outcome(self) {
        // SAFETY: the caller keeps the task.
        let drop_outcome = unsafe { self.header() }.vtable.drop_outcome;
        // SAFETY: passed on to the caller.
        panics::caught(|| unsafe { drop_outcome(self) });
    }

    /// Gives a reference back, and frees the memory if it was the last.
    ///
    /// # Safety
    ///
    /// The caller owns the reference and does not use the task again.
    #[inline]
    pub(crate) unsafe fn release(self) {
        // SAFETY: the caller's reference keeps the task until here.
        let last = unsafe { self.header() }.state.release();
        if last {
            // SAFETY: nobody else has a reference.
            let free = unsafe { self.header() }.vtable.free;
            // SAFETY: nobody else has a reference; invariant 4, the future and
            // the outcome are gone.
            unsafe { free(self) }
        }
    }

    /// Gives the owner's share back if no flag holds it any more.
    ///
    /// # Safety
    ///
    /// On the owner's thread. The caller has just cleared a flag of
    /// `Flags::OWNED`, and uses the task no more unless a reference of its own
    /// keeps it.
    #[inline]
    pub(crate) unsafe fn disown(self) {
        // SAFETY: the flag that the caller cleared held the task until here.
        if !unsafe { self.header() }.has(Flags::OWNED) {
            // SAFETY: invariant 3, the owner's share is given back once.
            unsafe { self.release() };
        }
    }
}

// SAFETY: the field is the same each time and has no other use.
unsafe impl Node for Header {
    fn link(&self) -> &Link<Header> {
        &self.remote_link
    }
}

/// # Safety
///
/// As for [`RawTask::poll`]; `F` is the task's.
unsafe fn poll<F: Future>(task: RawTask) -> bool {
    // SAFETY: the loop keeps the task during the poll.
    let waker = unsafe { waker::borrowed(task) };
    // SAFETY: the loop keeps the task.
    let future = unsafe { stage::<F>(task) }.cast::<F>();
    // SAFETY: `LIVE`, the future is in place and nobody else looks at it.
    let future = unsafe { &mut *future };
    // SAFETY: invariant 5, it does not move until it is dropped.
    let future = unsafe { Pin::new_unchecked(future) };
    let Poll::Ready(output) = future.poll(&mut Context::from_waker(&waker)) else {
        return false;
    };
    // SAFETY: passed on; the future is in place.
    unsafe { replace::<F>(task, Ok(output)) };
    true
}

/// # Safety
///
/// As for [`RawTask::end`]; `F` is the task's.
unsafe fn end<F: Future>(task: RawTask, failure: Failure) {
    // SAFETY: passed on; the future is in place.
    unsafe { replace::<F>(task, Err(failure)) };
}

/// Drops the future and puts the outcome in its place. A panic of the future's
/// destructor becomes the outcome, unless that is a panic already.
///
/// # Safety
///
/// The future is in place, and nobody else looks at the stage.
unsafe fn replace<F: Future>(task: RawTask, outcome: Outcome<F::Output>) {
    // SAFETY: the loop keeps the task.
    let stage = unsafe { stage::<F>(task) };
    // The stage is empty for a while, which the landing place must not see.
    let guard = AbortOnPanic::begin();
    let dropped = if needs_drop::<F>() {
        catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: the future is in place, and gone after this, panic or not.
            unsafe { stage.cast::<F>().drop_in_place() };
        }))
    } else {
        Ok(())
    };
    let outcome = match dropped {
        Ok(()) => outcome,
        Err(panic) => {
            // SAFETY: the loop keeps the task.
            blame(unsafe { task.header() }, outcome, panic)
        }
    };
    // SAFETY: the stage is empty and ours.
    unsafe { stage.cast::<Outcome<F::Output>>().write(outcome) };
    guard.end();
}

/// The outcome of a task whose future panicked when it was dropped.
#[cold]
fn blame<T>(header: &Header, outcome: Outcome<T>, panic: Box<dyn Any + Send>) -> Outcome<T> {
    if let Err(Failure::Panicked(first)) = outcome {
        panics::discard(panic);
        return Err(Failure::Panicked(first));
    }
    panics::caught(|| drop(outcome));
    let unhandled = remote_of(header).unhandled();
    Err(Failure::panicked(header.meta(), unhandled, panic))
}

/// Drops the outcome; lets a panic of its destructor out.
///
/// # Safety
///
/// `RESULT` was set and the caller has cleared it, on the owner's thread, and keeps the
/// task; `F` is the task's.
unsafe fn drop_outcome<F: Future>(task: RawTask) {
    // SAFETY: the owner's share keeps the task.
    let stage = unsafe { stage::<F>(task) };
    let stage = stage.cast::<Outcome<F::Output>>();
    // SAFETY: the outcome is in place, and ours.
    let failure = unsafe { &mut *stage }.as_mut().err();
    // Not with the whole outcome, which may be too large for the stack.
    let failure = failure.map(|failure| mem::replace(failure, Failure::Cancelled));
    // SAFETY: the outcome is in place, and gone after this, panic or not.
    unsafe { stage.drop_in_place() };
    if let Some(Failure::Panicked(panic)) = failure {
        // SAFETY: the owner's share keeps the task.
        let header = unsafe { task.header() };
        panic.hand_to(remote_of(header));
    }
}

/// What other threads can reach of the task's loop.
fn remote_of(header: &Header) -> &Remote {
    // SAFETY: invariant 6, the task keeps the remote.
    unsafe { header.remote.as_ref() }
}

/// # Safety
///
/// Nobody has a reference to the task, its stage is empty; `F` is the task's.
unsafe fn free<F: Future>(task: RawTask) {
    let remote = {
        // SAFETY: the memory is still there.
        let header = unsafe { task.header() };
        // A waker left by the handle is taken away when the handle goes.
        debug_assert!(!header.has(Flags::RESULT.union(Flags::OWNED)));
        header.remote
    };
    let cell = task.pointer().cast::<TaskCell<F>>();
    // SAFETY: it came from a box in `RawTask::new`, and nobody uses it any more.
    // A union drops nothing of itself.
    drop(unsafe { Box::from_raw(cell.as_ptr()) });
    // SAFETY: the share of the task that has just been freed.
    unsafe { unshare(remote) };
}

/// The place of the future or the outcome, of which both start at its start.
///
/// # Safety
///
/// The task is alive; `F` is the task's.
#[inline]
unsafe fn stage<F: Future>(task: RawTask) -> *mut Stage<F> {
    let cell = task.pointer().cast::<TaskCell<F>>().as_ptr();
    // SAFETY: stays inside the allocation that the pointer is to.
    UnsafeCell::raw_get(unsafe { &raw const (*cell).stage })
}

/// Gives the share of a freed task in its loop's remote back.
///
/// # Safety
///
/// The share was the task's, and the caller does not use the pointer again.
#[inline]
unsafe fn unshare(remote: NonNull<Remote>) {
    let counted = running::with_running(|tasks| tasks.unshare(remote));
    if counted != Some(true) {
        // SAFETY: passed on to the caller.
        unsafe { remote::unshare(remote) };
    }
}
