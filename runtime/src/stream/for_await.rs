//! `for_await!`: a loop over a stream.

use std::future::poll_fn;
use std::pin::Pin;

use futures_core::Stream;

/// Runs a `for` loop over a stream: `for_await!(item in stream { .. })`.
///
/// It can be used wherever `.await` can. The macro pins the stream, so a stream that is
/// not pinned can be passed by value, an [`Unpin`] stream also as `&mut stream`, and a
/// pinned one as `stream.as_mut()`. `break`, `continue`, `return` and `?` work as in any
/// loop. A label is written before the pattern.
///
/// Leaving the loop early drops the stream, unless it was passed by reference.
///
/// # Cancel safety
///
/// Cancel safe: only items that the loop has already received are lost.
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

/// Collects the tokens of the stream one by one up to the block. A fragment of type
/// `expr` could not be followed by a block.
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
        // `match`, so that temporaries of the expression live as long as the loop, as in
        // `for`.
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

/// Waits for the next item of a stream.
///
/// # Cancel safety
///
/// Cancel safe: the future takes an item from the stream only when it completes.
#[doc(hidden)]
pub fn next<S: Stream>(stream: &mut Pin<&mut S>) -> impl Future<Output = Option<S::Item>> {
    poll_fn(|cx| stream.as_mut().poll_next(cx))
}
