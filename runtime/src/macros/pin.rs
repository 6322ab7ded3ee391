//! `pin!`: pins values to the stack.

/// Pins the values of variables to the stack, or declares pinned variables.
///
/// `pin!(a, b)` replaces each variable by a [`Pin<&mut _>`](std::pin::Pin) to its former
/// value. The value can then be polled by reference, as in [`select!`](crate::select) in
/// a loop, and is dropped at the end of the block.
///
/// The macro takes variables, as tokio's does. For an expression use
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
            // The new variable shadows the value, so that the value cannot be moved again.
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
