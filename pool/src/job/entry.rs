//! [`Entry`], what `#[coreloop::job]` registers for a function, and the list of all entries
//! of the program.

use std::any::TypeId;
use std::fmt;

use linkme::distributed_slice;

use super::call::Failure;

/// The entries of this program. The linker collects them from all crates.
#[doc(hidden)]
#[distributed_slice]
pub static ENTRIES: [Entry];

/// Decodes the arguments of a job, calls its function, and appends the encoded result.
pub type Run = fn(&[u8], &mut Vec<u8>) -> Result<(), Failure>;

/// A function under its name.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct Entry {
    pub(crate) name: &'static str,
    /// Where the attribute is written, for errors.
    pub(crate) place: Place,
    /// The type of the function item. Unlike its address, the type belongs to no other
    /// function: the linker may merge equal functions.
    pub(crate) function: fn() -> TypeId,
    pub(crate) run: Run,
    /// Whether the function may run again if its worker died while it ran.
    pub(crate) is_idempotent: bool,
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
        is_idempotent: bool,
    ) -> Self {
        Self {
            name,
            place: Place { file, line },
            function,
            run,
            is_idempotent,
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("name", &self.name)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
