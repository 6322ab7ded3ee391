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

/// What the owner knows of a task. Only the owner's thread looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flags(u16);

impl Flags {
    /// The task is in the ready queue, which owns its `ready_next`. Set without that in two
    /// cases: before a new task is put in the queue, when its handle keeps it, and while
    /// refused operations are woken before a poll, when `RUNNING` does.
    pub(crate) const QUEUED: Flags = Flags(1 << 0);
    /// The loop is inside the task: it polls the future or the cleanups, or ends the task.
    /// A token of `scheduler::token` stands for this flag.
    pub(crate) const RUNNING: Flags = Flags(1 << 1);
    /// The task has not ended, and is in the list of live tasks. Its future is in place;
    /// while `FLUSHING` is set, its outcome is. Between the two the outcome is stored while
    /// only `LIVE` is set, and an `Ended` of `scheduler::token` says so.
    pub(crate) const LIVE: Flags = Flags(1 << 2);
    /// The task has ended, and its outcome is in place. The caller that clears the flag
    /// takes or drops the outcome. The flag is not set while the task is `FLUSHING`.
    pub(crate) const RESULT: Flags = Flags(1 << 3);
    /// A `JoinHandle` exists.
    pub(crate) const JOINED: Flags = Flags(1 << 4);
    /// The task is to be cancelled when its turn comes.
    pub(crate) const ABORTED: Flags = Flags(1 << 5);
    /// The set has a name for the task.
    pub(crate) const NAMED: Flags = Flags(1 << 6);
    /// The future of `block_on`: the loop stops when it is over.
    pub(crate) const ROOT: Flags = Flags(1 << 7);
    /// The loop's own, which users do not see.
    pub(crate) const HIDDEN: Flags = Flags(1 << 8);
    /// The task is not cancelled when its turn comes, but polled: its future
    /// looks whether it is `ABORTED`, and decides.
    pub(crate) const SHIELDED: Flags = Flags(1 << 9);

    /// The task has dropped a guard or entered a scope, so the set has an state for it. The
    /// flag is never cleared; the state is removed when the task ends.
    pub(crate) const HAS_CLEANUP_STATE: Flags = Flags(1 << 10);
    /// Cleanups wait in the lane of the state.
    pub(crate) const HAS_CLEANUPS: Flags = Flags(1 << 11);
    /// The future was dropped and the outcome stored, but cleanups are left to run. The
    /// task is `LIVE` meanwhile.
    pub(crate) const FLUSHING: Flags = Flags(1 << 12);

    /// Operations of the task found no budget, and are woken when its turn comes.
    pub(crate) const REFUSED: Flags = Flags(1 << 13);
    /// `REFUSED` was set in an earlier poll.
    pub(crate) const REFUSED_BEFORE: Flags = Flags(1 << 14);

    /// What few tasks have, so that the others are asked once.
    pub(crate) const SPECIAL: Flags =
        Flags(Self::NAMED.0 | Self::ROOT.0 | Self::HIDDEN.0 | Self::HAS_CLEANUP_STATE.0);

    /// What keeps a task from simply being polled when its turn comes.
    pub(crate) const SLOW_PATH: Flags =
        Flags(Self::ABORTED.0 | Self::HAS_CLEANUPS.0 | Self::FLUSHING.0 | Self::REFUSED.0);

    /// While one of these is set, the owner's share of the references is held.
    pub(crate) const OWNED: Flags =
        Flags(Self::QUEUED.0 | Self::RUNNING.0 | Self::LIVE.0 | Self::JOINED.0);

    /// Both sets together.
    pub(crate) const fn union(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// This set without `other`.
    #[inline]
    pub(crate) const fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }

    /// Whether any flag of `other` is set.
    #[inline]
    pub(crate) const fn intersects(self, other: Flags) -> bool {
        self.0 & other.0 != 0
    }
}

/// The header of a task. See the [module](super) for who may touch which part.
///
/// What a wake and a poll touch comes first, in half a cache line.
#[repr(C)]
pub(crate) struct Header {
    // Never changes.
    pub(crate) vtable: &'static Vtable,
    pub(crate) remote: NonNull<Remote>,

    // The owner's.
    pub(crate) ready_next: Cell<Option<RawTask>>,
    flags: Cell<Flags>,

    // Everybody's.
    pub(crate) state: TaskState,
    pub(crate) remote_link: Link<Header>,

    // Never changes.
    pub(crate) id: Id,
    pub(crate) spawned_at: &'static Location<'static>,

    // The owner's.
    pub(crate) live_previous: Cell<Option<RawTask>>,
    pub(crate) live_next: Cell<Option<RawTask>>,
    pub(crate) join_waker: WakerCell,
}

impl Header {
    pub(crate) fn new(
        vtable: &'static Vtable,
        remote: NonNull<Remote>,
        id: Id,
        spawned_at: &'static Location<'static>,
    ) -> Header {
        Header {
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

    /// What is known of the task, whose loop is in a turn.
    pub(crate) fn meta(&self) -> TaskMeta {
        running::with_running(|tasks| tasks.meta(self))
            .unwrap_or_else(|| TaskMeta::nameless(self.id, self.spawned_at))
    }

    #[inline]
    pub(crate) fn flags(&self) -> Flags {
        self.flags.get()
    }

    #[inline]
    pub(crate) fn set_flags(&self, flags: Flags) {
        self.flags.set(flags);
    }

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
