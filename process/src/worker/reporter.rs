//! [`Reporter`]: where a worker reports what goes wrong in it.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

/// Takes each report of a worker.
#[derive(Clone)]
pub(crate) struct Reporter(Arc<dyn Fn(fmt::Arguments<'_>) + Send + Sync>);

impl Reporter {
    pub(super) fn new(take: impl Fn(fmt::Arguments<'_>) + Send + Sync + 'static) -> Reporter {
        Reporter(Arc::new(take))
    }

    /// Writes lines to the standard error. A line is lost if the reader, such as the
    /// master, is gone.
    pub(crate) fn standard_error() -> Reporter {
        Reporter::new(|report| {
            let _ = writeln!(io::stderr(), "{report}");
        })
    }

    pub(super) fn report(&self, report: fmt::Arguments<'_>) {
        (self.0)(report);
    }
}
