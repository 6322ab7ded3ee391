//! The part of a task that does not depend on its future's type.

use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::ptr::NonNull;

use crate::engine::id::Id;
use crate::engine::report::task_meta::TaskMeta;
use crate::engine::task::raw::{RawTask, Vtable};
use crate::engine::task::remote::Remote;
use crate::engine::task::remote::inbox::Link;
use crate::engine::task::running;
use crate::engine::task::state::TaskState;
use crate::engine::waker_cell::WakerCell;

/// What the owner knows of a task. Only the owner reads and writes the flags.
///
/// The [module](super) draws the states that they stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flags(u16);

impl Flags {
    /// The task is in the ready queue, which owns its `ready_next`.
    ///
    /// The flag is set while the task is not in the queue in two cases: on a new task, which
    /// its handle keeps alive until it is put in the queue, and while refused operations are
    /// woken before a poll, when `RUNNING` keeps it alive.
    pub(crate) const QUEUED: Self = Self(1 << 0);
    /// The loop polls the future or the cleanups of the task, or ends the task.
    ///
    /// A token of `scheduler::token` stands for this flag.
    pub(crate) const RUNNING: Self = Self(1 << 1);
    /// The task has not finished, and is in the list of live tasks.
    ///
    /// The stage holds its future or, while `FLUSHING` is set, its outcome. The outcome is
    /// stored before `FLUSHING` is set or `LIVE` is cleared; in between, an `Ended` of
    /// `scheduler::token` stands for the task.
    pub(crate) const LIVE: Self = Self(1 << 2);
    /// The task has finished, and its outcome may be taken. The code that clears the flag
    /// takes or drops the outcome.
    ///
    /// The flag is not set while the task is `FLUSHING`, although the stage holds the outcome.
    pub(crate) const RESULT: Self = Self(1 << 3);
    /// The task has a `JoinHandle`, or its handle was dropped and the outcome waits in the
    /// module `nesting` to be dropped.
    pub(crate) const JOINED: Self = Self(1 << 4);
    /// The task was aborted, and will be cancelled when it next runs, unless it
    /// `DECIDES_ABORT`.
    pub(crate) const ABORTED: Self = Self(1 << 5);
    /// The scheduler has a name for the task.
    pub(crate) const NAMED: Self = Self(1 << 6);
    /// The task is the future of `block_on`: the loop stops when the task has finished.
    pub(crate) const ROOT: Self = Self(1 << 7);
    /// The task belongs to the loop itself: it is neither reported nor counted as alive.
    pub(crate) const HIDDEN: Self = Self(1 << 8);
    /// The future decides what an abort does. While the task is `ABORTED` it is polled, and
    /// not cancelled; it takes the abort by `Scheduler::take_abort`.
    pub(crate) const DECIDES_ABORT: Self = Self(1 << 9);

    /// The scheduler has a `CleanupState` for the task, because the task has dropped an
    /// `AsyncGuard` or has asked for its cancel node, as a scope does. A task that only holds
    /// guards does not have the flag.
    ///
    /// The flag is never cleared. The state is removed when the task finishes.
    pub(crate) const HAS_CLEANUP_STATE: Self = Self(1 << 10);
    /// There are cleanups in the queue of the task's `CleanupState`.
    pub(crate) const HAS_CLEANUPS: Self = Self(1 << 11);
    /// The future has been dropped and the outcome stored, but cleanups are left to run. The
    /// task stays `LIVE` until they have finished.
    pub(crate) const FLUSHING: Self = Self(1 << 12);

    /// Operations of the task were refused for lack of budget. Their wakers are kept, and
    /// are woken when the task next runs, before it is polled.
    pub(crate) const REFUSED: Self = Self(1 << 13);
    /// `REFUSED` was set in an earlier poll of the task.
    pub(crate) const REFUSED_BEFORE: Self = Self(1 << 14);

    /// The flags that few tasks have and that need work when a task finishes. For all other
    /// tasks one test is enough.
    pub(crate) const SPECIAL: Self =
        Self(Self::NAMED.0 | Self::ROOT.0 | Self::HIDDEN.0 | Self::HAS_CLEANUP_STATE.0);

    /// The flags of a task whose next run is more than a poll of its future.
    pub(crate) const SLOW_PATH: Self =
        Self(Self::ABORTED.0 | Self::HAS_CLEANUPS.0 | Self::FLUSHING.0 | Self::REFUSED.0);

    /// While any of these is set, the owner's reference is held (invariant 3 of the module).
    pub(crate) const OWNED: Self =
        Self(Self::QUEUED.0 | Self::RUNNING.0 | Self::LIVE.0 | Self::JOINED.0);

    /// Returns the flags that are in either set.
    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns the flags of this set that are not in `other`.
    #[inline]
    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Returns whether the sets have any flag in common.
    #[inline]
    pub(crate) const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// The header of a task. See the [module](super) for who may touch which field.
///
/// The fields that a wake and a poll touch come first, in half a cache line.
#[repr(C)]
pub(crate) struct Header {
    // These never change.
    pub(super) vtable: &'static Vtable,
    pub(super) remote: NonNull<Remote>,

    // For the owner only.
    pub(super) ready_next: Cell<Option<RawTask>>,
    flags: Cell<Flags>,

    // For any thread.
    pub(super) state: TaskState,
    pub(super) remote_link: Link<Self>,

    // These never change.
    pub(crate) id: Id,
    pub(super) spawned_at: &'static Location<'static>,

    // For the owner only.
    pub(super) live_previous: Cell<Option<RawTask>>,
    pub(super) live_next: Cell<Option<RawTask>>,
    pub(super) join_waker: WakerCell,
}

impl Header {
    pub(super) fn new(
        vtable: &'static Vtable,
        remote: NonNull<Remote>,
        id: Id,
        spawned_at: &'static Location<'static>,
    ) -> Self {
        Self {
            vtable,
            remote,
            id,
            spawned_at,
            ready_next: Cell::new(None),
            live_previous: Cell::new(None),
            live_next: Cell::new(None),
            join_waker: WakerCell::default(),
            remote_link: Link::default(),
            state: TaskState::new(),
            flags: Cell::new(Flags::LIVE.union(Flags::JOINED).union(Flags::QUEUED)),
        }
    }

    /// Returns a description of the task. It lacks the name unless the task's loop is inside
    /// a turn on this thread.
    pub(super) fn meta(&self) -> TaskMeta {
        running::with_running(|tasks| tasks.meta(self))
            .unwrap_or_else(|| TaskMeta::nameless(self.id, self.spawned_at))
    }

    #[inline]
    pub(super) fn flags(&self) -> Flags {
        self.flags.get()
    }

    #[inline]
    pub(super) fn set_flags(&self, flags: Flags) {
        self.flags.set(flags);
    }

    /// Returns whether any flag of `flag` is set.
    #[inline]
    pub(crate) fn has(&self, flag: Flags) -> bool {
        self.flags.get().intersects(flag)
    }

    #[inline]
    pub(crate) fn set(&self, flag: Flags) {
        self.flags.set(self.flags.get().union(flag));
    }

    #[inline]
    pub(crate) fn clear(&self, flag: Flags) {
        self.flags.set(self.flags.get().without(flag));
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
