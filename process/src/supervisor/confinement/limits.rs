//! The limits that the kernel puts on the processes of a supervisor.

use std::io::{self, ErrorKind};

use rustix::process::{Rlimit, getrlimit, setrlimit};

use crate::supervisor::Supervisor;

/// How many descriptors a process may have open, for
/// [`Supervisor::open_files`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenFiles {
    /// At least this many.
    AtLeast(u64),
    /// As many as this process may allow itself: its hard limit.
    Max,
}

impl From<u64> for OpenFiles {
    fn from(count: u64) -> Self {
        Self::AtLeast(count)
    }
}

/// What the kernel can limit for a process, for [`Supervisor::worker_limit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resource {
    /// The size of the address space, in bytes. It includes memory that is reserved and never
    /// used, such as most of the stacks of threads, and so is much more than the
    /// memory that the process has.
    AddressSpace,
    /// The size of the memory for data, in bytes: what the allocator gets from the kernel.
    Data,
    /// The size of a core dump, in bytes; none is written for 0.
    CoreSize,
    /// The processor time, in seconds. At the soft limit the kernel sends `XCPU`, which ends
    /// the process.
    CpuTime,
    /// The size of a file that is written, in bytes.
    FileSize,
    /// How much memory may be kept from being swapped, in bytes.
    LockedMemory,
    /// The number of descriptors.
    OpenFiles,
    /// The number of processes and threads of the user, also those that others have started.
    Processes,
    /// The size of the stack of the main thread, in bytes. Programs that the worker starts
    /// inherit it; the stack of the worker itself exists already.
    Stack,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Limits {
    open_files: Option<OpenFiles>,
    worker: Vec<WorkerLimit>,
}

#[derive(Debug, Clone, Copy)]
struct WorkerLimit {
    resource: Resource,
    soft: u64,
    hard: Option<u64>,
}

impl Supervisor {
    /// Raises the limit on open descriptors, of the master and of the workers: to a number,
    /// or to the hard limit with [`OpenFiles::Max`]. A limit that is higher already stays.
    ///
    /// Each connection takes a descriptor of its worker, and the usual limit is 1024. Root
    /// may raise the hard limit too, except in most containers; for other users, a number above
    /// it is an error of [`run`](Self::run). Programs that a worker starts inherit the limit; a
    /// few old ones cannot handle descriptors above 1023.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use coreloop::process::{OpenFiles, Supervisor};
    ///
    /// let many = Supervisor::new().open_files(100_000);
    /// let most = Supervisor::new().open_files(OpenFiles::Max);
    /// # let _ = (many, most);
    /// ```
    pub fn open_files(mut self, limit: impl Into<OpenFiles>) -> Self {
        self.confinement.limits.open_files = Some(limit.into());
        self
    }

    /// Limits a resource of each worker process, which sets the limit before it calls the
    /// function. The kernel enforces the `soft` limit. The process, and the programs that it
    /// starts, may raise that up to the `hard` limit, which stays as it is with `None`.
    ///
    /// Only the worker that reaches a limit is affected: an allocation above the limit ends
    /// its process, for example, and the master starts another one. For a softer limit on
    /// memory see [`max_memory`](Self::max_memory).
    ///
    /// A limit that cannot be set, such as a hard limit above the present one, ends the
    /// worker with an error before it is ready. Worker threads have no limits of their own:
    /// with them, [`run`](Self::run) returns an error.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use coreloop::process::{Resource, Supervisor};
    ///
    /// let limited = Supervisor::new()
    ///     .worker_limit(Resource::AddressSpace, 4 << 30, 4 << 30)
    ///     .worker_limit(Resource::CoreSize, 0, None);
    /// # let _ = limited;
    /// ```
    pub fn worker_limit(
        mut self,
        resource: Resource,
        soft: u64,
        hard: impl Into<Option<u64>>,
    ) -> Self {
        let limits = &mut self.confinement.limits.worker;
        limits.retain(|limit| limit.resource != resource);
        limits.push(WorkerLimit {
            resource,
            soft,
            hard: hard.into(),
        });
        self
    }
}

