//! Functions that run in other processes.

mod frame;
mod job;
mod page;
mod word;

pub use job::function::{IntoArguments, JobFn};

/// For the expansion of macros.
#[doc(hidden)]
pub mod __private {
    pub use linkme;

    pub use crate::job::call::{Failure, run, type_of};
    pub use crate::job::entry::{ENTRIES, Entry};
}
