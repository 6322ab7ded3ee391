//! [`Options`] and [`LocalOptions`], the checked options of a pool and of an executor without
//! processes.

use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use coreloop_process::Restarts;

use crate::dispatch::{Limits, Prefetch};
use crate::enter::StartMode;
use crate::job::registry::{Registry, not_registered};

/// The initializer: the type and the name of its function, and its encoded arguments.
pub(super) struct FirstCall {
    pub(super) function: std::any::TypeId,
    pub(super) name: &'static str,
    pub(super) arguments: Result<Vec<u8>, String>,
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
    /// The number and the encoded arguments of the initializer.
    pub(crate) initializer: Option<(u16, Rc<Vec<u8>>)>,
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
    /// The number and the encoded arguments of the initializer.
    pub(crate) initializer: Option<(u16, Rc<Vec<u8>>)>,
}

impl FirstCall {
    /// Returns the number and the encoded arguments.
    pub(super) fn resolve(
        self,
        registry: &Registry,
        max_message: usize,
    ) -> io::Result<(u16, Rc<Vec<u8>>)> {
        let number = registry.find(self.function);
        let number = number.ok_or_else(|| invalid(not_registered(self.name)))?;
        let arguments = self.arguments.map_err(|error| {
            invalid(format!(
                "the arguments of the initializer do not encode: {error}"
            ))
        })?;
        if arguments.len() > max_message {
            return Err(invalid("the arguments of the initializer are too long"));
        }
        Ok((number, Rc::new(arguments)))
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
