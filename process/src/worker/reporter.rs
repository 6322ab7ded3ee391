//! [`Reporter`], to which a worker reports its errors.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

/// A function that is called with each report of a worker.
#[derive(Clone)]
pub(crate) struct Reporter(Arc<dyn Fn(fmt::Arguments<'_>) + Send + Sync>);

impl Reporter {
    pub(super) fn new(take: impl Fn(fmt::Arguments<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(take))
    }

    /// Creates a reporter that writes lines to the standard error. A line is lost if its
    /// reader, such as the master, has ended.
    pub(crate) fn standard_error() -> Self {
        Self::new(|report| {
            let _ = writeln!(io::stderr(), "{report}");
        })
    }

    pub(super) fn report(&self, report: fmt::Arguments<'_>) {
        (self.0)(report);
    }
}
