//! The attributes `#[main]` and `#[test]`. They are documented here, because their
//! examples compile only with the facade.

/// Runs an async function on its own runtime.
///
/// The function becomes a synchronous one that builds a [`Runtime`](crate::Runtime), runs the
/// async body with `block_on`, and returns the body's result, whatever its type.
/// Attributes, documentation and visibility are kept. The function
/// takes no arguments and no generic parameters.
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
/// This is the same program without the attribute:
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
