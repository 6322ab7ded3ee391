//! [`Entry`], what `#[coreloop::job]` registers for a function.

use std::any::TypeId;
use std::fmt;

use super::call::{Encoding, Failure};
use super::encoded::{Encoded, Input};
use super::initialize::Initialize;

/// Decodes the arguments of a job, calls its function, and appends the encoded result.
pub(crate) type Run = fn(Encoding, Input<'_>, &mut Encoded) -> Result<(), Failure>;

/// A function under its name.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct Entry {
    name: Name,
    /// Where the attribute is written, for errors.
    pub(crate) place: Place,
    /// The type of the function item. Unlike its address, the type belongs to no other
    /// function: the linker may merge equal functions.
    pub(crate) function: fn() -> TypeId,
    pub(crate) run: Run,
    pub(crate) initialize: Initialize,
    /// Whether the function may run again if its worker died while it ran.
    pub(crate) is_idempotent: bool,
    /// The version of the function, for other machines; 0 if it is an initializer.
    pub(crate) version: u32,
}

/// The version of a function that is not declared as another one.
pub(crate) const FIRST_VERSION: u32 = 1;

/// Stands in place of the version of an initializer, which no job queue calls.
#[cfg(feature = "portable")]
pub(crate) const NO_JOB: u32 = 0;

#[derive(Clone, Copy)]
enum Name {
    Fixed(&'static str),
    /// The name of the type of the function item, which is not known in a constant.
    OfType(fn() -> &'static str),
}

/// A place in a source file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: &'static str,
    pub(crate) line: u32,
}

impl Entry {
    /// Creates an entry. The attribute calls this.
    #[must_use]
    pub const fn new(
        name: &'static str,
        (file, line): (&'static str, u32),
        function: fn() -> TypeId,
        run: Run,
        initialize: Initialize,
        is_idempotent: bool,
    ) -> Self {
        Self {
            name: Name::Fixed(name),
            place: Place { file, line },
            function,
            run,
            initialize,
            is_idempotent,
            version: FIRST_VERSION,
        }
    }

    /// Sets the version. The attribute calls this, with 0 for an initializer.
    #[must_use]
    pub const fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// Creates an entry whose name is the one of its type. `register!` calls this.
    #[must_use]
    pub const fn of_type(
        name: fn() -> &'static str,
        (file, line): (&'static str, u32),
        function: fn() -> TypeId,
        run: Run,
        initialize: Initialize,
    ) -> Self {
        Self {
            name: Name::OfType(name),
            place: Place { file, line },
            function,
            run,
            initialize,
            is_idempotent: false,
            version: FIRST_VERSION,
        }
    }

    /// Returns the name of the job.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.name {
            Name::Fixed(name) => name,
            Name::OfType(name) => name(),
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("name", &self.name())
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
