//! The macros `stream!` and `try_stream!`. They are defined in the facade because their
//! expansion names this crate.

/// Creates a generator from statements with `yield`.
///
/// The macro is sugar for [`stream::stream`](crate::stream::stream()): `yield item` means
/// [`co.yield_(item).await`](crate::stream::Co::yield_), and ends the body if
/// the consumer has closed the generator. The body takes the variables that it uses by
/// value. A body that has to clean up before it ends calls the function instead, and checks
/// the result of each `yield_`.
///
/// A `yield` belongs to the innermost such macro around it. It may be in blocks,
/// loops, conditions and the arguments of other macros, but not in a closure, a
/// function or an async block.
///
/// # Examples
///
/// ```
/// use coreloop::{for_await, stream};
///
/// # coreloop::block_on(async {
/// let odd = stream! {
///     for number in 1..=9 {
///         if number % 2 == 1 {
///             yield number;
///         }
///     }
/// };
/// let mut sum = 0;
/// for_await!(number in odd {
///     sum += number;
/// });
/// assert_eq!(sum, 25);
/// # })
/// ```
#[macro_export]
macro_rules! stream {
    ($($body:tt)*) => {
        $crate::__generator!($crate stream $($body)*)
    };
}

/// Creates a generator that may fail from statements with `yield` and `?`.
///
/// The macro is sugar for [`stream::try_stream`](crate::stream::try_stream()): each yielded
/// value is an item `Ok(value)`, and the error of a `?` is the last item. Otherwise the macro
/// works like [`stream!`](macro@crate::stream). The compiler must be able to infer the type of
/// the errors from the use of the stream.
///
/// # Examples
///
/// ```
/// use std::num::ParseIntError;
/// use std::pin::pin;
///
/// use coreloop::try_stream;
///
/// # coreloop::block_on(async {
/// let mut numbers = pin!(try_stream! {
///     for text in ["1", "2", "three", "4"] {
///         yield text.parse::<u8>()?;
///     }
/// });
/// assert_eq!(numbers.next().await, Some(Ok(1)));
/// assert_eq!(numbers.next().await, Some(Ok(2)));
/// let last: Option<Result<_, ParseIntError>> = numbers.next().await;
/// assert!(last.unwrap().is_err());
/// assert_eq!(numbers.next().await, None);
/// # })
/// ```
#[macro_export]
macro_rules! try_stream {
    ($($body:tt)*) => {
        $crate::__generator!($crate try_stream $($body)*)
    };
}
