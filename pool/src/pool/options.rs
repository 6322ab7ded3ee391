//! [`Options`] and [`LocalOptions`], the checked options of a pool and of an executor without
//! processes.

use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use coreloop_process::Restarts;

use super::attached::Attached;
use super::job::Body;
use crate::dispatch::{Limits, Prefetch};
use crate::enter::StartMode;
use crate::job::encoded::{Encoded, Input, Kept};
use crate::job::registry::{Registry, not_registered};

/// The initializer: the type and the name of its function, and its encoded arguments.
pub(super) struct FirstCall {
    pub(super) function: std::any::TypeId,
    pub(super) name: &'static str,
    pub(super) arguments: Result<Encoded, String>,
}

/// The initializer of an executor without processes: the number of its function, and its
/// arguments.
pub(crate) struct FirstArguments {
    pub(crate) function: u16,
    arguments: Kept,
}

/// The initializer of a pool: the number of its function, and its arguments, which are in the
/// first frame to each worker.
pub(crate) struct FirstFrame {
    pub(super) function: u16,
    pub(super) body: Body,
    pub(super) attached: Attached,
}

/// The checked options of a pool.
pub(crate) struct Options {
    pub(crate) workers: usize,
    pub(crate) prefetch: Prefetch,
    pub(crate) max_jobs: Option<u64>,
    pub(crate) max_memory: Option<u64>,
    pub(crate) max_message: usize,
    pub(crate) queue: usize,
    pub(crate) kill_on_cancel: bool,
    pub(crate) restarts: Restarts,
    pub(crate) name: String,
    pub(crate) initializer: Option<FirstFrame>,
    pub(crate) start: StartMode,
    /// The file of the program, if it is not the one that this process runs.
    pub(crate) program: Option<PathBuf>,
    /// The pool has one worker, which runs one job.
    pub(crate) is_single: bool,
}

/// The options of an executor that has no processes.
pub(crate) struct LocalOptions {
    pub(crate) registry: &'static Registry,
    pub(crate) name: Option<String>,
    pub(crate) queue: usize,
    pub(crate) max_message: usize,
    pub(crate) initializer: Option<FirstArguments>,
}

impl FirstCall {
    /// Returns the number and the encoded arguments.
    pub(super) fn resolve(
        self,
        registry: &Registry,
        max_message: usize,
    ) -> io::Result<(u16, Encoded)> {
        let number = registry.find(self.function);
        let number = number.ok_or_else(|| invalid(not_registered(self.name)))?;
        let arguments = self.arguments.map_err(|error| {
            invalid(format!(
                "the arguments of the initializer do not encode: {error}"
            ))
        })?;
        if arguments.bytes.len() > max_message {
            return Err(invalid("the arguments of the initializer are too long"));
        }
        Ok((number, arguments))
    }
}

impl FirstArguments {
    /// Returns the arguments with duplicates of their descriptors.
    ///
    /// # Errors
    ///
    /// Returns the text of the error if the process has too many descriptors.
    pub(crate) fn input(&self) -> Result<Input<'_>, String> {
        self.arguments.input()
    }
}

impl From<(u16, Encoded)> for FirstArguments {
    fn from((function, arguments): (u16, Encoded)) -> Self {
        Self {
            function,
            arguments: arguments.into(),
        }
    }
}

impl From<(u16, Encoded)> for FirstFrame {
    fn from((function, arguments): (u16, Encoded)) -> Self {
        Self {
            function,
            body: Body::Shared(Rc::new(arguments.bytes)),
            attached: Attached::new(arguments.descriptors),
        }
    }
}

pub(super) fn invalid(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text.into())
}

impl Options {
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            workers: self.workers,
            prefetch: self.prefetch,
            max_jobs: self.max_jobs,
        }
    }

    pub(crate) fn worker_name(&self, number: u64) -> String {
        if self.is_single {
            self.name.clone()
        } else {
            format!("{}: pool worker {number}", self.name)
        }
    }
}
