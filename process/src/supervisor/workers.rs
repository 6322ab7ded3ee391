//! [`Workers`]: how many, and of what kind; [`WorkerOutput`]: where they write.

use std::num::NonZeroU32;
use std::thread;

/// How many workers a supervisor has, and whether each is a process or a thread.
///
/// # Examples
///
/// ```
/// use coreloop::process::{Supervisor, Workers};
///
/// let four = Supervisor::new().workers(Workers::processes(4));
/// # let _ = four;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Workers {
    kind: Kind,
    count: Option<NonZeroU32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Processes,
    Threads,
}

impl Workers {
    /// A process for every core that this one may use, and each on its own.
    #[expect(
        non_upper_case_globals,
        reason = "it reads as the variant that it stands for"
    )]
    pub const PerCore: Workers = Workers {
        kind: Kind::Processes,
        count: None,
    };

    /// So many processes; at least one.
    pub const fn processes(count: u32) -> Workers {
        Workers {
            kind: Kind::Processes,
            count: at_least_one(count),
        }
    }

    /// So many threads of this process, each with a loop of its own; at least one.
    ///
    /// They share an address space, and its fate: what kills one kills all. One
    /// that panics is started again. One that is stuck cannot be killed: it is
    /// reported, and a sibling serves its sockets.
    pub const fn threads(count: u32) -> Workers {
        Workers {
            kind: Kind::Threads,
            count: at_least_one(count),
        }
    }

    pub(super) fn kind(self) -> Kind {
        self.kind
    }

    pub(super) fn count(self) -> u32 {
        let per_core = || {
            let cores = thread::available_parallelism().map_or(1, usize::from);
            u32::try_from(cores).unwrap_or(1)
        };
        self.count.map_or_else(per_core, NonZeroU32::get)
    }

    /// Whether each worker stays on a core of its own, unless the user says.
    pub(super) fn is_pinned(self) -> bool {
        self.count.is_none()
    }
}

const fn at_least_one(count: u32) -> Option<NonZeroU32> {
    match NonZeroU32::new(count) {
        None => Some(NonZeroU32::MIN),
        count => count,
    }
}

/// Where the standard output and standard error of worker processes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WorkerOutput {
    /// Line by line to the master's, each behind the name and number of its worker.
    ///
    /// No line is mixed with another. One longer than 16 KiB is broken, and one
    /// that its worker did not end is ended. If nobody reads the master's output,
    /// the workers go on and what they write is lost; the number of lines that
    /// were is told in their place.
    #[default]
    Prefixed,
    /// They are the master's own.
    Inherited,
}
