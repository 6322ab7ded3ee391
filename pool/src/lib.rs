//! Functions that run in other processes.

mod current;
mod dispatch;
mod enter;
mod error;
mod executor;
mod family;
mod frame;
mod home;
pub mod ipc;
pub mod job;
mod linked;
mod macros;
mod page;
mod panics;
mod pool;
mod process;
mod sys;
mod word;
mod worker;

pub use current::{CurrentProcess, current_process};
pub use enter::{enter_worker, enter_worker_with};
pub use job::function::{IntoArguments, JobFn};
pub use job::initialize::Initializer;
pub use job::list::Jobs;
pub use process::{ActiveChild, Process, ProcessBuilder, active_children};

pub use error::JobError;
pub use executor::{Executor, ExecutorBuilder, ExecutorMap, wait};
pub use pool::{
    Builder, FromIterator, FromStream, IntoInputs, Iterated, JobHandle, JobRequest, Map, Metrics,
    Pool, Progress, Report, TrySubmitError, WorkerMetrics, WorkerState,
};

/// For the expansion of macros.
#[doc(hidden)]
pub mod __private {
    pub use linkme;

    pub use crate::enter::enter_worker_in_test;
    pub use crate::job::call::{Encoding, Failure, name_of, not_a_job, run, type_of};
    pub use crate::job::entry::Entry;
    /// For the expansion of macros. All items but `call` are traits.
    pub mod initialize {
        pub use crate::job::initialize::{
            FutureOfResult, FutureOfValue, ResultOfValue, Value, call,
        };
    }
    pub use crate::job::function::{Asynchronous, Plain};
    #[cfg(not(test))]
    pub use crate::linked::{ENTRIES, WORKER_TESTS};
}

/// For `coreloop-jobs`: the jobs of a program, their values and their calls, as other programs know
/// them.
#[cfg(feature = "portable")]
#[doc(hidden)]
pub mod __jobs {
    pub use crate::job::portable::{decode_portable as decode, encode_portable as encode};
    pub use crate::pool::portable::{
        PortableCall, Returned, ended, function_of, functions, has_room, room, withdraw, workers,
    };
    pub use coreloop_process::__pool::{beginning, shortened};
}

/// For the fuzz targets.
#[doc(hidden)]
pub mod __fuzz {
    pub use crate::frame::reader::fuzz::{Reader, is_kind};
    /// For the fuzz target of shared memory.
    pub use crate::ipc::shared::fuzz as shared;
}
