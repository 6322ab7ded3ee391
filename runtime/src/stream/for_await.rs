//! `for_await!`: a loop over a stream.

use std::future::poll_fn;
use std::pin::Pin;

use futures_core::Stream;

/// A `for` loop over a stream: `for_await!(item in stream { .. })`.
///
/// It is used where `.await` may be. The stream is pinned where it is, so one
/// that was made in place will do, and so will `&mut stream` if that is
/// [`Unpin`], or `stream.as_mut()` if it is pinned. `break`, `continue`, `return`
/// and `?` mean what they mean in a loop. A label stands before the pattern.
///
/// A loop that is left early drops the stream, if that was not borrowed.
///
/// # Cancel safety
///
/// Cancel safe: no item is lost but those that the loop had come to.
///
/// # Examples
///
/// ```
/// use coreloop::{for_await, stream::stream};
///
/// # coreloop::block_on(async {
/// let mut pairs = Vec::new();
/// for_await!('rows: row in stream(async |mut co| {
///     for row in 1..=9 {
///         co.yield_(row).await?;
///     }
///     Ok(())
/// }) {
///     for column in 1..=9 {
///         if column > row {
///             continue 'rows;
///         }
///         if row * column == 6 {
///             break 'rows;
///         }
///         pairs.push((row, column));
///     }
/// });
/// assert_eq!(pairs, [(1, 1), (2, 1), (2, 2), (3, 1)]);
/// # })
/// ```
#[macro_export]
macro_rules! for_await {
    ($label:lifetime : $item:pat in $($rest:tt)+) => {
        $crate::__for_await!(@stream [$label :] [$item] [] $($rest)+)
    };
    ($item:pat in $($rest:tt)+) => {
        $crate::__for_await!(@stream [] [$item] [] $($rest)+)
    };
}

/// Takes the stream token by token, as the block that ends it would end an
/// expression no earlier.
#[doc(hidden)]
#[macro_export]
macro_rules! __for_await {
    (@stream $label:tt $item:tt [] { $($body:tt)* }) => {
        ::std::compile_error!("`for_await!` takes a stream and a block: `for_await!(item in stream { .. })`")
    };
    (@stream $label:tt $item:tt [$($stream:tt)+] { $($body:tt)* }) => {
        $crate::__for_await!(@loop $label $item [$($stream)+] { $($body)* })
    };
    (@loop [$($label:tt)*] [$item:pat] [$stream:expr] { $($body:tt)* }) => {
        // As in `for`, temporaries of the expression live as long as the loop.
        match $stream {
            stream => {
                let mut stream = $crate::macros::pin!(stream);
                $($label)* while let $crate::macros::Option::Some(item) =
                    $crate::stream::next(&mut stream).await
                {
                    let $item = item;
                    $($body)*
                }
            }
        }
    };
    (@stream $label:tt $item:tt [$($stream:tt)*] $next:tt $($rest:tt)+) => {
        $crate::__for_await!(@stream $label $item [$($stream)* $next] $($rest)+)
    };
    (@stream $label:tt $item:tt [$($stream:tt)*] $next:tt) => {
        ::std::compile_error!("`for_await!` ends with a block: `for_await!(item in stream { .. })`")
    };
}

/// The next item of a stream.
///
/// # Cancel safety
///
/// Cancel safe: an item leaves the stream only when this is ready.
#[doc(hidden)]
pub fn next<S: Stream>(stream: &mut Pin<&mut S>) -> impl Future<Output = Option<S::Item>> {
    poll_fn(|context| stream.as_mut().poll_next(context))
}
