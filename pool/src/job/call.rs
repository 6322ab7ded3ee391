//! Calling the function of a job with encoded arguments.

use std::any::{TypeId, type_name};
use std::cell::RefCell;
use std::rc::Rc;

use coreloop_runtime::Runtime;
use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::encoded::{Encoded, Input};
use super::function::{Called, JobFn};

/// Why a job has no result, apart from a panic.
#[doc(hidden)]
#[derive(Debug)]
pub enum Failure {
    /// The arguments could not be decoded.
    Arguments(String),
    /// The result could not be encoded.
    Output(String),
    /// The result is an `Err`, and was encoded to be portable.
    #[cfg(feature = "portable")]
    Returned,
}

/// How the arguments and the result of a call are encoded.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// For a process of the same program.
    Local,
    /// For other programs and other machines, which may have another version of the program.
    #[cfg(feature = "portable")]
    Portable,
}

/// Returns the type of a function item, or of a closure that captures nothing.
///
/// Anything else does not compile: functions of one signature would have the same type as
/// pointers, so one could be taken for another.
#[doc(hidden)]
#[must_use]
pub fn type_of<F: 'static>(_function: &F) -> TypeId {
    const {
        assert!(
            size_of::<F>() == 0,
            "a job is a function itself, not a pointer to a function or a closure that captures"
        );
    }
    TypeId::of::<F>()
}

/// Returns the name of the type of a function item, which is the path of the function with
/// its generic parameters.
#[doc(hidden)]
#[must_use]
pub fn name_of<F: 'static>(_function: &F) -> &'static str {
    type_name::<F>()
}

/// Stands in place of [`run`] in the entry of an initializer, which is no job.
///
/// # Errors
///
/// Always returns an error.
#[doc(hidden)]
pub fn not_a_job(
    _encoding: Encoding,
    _arguments: Input<'_>,
    _output: &mut Encoded,
) -> Result<(), Failure> {
    let text = "the function is registered as an initializer, and not as a job";
    Err(Failure::Arguments(text.to_owned()))
}

/// Decodes `arguments`, calls `function` and appends its encoded result to `output`.
///
/// # Errors
///
/// Returns an error if the arguments cannot be decoded or the result cannot be encoded.
///
/// # Panics
///
/// Panics if the function does, or the code that decodes or encodes.
#[doc(hidden)]
pub fn run<F, S>(
    function: F,
    encoding: Encoding,
    arguments: Input<'_>,
    output: &mut Encoded,
) -> Result<(), Failure>
where
    F: JobFn<S>,
{
    match encoding {
        Encoding::Local => {
            let arguments = arguments.decode().map_err(Failure::Arguments)?;
            output
                .push(&call(function, arguments))
                .map_err(Failure::Output)
        }
        #[cfg(feature = "portable")]
        Encoding::Portable => super::portable::run(function, arguments.bytes, &mut output.bytes),
    }
}

/// Does the same as [`run`] on the loop that polls the future.
///
/// # Errors
///
/// Returns an error if the arguments cannot be decoded or the result cannot be encoded.
pub(crate) async fn run_async<F, S>(
    function: F,
    arguments: Input<'_>,
    output: &mut Encoded,
) -> Result<(), Failure>
where
    F: JobFn<S>,
{
    let arguments = arguments.decode().map_err(Failure::Arguments)?;
    let result = match function.call(arguments) {
        Called::Result(result) => result,
        Called::Future(future) => future.await,
    };
    output.push(&result).map_err(Failure::Output)
}

/// Calls `function` with these arguments, and waits for its result.
pub(crate) fn call<F, S>(function: F, arguments: F::Arguments) -> F::Output
where
    F: JobFn<S>,
{
    match function.call(arguments) {
        Called::Result(result) => result,
        Called::Future(future) => block_on(future),
    }
}

/// Appends the encoded `value` to `output`. If that fails, `output` is as it was.
pub(crate) fn encode<T: Serialize>(value: &T, output: &mut Vec<u8>) -> Result<(), String> {
    let length = output.len();
    postcard::serialize_with_flavor(value, Append(output)).map_err(|error| {
        output.truncate(length);
        error.to_string()
    })
}

/// Appends what is serialized to a vector.
struct Append<'a>(&'a mut Vec<u8>);

impl Flavor for Append<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Decodes a value from all of `bytes`.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(format!("{} bytes are left after it", rest.len())),
        Err(error) => Err(error.to_string()),
    }
}

thread_local! {
    /// The runtime of async jobs. It is built for the first of them, and kept, so that tasks and
    /// sockets of a job are still there for the next one.
    static RUNTIME: RefCell<Option<Rc<Runtime>>> = const { RefCell::new(None) };
}

/// Runs a future on the runtime of async jobs.
///
/// # Panics
///
/// Panics if the system refuses a descriptor that a runtime needs.
pub(crate) fn block_on<R>(future: impl Future<Output = R>) -> R {
    let kept = RUNTIME.with_borrow(Option::clone);
    let runtime = kept.unwrap_or_else(|| {
        let new = match Runtime::new() {
            Ok(runtime) => Rc::new(runtime),
            Err(error) => panic!("failed to build the runtime of an async job: {error}"),
        };
        RUNTIME.set(Some(Rc::clone(&new)));
        new
    });
    runtime.block_on(future)
}

/// Ends the runtime of async jobs, if there is one, and its tasks.
pub(crate) fn drop_runtime() {
    let runtime = RUNTIME.take();
    drop(runtime);
}