impl Limits {
    /// Checks the limits of the workers, and raises the limit of this process.
    pub(super) fn prepare_master(&self, has_processes: bool) -> io::Result<()> {
        if !has_processes && !self.worker.is_empty() {
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                "worker threads have no limits of their own: `Supervisor::worker_limit` is for \
                 processes",
            ));
        }
        match self.open_files {
            Some(wanted) => raise_open_files(wanted),
            None => Ok(()),
        }
    }

    /// Sets the limits of this process, a worker.
    pub(super) fn prepare_worker(&self) -> io::Result<()> {
        self.worker.iter().try_for_each(WorkerLimit::set)
    }
}

impl WorkerLimit {
    fn set(&self) -> io::Result<()> {
        let resource = self.resource.id();
        let present = getrlimit(resource);
        let new = Rlimit {
            current: Some(self.soft),
            maximum: self.hard.or(present.maximum),
        };
        setrlimit(resource, new).map_err(|error| {
            let Self { resource, soft, .. } = self;
            let hard = |limit: Option<u64>| limit.map_or("no limit".to_owned(), |n| n.to_string());
            let (hard, present) = (hard(new.maximum), hard(present.maximum));
            let message = format!(
                "cannot limit {resource:?} to {soft}, and at most {hard}: {error}; the hard limit \
                 is {present} now"
            );
            io::Error::new(error.kind(), message)
        })
    }
}

impl Resource {
    fn id(self) -> rustix::process::Resource {
        match self {
            Self::AddressSpace => rustix::process::Resource::As,
            Self::Data => rustix::process::Resource::Data,
            Self::CoreSize => rustix::process::Resource::Core,
            Self::CpuTime => rustix::process::Resource::Cpu,
            Self::FileSize => rustix::process::Resource::Fsize,
            Self::LockedMemory => rustix::process::Resource::Memlock,
            Self::OpenFiles => rustix::process::Resource::Nofile,
            Self::Processes => rustix::process::Resource::Nproc,
            Self::Stack => rustix::process::Resource::Stack,
        }
    }
}

fn raise_open_files(wanted: OpenFiles) -> io::Result<()> {
    let resource = Resource::OpenFiles.id();
    let Some(new) = raised(getrlimit(resource), wanted) else {
        return Ok(());
    };
    setrlimit(resource, new).map_err(|error| {
        let hard = getrlimit(resource).maximum;
        let (wanted, hard) = (new.current.unwrap_or(u64::MAX), hard.unwrap_or(u64::MAX));
        let message = format!(
            "cannot raise the limit on open descriptors to {wanted}: {error}; the hard limit is \
             {hard}"
        );
        io::Error::new(error.kind(), message)
    })
}

/// Returns the limit to set, if the present one is too low.
fn raised(present: Rlimit, wanted: OpenFiles) -> Option<Rlimit> {
    let wanted = match wanted {
        OpenFiles::AtLeast(count) => Some(count),
        OpenFiles::Max => present.maximum,
    };
    // No limit is the highest.
    let at_least = |limit: Option<u64>, other: Option<u64>| Some(limit?.max(other?));
    let new = Rlimit {
        current: at_least(present.current, wanted),
        maximum: at_least(present.maximum, wanted),
    };
    (new != present).then_some(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(current: impl Into<Option<u64>>, maximum: impl Into<Option<u64>>) -> Rlimit {
        Rlimit {
            current: current.into(),
            maximum: maximum.into(),
        }
    }

    #[test]
    fn limits_are_raised_and_never_lowered() {
        let present = limit(1024, 4096);
        let raised = |wanted: OpenFiles| raised(present, wanted);
        assert_eq!(raised(OpenFiles::AtLeast(0)), None);
        assert_eq!(raised(OpenFiles::AtLeast(1024)), None);
        assert_eq!(raised(2000.into()), Some(limit(2000, 4096)));
        assert_eq!(raised(5000.into()), Some(limit(5000, 5000)));
        assert_eq!(raised(OpenFiles::Max), Some(limit(4096, 4096)));
    }

    #[test]
    fn no_limit_is_the_highest() {
        let unlimited = limit(None, None);
        assert_eq!(raised(unlimited, OpenFiles::Max), None);
        assert_eq!(raised(unlimited, u64::MAX.into()), None);
        let present = limit(256, None);
        assert_eq!(raised(present, OpenFiles::Max), Some(limit(None, None)));
        assert_eq!(raised(present, 300.into()), Some(limit(300, None)));
    }
}
