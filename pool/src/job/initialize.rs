//! Calling the initializer of a worker, and keeping the value that it returns.
//!
//! An initializer returns a value or a `Result`, or a future of either. Generic code cannot
//! tell these apart, but the expansion of a macro can, because it knows the type: of several
//! methods of one name, a call takes the one whose receiver needs the fewest dereferences. So
//! [`Returned`] has a method for each kind, on a different number of references.

use std::cell::Cell;
use std::fmt::{self, Display};
use std::pin::Pin;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::encoded::Input;
use super::worker_state::WorkerState;

/// Calls an initializer with encoded arguments. Returns the text of its failure.
pub(crate) type Initialize = fn(Input<'_>) -> Result<Installed, String>;

/// The outcome of calling an initializer.
#[doc(hidden)]
pub enum Installed {
    /// What it returned is the state of this thread.
    Now,
    /// The initializer is an async function. Its result becomes the state of the thread that
    /// polls this to its end.
    Later(Pin<Box<dyn Future<Output = Result<(), String>>>>),
}

/// A function that can initialize a worker: up to eight arguments that can be sent to another
/// process, and any result.
///
/// `Signature` is inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot initialize a worker",
    note = "an initializer is a function with at most eight arguments, which implement \
            `Serialize` and `DeserializeOwned`"
)]
pub trait Initializer<Signature>: Copy + 'static {
    /// The arguments, as a tuple.
    type Arguments: Serialize + DeserializeOwned + 'static;

    /// What the function returns.
    #[doc(hidden)]
    type Returned: 'static;

    #[doc(hidden)]
    fn call(self, arguments: Self::Arguments) -> Self::Returned;
}

macro_rules! implement {
    ($($name:ident $argument:ident)*) => {
        impl<F, R, $($name),*> Initializer<fn($($name),*) -> R> for F
        where
            F: Fn($($name),*) -> R + Copy + 'static,
            R: 'static,
            ($($name,)*): Serialize + DeserializeOwned + 'static,
        {
            type Arguments = ($($name,)*);
            type Returned = R;

            fn call(self, ($($argument,)*): Self::Arguments) -> R {
                self($($argument),*)
            }
        }
    };
}

implement!();
implement!(A a);
implement!(A a B b);
implement!(A a B b C c);
implement!(A a B b C c D d);
implement!(A a B b C c D d E e);
implement!(A a B b C c D d E e G g);
implement!(A a B b C c D d E e G g H h);
implement!(A a B b C c D d E e G g H h I i);

/// What an initializer has returned.
#[doc(hidden)]
#[expect(
    missing_debug_implementations,
    reason = "it is not a part of the interface"
)]
pub struct Returned<R>(Cell<Option<R>>);

impl<R> Returned<R> {
    fn take(&self) -> Result<R, String> {
        self.0.take().ok_or_else(|| "it was taken".to_owned())
    }
}

/// Calls an initializer.
///
/// # Errors
///
/// Returns an error if the arguments cannot be decoded.
#[doc(hidden)]
pub fn call<F, S>(function: F, arguments: Input<'_>) -> Result<Returned<F::Returned>, String>
where
    F: Initializer<S>,
{
    let arguments = arguments
        .decode()
        .map_err(|error| format!("the arguments of the initializer do not decode: {error}"))?;
    Ok(Returned(Cell::new(Some(function.call(arguments)))))
}

fn keep<T: 'static>(state: T) {
    WorkerState::new(state).install();
}

fn keep_result<T: 'static, E: Display>(result: Result<T, E>) -> Result<(), String> {
    match result {
        Ok(state) => {
            keep(state);
            Ok(())
        }
        Err(error) => Err(format!("the initializer failed: {error}")),
    }
}

/// A future of a `Result`.
#[doc(hidden)]
pub trait FutureOfResult {
    fn install(&self) -> Result<Installed, String>;
}

impl<R, T, E> FutureOfResult for &&&Returned<R>
where
    R: Future<Output = Result<T, E>> + 'static,
    T: 'static,
    E: Display,
{
    fn install(&self) -> Result<Installed, String> {
        let future = self.take()?;
        let kept = async { keep_result(future.await) };
        Ok(Installed::Later(Box::pin(kept)))
    }
}

/// A future of a value.
#[doc(hidden)]
pub trait FutureOfValue {
    fn install(&self) -> Result<Installed, String>;
}

impl<R: Future<Output: 'static> + 'static> FutureOfValue for &&Returned<R> {
    fn install(&self) -> Result<Installed, String> {
        let future = self.take()?;
        let kept = async {
            keep(future.await);
            Ok(())
        };
        Ok(Installed::Later(Box::pin(kept)))
    }
}

/// A `Result`.
#[doc(hidden)]
pub trait ResultOfValue {
    fn install(&self) -> Result<Installed, String>;
}

impl<T: 'static, E: Display> ResultOfValue for &Returned<Result<T, E>> {
    fn install(&self) -> Result<Installed, String> {
        keep_result(self.take()?)?;
        Ok(Installed::Now)
    }
}

/// A value.
#[doc(hidden)]
pub trait Value {
    fn install(&self) -> Result<Installed, String>;
}

impl<T: 'static> Value for Returned<T> {
    fn install(&self) -> Result<Installed, String> {
        keep(self.take()?);
        Ok(Installed::Now)
    }
}

impl fmt::Debug for Installed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Now => "Now",
            Self::Later(_) => "Later(..)",
        })
    }
}
