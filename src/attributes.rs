//! `#[main]` and `#[test]`: documented here, where their examples compile.

/// Runs an async function on a runtime of its own.
///
/// The function becomes an ordinary one that builds a [`Runtime`](crate::Runtime), blocks
/// on what was written, and returns what it returned, whatever its type.
/// Attributes, documentation and visibility stay where they are. The function
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
/// The function panics if the operating system refuses a runtime, or if it is
/// called from inside one.
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

/// Makes an async function a test with a runtime of its own.
///
/// The test may return anything a `#[test]` may, and takes `#[should_panic]`
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
