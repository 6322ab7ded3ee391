//! `pin!`: values pinned where they are.

/// Pins variables where they are, or declares pinned ones.
///
/// `pin!(a, b)` makes each variable a [`Pin<&mut _>`](std::pin::Pin) to the
/// value that it had. The value can then be polled by reference, as in
/// [`select!`](crate::select) in a loop, and is dropped at the end of the block.
///
/// It takes variables, as tokio's macro does. For an expression there is
/// [`std::pin::pin!`].
///
/// # Examples
///
/// ```
/// use coreloop::{pin, select, task::yield_now};
///
/// async fn work() -> u8 {
///     yield_now().await;
///     7
/// }
///
/// # coreloop::block_on(async {
/// let first = work();
/// pin!(first);
/// assert_eq!((&mut first).await, 7);
///
/// pin! {
///     let second = work();
///     let third = work();
/// }
/// let value = select! {
///     value = &mut second => value,
///     value = &mut third => value,
/// };
/// assert_eq!(value, 7);
/// # })
/// ```
#[macro_export]
macro_rules! pin {
    ($($variable:ident),* $(,)?) => {
        $(
            // The value can be named no more, so it does not move again.
            #[allow(unused_mut)]
            let mut $variable = $crate::macros::pin!($variable);
        )*
    };
    ($(let $variable:ident = $value:expr;)*) => {
        $(
            let $variable = $value;
            #[allow(unused_mut)]
            let mut $variable = $crate::macros::pin!($variable);
        )*
    };
}
