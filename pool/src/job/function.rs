//! [`JobFn`], a function that can be a job, and [`IntoArguments`], a value that can be its
//! arguments.

use std::pin::Pin;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A function that can be a job: up to eight arguments and a result, all of which can be
/// sent to another process.
///
/// The trait is implemented for functions and async functions. `Signature` is inferred. It only
/// distinguishes the implementations.
///
/// Arguments and results are encoded by `serde`, so borrowed ones such as `&str` are not
/// possible: take a `String`. A large `Vec<u8>` should be a `serde_bytes::ByteBuf`, because
/// `serde` encodes a vector byte by byte.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a job",
    note = "a job is a function with at most eight arguments, whose arguments and result \
            implement `Serialize` and `DeserializeOwned`"
)]
pub trait JobFn<Signature>: Copy + 'static {
    /// The arguments, as a tuple.
    type Arguments: Serialize + DeserializeOwned + 'static;

    /// The result; for an async function, the output of its future.
    type Output: Serialize + DeserializeOwned + 'static;

    #[doc(hidden)]
    fn call(self, arguments: Self::Arguments) -> Called<Self::Output>;
}

/// What a call has returned: the result, or the future of an async function.
#[doc(hidden)]
#[expect(
    missing_debug_implementations,
    reason = "it is not a part of the interface"
)]
pub enum Called<R> {
    Result(R),
    Future(Pin<Box<dyn Future<Output = R>>>),
}

/// A value that can be the arguments of a job: their tuple, or for one argument the value
/// itself.
///
/// `Arguments` is the tuple.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the arguments `{Arguments}`",
    label = "expected `{Arguments}`",
    note = "pass the arguments of a job as a tuple: `pool.run(thumbnail, (path, 200))`"
)]
pub trait IntoArguments<Arguments> {
    /// Returns the arguments as a tuple.
    fn into_arguments(self) -> Arguments;
}

impl<A> IntoArguments<(A,)> for A {
    fn into_arguments(self) -> (A,) {
        (self,)
    }
}

/// Marks the signature of a function that returns its result.
#[doc(hidden)]
#[derive(Debug)]
pub enum Plain {}

/// Marks the signature of an async function.
#[doc(hidden)]
#[derive(Debug)]
pub enum Asynchronous {}

macro_rules! implement {
    ($($name:ident $argument:ident)*) => {
        impl<F, R, $($name),*> JobFn<(Plain, fn($($name),*) -> R)> for F
        where
            F: Fn($($name),*) -> R + Copy + 'static,
            R: Serialize + DeserializeOwned + 'static,
            ($($name,)*): Serialize + DeserializeOwned + 'static,
        {
            type Arguments = ($($name,)*);
            type Output = R;

            fn call(self, ($($argument,)*): Self::Arguments) -> Called<R> {
                Called::Result(self($($argument),*))
            }
        }

        impl<F, T, $($name),*> JobFn<(Asynchronous, fn($($name),*) -> T)> for F
        where
            F: Fn($($name),*) -> T + Copy + 'static,
            T: Future<Output: Serialize + DeserializeOwned + 'static> + 'static,
            ($($name,)*): Serialize + DeserializeOwned + 'static,
        {
            type Arguments = ($($name,)*);
            type Output = T::Output;

            fn call(self, ($($argument,)*): Self::Arguments) -> Called<T::Output> {
                Called::Future(Box::pin(self($($argument),*)))
            }
        }

        impl<$($name),*> IntoArguments<($($name,)*)> for ($($name,)*) {
            fn into_arguments(self) -> Self {
                self
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
