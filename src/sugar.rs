//! `stream!` and `try_stream!`: here, as they bring the name of the facade along.

/// Makes a generator of statements with `yield`.
///
/// It is sugar for [`stream::stream`](crate::stream::stream()): `yield item` is
/// [`co.yield_(item).await`](crate::stream::Co::yield_), and ends the body when
/// the consumer wants no more. The body takes what it uses by value. To see to
/// something before it ends, write the function and look at what the yield gives.
///
/// A `yield` belongs to the macro that it stands in, and may stand in blocks,
/// loops, conditions and the arguments of other macros; not in a closure, a
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

/// Makes a generator that may fail of statements with `yield` and `?`.
///
/// It is sugar for [`stream::try_stream`](crate::stream::try_stream()): the items
/// are `Ok` of what is yielded, and the error of a `?` is the last. Else it is as
/// [`stream!`](macro@crate::stream). What type the errors have must follow from
/// how the stream is used.
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
