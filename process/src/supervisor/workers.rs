//! [`Workers`], the number and kind of the workers, and [`WorkerOutput`], where their
//! output goes.

use std::num::NonZeroU32;
use std::thread;

/// The number of workers of a supervisor, and whether each is a process or a thread.
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
    kind: WorkerKind,
    count: Option<NonZeroU32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WorkerKind {
    Processes,
    Threads,
}

impl Workers {
    /// One process for each core that this process may use, pinned to that core.
    ///
    /// If this process may use less time than its cores have, as by a limit of its container,
    /// there is one process for each core's worth of time, and none is pinned: other programs
    /// with such a limit would be pinned to the same cores, and the others would be idle.
    #[expect(non_upper_case_globals, reason = "it reads like a variant of an enum")]
    pub const PerCore: Self = Self {
        kind: WorkerKind::Processes,
        count: None,
    };

    /// Creates `count` processes, but at least one.
    pub const fn processes(count: u32) -> Self {
        Self {
            kind: WorkerKind::Processes,
            count: at_least_one(count),
        }
    }

    /// Creates `count` threads of this process, but at least one, each with its own loop.
    ///
    /// They share an address space and its fate: a crash of one ends all. A thread that
    /// panics is started again. A thread that is stuck cannot be killed: it is reported,
    /// and another worker serves its sockets.
    pub const fn threads(count: u32) -> Self {
        Self {
            kind: WorkerKind::Threads,
            count: at_least_one(count),
        }
    }

    /// The number of processes; `None` if the workers are threads. For the other crates of
    /// coreloop.
    #[doc(hidden)]
    #[must_use]
    pub fn process_count(self) -> Option<u32> {
        (self.kind == WorkerKind::Processes).then(|| self.count())
    }

    pub(super) fn kind(self) -> WorkerKind {
        self.kind
    }

    pub(super) fn count(self) -> u32 {
        let per_core = || {
            let cores = thread::available_parallelism().map_or(1, usize::from);
            u32::try_from(cores).unwrap_or(1)
        };
        self.count.map_or_else(per_core, NonZeroU32::get)
    }

    /// Returns whether each of `count` workers is pinned to one of `cores`, unless
    /// [`Supervisor::pin`] says otherwise. With fewer workers than cores there is a limit on
    /// the time of this process, and not on its cores.
    ///
    /// [`Supervisor::pin`]: super::Supervisor::pin
    pub(super) fn is_pinned(self, count: u32, cores: usize) -> bool {
        self.count.is_none() && count as usize >= cores
    }
}

impl From<u32> for Workers {
    /// Returns that many processes, but at least one.
    fn from(count: u32) -> Self {
        Self::processes(count)
    }
}

const fn at_least_one(count: u32) -> Option<NonZeroU32> {
    match NonZeroU32::new(count) {
        None => Some(NonZeroU32::MIN),
        count => count,
    }
}

/// Whether the master reads the standard output and standard error of worker processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WorkerOutput {
    /// The master reads the output line by line, and passes the lines to its
    /// [`Log`](crate::Log). By default that writes each line to the master's standard output or
    /// error, after the name and slot of its worker.
    ///
    /// Lines are not mixed with each other. A line longer than 16 KiB is broken, and a
    /// line that its worker did not end is ended.
    ///
    /// A worker that has ended may have left processes that hold its output. The master reads
    /// what they write for one more second, and then closes the pipe: a process that writes to
    /// it later gets `SIGPIPE`, which kills it unless it ignores that signal. A process that is
    /// meant to outlive its worker should be started with an output of its own, such as a file.
    #[default]
    Prefixed,
    /// The workers inherit the master's standard output and error.
    Inherited,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_pinned_if_there_is_one_for_each_core() {
        for (count, cores, is_pinned) in [(4, 4, true), (1, 1, true), (1, 2, false), (3, 8, false)]
        {
            assert_eq!(Workers::PerCore.is_pinned(count, cores), is_pinned);
            assert!(!Workers::processes(count).is_pinned(count, cores));
            assert!(!Workers::threads(count).is_pinned(count, cores));
        }
        // The cores are not known.
        assert!(Workers::PerCore.is_pinned(4, 0));
    }
}
