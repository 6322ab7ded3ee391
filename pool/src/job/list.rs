//! [`Jobs`], a list of functions that the attribute cannot register.

use std::any::{TypeId, type_name};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use super::call::{self, Encoding, Failure};
use super::encoded::{Encoded, Input};
use super::entry::Place;
use super::function::JobFn;

/// A list of functions that can be jobs although no macro can register them.
///
/// `#[coreloop::job]` registers a function, and [`register!`](crate::register) an instance of
/// a generic one, in any crate that is linked into the program. The linker does not collect what
/// a dynamic library registers. The program puts such functions into a list, and calls
/// [`enter_worker_with`](crate::enter_worker_with) with it at the start of `main`.
///
/// The name of a job in a list is the name of the type of its function.
#[derive(Clone, Default)]
pub struct Jobs {
    list: Vec<Listed>,
}

/// A function of a list.
#[derive(Clone)]
pub(crate) struct Listed {
    pub(crate) name: &'static str,
    /// Where it was added to the list.
    pub(crate) place: Place,
    pub(crate) function: TypeId,
    pub(crate) run: SharedRun,
}

/// Decodes the arguments of a job, calls its function, and appends the encoded result.
type SharedRun =
    Arc<dyn Fn(Encoding, Input<'_>, &mut Encoded) -> Result<(), Failure> + Send + Sync>;

impl Jobs {
    /// Creates an empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self { list: Vec::new() }
    }

    /// Adds a function.
    ///
    /// A pointer to a function, or a closure that captures something, does not compile:
    ///
    /// ```compile_fail
    /// fn double(number: u32) -> u32 {
    ///     number * 2
    /// }
    ///
    /// let pointer: fn(u32) -> u32 = double;
    /// let jobs = coreloop::pool::Jobs::new().job(pointer);
    /// ```
    #[must_use]
    #[track_caller]
    pub fn job<F, S>(mut self, function: F) -> Self
    where
        F: JobFn<S> + Send + Sync,
    {
        let place = Location::caller();
        self.list.push(Listed {
            name: type_name::<F>(),
            place: Place {
                file: place.file(),
                line: place.line(),
            },
            function: call::type_of(&function),
            run: Arc::new(move |encoding, arguments, output| {
                call::run(function, encoding, arguments, output)
            }),
        });
        self
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Listed> {
        self.list.iter()
    }
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.list.iter().map(|job| job.name);
        f.debug_list().entries(names).finish()
    }
}
