//! The attributes `#[main]`, `#[test]` and `#[job]`. They are documented here, because
//! their examples compile only with the facade.

#[cfg(feature = "pool")]
use coreloop_pool::enter_worker;
use coreloop_runtime::runtime::Builder;

/// Runs an async function on its own runtime.
///
/// The function becomes a synchronous one that builds a [`Runtime`](crate::Runtime), runs the
/// async body with `block_on`, and returns the body's result, whatever its type.
/// Attributes, documentation and visibility are kept. The function
/// takes no arguments and no generic parameters.
///
/// With the feature `pool`, the function first calls `pool::enter_worker`: if the process
/// was started as the worker of a pool, it runs the worker, and does not come to the body.
///
/// # Options
///
/// - `start_paused = true` starts with the clock paused, as in a test.
/// - `crate = "path"` says where to find coreloop when it was renamed or is
///   re-exported by another crate.
///
/// # Panics
///
/// Panics if the operating system refuses a descriptor that the runtime needs, or if the
/// function is called inside a runtime.
///
/// # Examples
///
/// ```
/// #[coreloop::main]
/// async fn main() -> std::io::Result<()> {
///     let answer = coreloop::spawn(async { 42 }).await?;
///     assert_eq!(answer, 42);
///     Ok(())
/// }
/// ```
///
/// This is the same program without the attribute, except for the call of
/// `pool::enter_worker`:
///
/// ```
/// fn main() -> std::io::Result<()> {
///     async fn main() -> std::io::Result<()> {
///         let answer = coreloop::spawn(async { 42 }).await?;
///         assert_eq!(answer, 42);
///         Ok(())
///     }
///     coreloop::runtime::Builder::new()
///         .build()
///         .expect("failed to build the runtime")
///         .block_on(main())
/// }
/// ```
pub use coreloop_macros::main;

/// Runs an async function as a test, on its own runtime.
///
/// The test may return any type that a `#[test]` may, and accepts `#[should_panic]`
/// and `#[ignore]` beside this attribute.
///
/// # Options
///
/// - `start_paused = true` starts with the clock paused: sleeping takes no
///   time, because the clock jumps to the next timer as soon as nothing else
///   is ready.
/// - `crate = "path"` says where to find coreloop when it was renamed or is
///   re-exported by another crate.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
///
/// #[coreloop::test(start_paused = true)]
/// async fn a_day_passes_at_once() {
///     coreloop::time::sleep(Duration::from_secs(86_400)).await;
/// }
/// ```
pub use coreloop_macros::test;

/// Registers a function as a job, so that it can run in other processes.
///
/// The function is left as it is, and can be called as before. Beside it, the program gets an
/// entry in the list of its jobs, by which a [pool](crate::pool) and its workers find the
/// function. The function may be async.
///
/// The function has at most eight arguments, each of an owned type, and no generic parameters;
/// [`pool::register!`](crate::pool::register) registers the instances of a generic function.
/// Arguments and result implement `Serialize` and `DeserializeOwned` of `serde`.
///
/// # Options
///
/// - `name = "text"` is the name of the job. By default it is the path of the function, such as
///   `program::images::thumbnail`. All jobs of a program differ in their name or their version,
///   so two functions `thumbnail` inside of two functions of one module need this option.
/// - `version = 2` is the version of the job for other machines; the default is 1. A worker of a
///   job queue leases only jobs of names and versions that it has. A new version is needed if
///   workers with the old function could not run the new calls, or the other way round: an
///   argument was added, or a field without `#[serde(default)]`. A program may have several
///   versions of one name, each a function of its own.
/// - `idempotent` says that the function may run again if its worker has died while it ran.
/// - `initializer` says that the function only
///   [initializes workers](crate::pool::Builder::initializer), and is no job. Its result may be
///   of any type, because it stays in the worker.
/// - `crate = "path"` says where to find coreloop when it was renamed or is re-exported by
///   another crate.
///
/// # Examples
///
/// ```
/// #[coreloop::job]
/// fn word_count(text: String) -> usize {
///     text.split_whitespace().count()
/// }
///
/// #[coreloop::job(name = "fetch", idempotent)]
/// async fn fetch(host: String, port: u16) -> Result<Vec<u8>, String> {
///     # async fn download(_: String, _: u16) -> std::io::Result<Vec<u8>> { Ok(Vec::new()) }
///     download(host, port).await.map_err(|error| error.to_string())
/// }
///
/// assert_eq!(word_count("three more words".to_owned()), 3);
/// ```
#[cfg(feature = "pool")]
pub use coreloop_macros::job;

/// Returns the builder of the runtime of `#[main]`. If the process was started as the worker
/// of a pool, runs the worker and does not return.
pub fn enter() -> Builder {
    enter_worker();
    Builder::new()
}

#[cfg(not(feature = "pool"))]
const fn enter_worker() {}
