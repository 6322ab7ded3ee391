//! Generators that may fail.

use std::fmt;
use std::panic::Location;

use crate::stream::co::{Co, Yield};
use crate::stream::ending::TryBody;
use crate::stream::generator::Gen;

/// Creates a stream of the items that an async function yields, until it fails.
///
/// The items are `Ok` of what `body` yields. If the body returns an error, the error is
/// the last item. Otherwise this is like [`stream`](super::stream()).
///
/// To use `?` after a yield, the error type must be convertible from
/// [`Closed`](super::Closed), as [`std::io::Error`] and boxed errors are.
///
/// # Examples
///
/// ```
/// use coreloop::stream::try_stream;
/// use std::pin::pin;
///
/// # coreloop::block_on(async {
/// let mut numbers = pin!(try_stream(async |mut co| {
///     for text in ["1", "2", "three", "4"] {
///         let number: u8 = text.parse()?;
///         co.yield_(number).await?;
///     }
///     Ok::<(), Box<dyn std::error::Error>>(())
/// }));
/// assert_eq!(numbers.next().await.unwrap().unwrap(), 1);
/// assert_eq!(numbers.next().await.unwrap().unwrap(), 2);
/// assert!(numbers.next().await.unwrap().is_err());
/// assert!(numbers.next().await.is_none());
/// # })
/// ```
pub fn try_stream<T, E, F, B>(body: B) -> TryGen<T, E, F>
where
    B: FnOnce(TryCo<T, E>) -> F,
    F: Future<Output = Result<(), E>>,
{
    Gen::new(|co| TryBody::new(body(TryCo { co })))
}

/// Creates a generator that may fail and whose consumer answers each item.
///
/// It is to [`try_stream`] what [`generator`](super::generator()) is to
/// [`stream`](super::stream()).
pub fn try_generator<T, E, R, F, B>(body: B) -> TryGen<T, E, F, R>
where
    B: FnOnce(TryCo<T, E, R>) -> F,
    F: Future<Output = Result<(), E>>,
{
    Gen::new(|co| TryBody::new(body(TryCo { co })))
}

/// A generator that may fail, which [`try_stream`] creates.
pub type TryGen<T, E, F, R = ()> = Gen<Result<T, E>, TryBody<F>, R>;

/// A handle with which the body of a generator that may fail yields items: see
/// [`try_stream`].
///
/// It works like a [`Co`].
pub struct TryCo<T, E, R = ()> {
    co: Co<Result<T, E>, R>,
}

impl<T, E, R> TryCo<T, E, R> {
    /// Yields `item` to the consumer, and waits until the consumer requests the next one.
    /// See [`Co::yield_`].
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: if the future is dropped during the same poll of the body in which
    /// it was first polled, the item is dropped with it. Later the consumer has the item,
    /// and only the answer is lost.
    ///
    /// # Errors
    ///
    /// Returns [`Closed`](super::Closed) if the consumer has closed the generator.
    ///
    /// # Panics
    ///
    /// Panics if it is polled while its generator is not, or inside a cancel scope that
    /// the body of the generator entered.
    #[inline]
    #[track_caller]
    pub fn yield_(&mut self, item: T) -> Yield<'_, Result<T, E>, R> {
        self.co.yield_at(Ok(item), Location::caller())
    }
}

impl<T, E, R> fmt::Debug for TryCo<T, E, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TryCo").field(&self.co).finish()
    }
}
