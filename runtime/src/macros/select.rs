//! `select!`: waits for the first of several futures.
//!
//! The set of branches that are still to be polled is a `u64`, so there can be 64. Each
//! poll visits them in a new random order. It would not suffice to choose only the first
//! branch at random and continue in written order: a ready branch that follows one that
//! is not ready would win twice as often as the others.
//!
//! A match guard determines whether an output matches its pattern, because a guard runs
//! before the pattern moves anything. So the pattern is used as it is written, including
//! `mut`, `ref` and `&`.

use std::task::{Context, Poll};

use crate::engine::core::context;

/// Waits for the first of several futures, runs its handler, and drops the
/// others.
///
/// It can be used wherever `.await` can. Each branch has the form
///
/// ```text
/// pattern = future (, if condition)? => handler,
/// ```
///
/// and may be followed by a last branch `else => handler`. The handler is any expression:
/// it runs in the enclosing function, so `return`, `break`, `?` and `.await` apply there,
/// and its value is the value of the `select!`. The comma may be omitted after a handler
/// in braces, and after the last one. There can be up to 64 branches.
///
/// 1. The conditions are evaluated. A branch whose condition is false is
///    disabled.
/// 2. The future expressions are evaluated in the order in which they are written, also
///    in disabled branches. Everything that implements [`IntoFuture`] is accepted.
/// 3. The futures of enabled branches are polled whenever the task is woken, all in the
///    current task.
/// 4. When a future is ready and its output matches the pattern, all futures are
///    dropped, and then the handler runs. If the output does not match, it is
///    dropped and the branch is disabled.
/// 5. When all branches are disabled, the futures are dropped and the `else`
///    handler runs.
///
/// # Order
///
/// Each poll polls the branches in random order, so that each branch that is ready is
/// equally likely to win. With `biased;` before the first branch, they are polled in the
/// order in which they are written; a branch that is always ready then prevents the later
/// ones from ever being polled.
///
/// The random numbers come from the `fastrand` crate. A test that needs the same order
/// each time can call `fastrand::seed`.
///
/// If the task's [budget](crate::task::coop) is spent, no branch is polled until the task
/// is polled again.
///
/// # Cancel safety
///
/// Cancel safe: as far as each of the futures is. The futures that do not win are dropped.
/// If a loop creates a future anew in each iteration, the progress of the dropped one is
/// lost, unless its documentation says that it is cancel safe. To continue a future in the
/// next iteration, pin it before the loop with [`pin!`](crate::pin) and pass `&mut future`
/// to the branch.
///
/// # Panics
///
/// Panics if all branches are disabled and there is no `else`.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use coreloop::time::sleep;
///
/// # coreloop::block_on(async {
/// let work = coreloop::spawn(async { 6 * 7 });
/// let answer = coreloop::select! {
///     result = work => result.ok(),
///     () = sleep(Duration::from_secs(60)) => None,
/// };
/// assert_eq!(answer, Some(42));
/// # })
/// ```
///
/// One deadline for all iterations of a loop, and branches that are disabled:
///
/// ```
/// use std::time::Duration;
/// use coreloop::{pin, select, spawn, time::sleep};
///
/// # coreloop::block_on(async {
/// let deadline = sleep(Duration::from_secs(60));
/// let (one, two) = (spawn(async { 1 }), spawn(async { 2 }));
/// pin!(deadline, one, two);
///
/// let (mut first, mut second) = (None, None);
/// loop {
///     select! {
///         Ok(value) = &mut one, if first.is_none() => first = Some(value),
///         Ok(value) = &mut two, if second.is_none() => second = Some(value),
///         () = &mut deadline, if first.is_none() || second.is_none() => break,
///         else => break,
///     }
/// }
/// assert_eq!((first, second), (Some(1), Some(2)));
/// # })
/// ```
#[macro_export]
macro_rules! select {
    (biased; $($branches:tt)*) => {
        $crate::__select!(@start InOrder $($branches)*)
    };
    ($($branches:tt)*) => {
        $crate::__select!(@start Shuffled $($branches)*)
    };
}

/// The steps of `select!`: `@start`, a `@branch` for each branch, `@expand`.
///
/// Each branch takes a number and a name from a list. The name becomes a variant of the
/// output and its type parameter.
#[doc(hidden)]
#[macro_export]
macro_rules! __select {
    (@start $order:ident) => {
        ::std::compile_error!("select! needs at least one branch")
    };
    (@start $order:ident else => $otherwise:expr $(,)?) => {
        $otherwise
    };
    (@start $order:ident $($branches:tt)+) => {
        $crate::__select!(@branch $order {
            [0 B0] [1 B1] [2 B2] [3 B3] [4 B4] [5 B5] [6 B6] [7 B7]
            [8 B8] [9 B9] [10 B10] [11 B11] [12 B12] [13 B13] [14 B14] [15 B15]
            [16 B16] [17 B17] [18 B18] [19 B19] [20 B20] [21 B21] [22 B22] [23 B23]
            [24 B24] [25 B25] [26 B26] [27 B27] [28 B28] [29 B29] [30 B30] [31 B31]
            [32 B32] [33 B33] [34 B34] [35 B35] [36 B36] [37 B37] [38 B38] [39 B39]
            [40 B40] [41 B41] [42 B42] [43 B43] [44 B44] [45 B45] [46 B46] [47 B47]
            [48 B48] [49 B49] [50 B50] [51 B51] [52 B52] [53 B53] [54 B54] [55 B55]
            [56 B56] [57 B57] [58 B58] [59 B59] [60 B60] [61 B61] [62 B62] [63 B63]
        } {} {} $($branches)+)
    };

    // No branch is left.
    (@branch $order:ident $names:tt $branches:tt $last_first:tt) => {
        $crate::__select!(@expand $order $branches $last_first {
            ::std::panic!("all branches are disabled and there is no else branch")
        })
    };
    (@branch $order:ident $names:tt $branches:tt $last_first:tt
        else => $otherwise:expr $(,)?
    ) => {
        $crate::__select!(@expand $order $branches $last_first { $otherwise })
    };

    // More branches than names.
    (@branch $order:ident {} $branches:tt $last_first:tt $($rest:tt)+) => {
        ::std::compile_error!("select! takes up to 64 branches")
    };

    // A handler in braces, with a comma or without.
    (@branch $order:ident { [$($name:tt)+] $($names:tt)* } { $($branches:tt)* } { $($last_first:tt)* }
        $pattern:pat = $future:expr $(, if $condition:expr)? => $handler:block, $($rest:tt)*
    ) => {
        $crate::__select!(@branch $order { $($names)* } {
            $($branches)*
            [$($name)+ future $pattern = $future, if ($($condition)?) => $handler]
        } { future $($last_first)* } $($rest)*)
    };
    (@branch $order:ident { [$($name:tt)+] $($names:tt)* } { $($branches:tt)* } { $($last_first:tt)* }
        $pattern:pat = $future:expr $(, if $condition:expr)? => $handler:block $($rest:tt)*
    ) => {
        $crate::__select!(@branch $order { $($names)* } {
            $($branches)*
            [$($name)+ future $pattern = $future, if ($($condition)?) => $handler]
        } { future $($last_first)* } $($rest)*)
    };
    // Any other handler, with a comma or, if it is the last one, without.
    (@branch $order:ident { [$($name:tt)+] $($names:tt)* } { $($branches:tt)* } { $($last_first:tt)* }
        $pattern:pat = $future:expr $(, if $condition:expr)? => $handler:expr, $($rest:tt)*
    ) => {
        $crate::__select!(@branch $order { $($names)* } {
            $($branches)*
            [$($name)+ future $pattern = $future, if ($($condition)?) => $handler]
        } { future $($last_first)* } $($rest)*)
    };
    (@branch $order:ident { [$($name:tt)+] $($names:tt)* } { $($branches:tt)* } { $($last_first:tt)* }
        $pattern:pat = $future:expr $(, if $condition:expr)? => $handler:expr
    ) => {
        $crate::__select!(@branch $order { $($names)* } {
            $($branches)*
            [$($name)+ future $pattern = $future, if ($($condition)?) => $handler]
        } { future $($last_first)* })
    };

    (@expand $order:ident { $(
        [$number:literal $name:ident $variable:ident
            $pattern:pat = $future:expr, if ($($condition:expr)?) => $handler:expr]
    )+ } { $($last_first:ident)+ } { $otherwise:expr }) => {{
        // In a module, because user code can refer to items of an expansion.
        #[doc(hidden)]
        mod __coreloop_select {
            pub(super) enum Output<$($name),+> {
                $($name($name),)+
                Disabled,
            }
        }

        let mut enabled = 0_u64;
        $(
            if true $(&& $condition)? {
                enabled |= 1 << $number;
            }
        )+

        // The futures are dropped before a handler runs.
        let mut output = {
            $( let $variable = $future; )+
            $( let $variable = $crate::macros::IntoFuture::into_future($variable); )+
            $( let mut $last_first = $crate::macros::pin!($last_first); )+
            $crate::macros::poll_fn(|cx| {
                $crate::macros::ready!($crate::macros::poll_budget_left(cx));
                let mut order = $crate::macros::$order::new(enabled);
                while let $crate::macros::Option::Some(branch) = order.take() {
                    match branch {
                        $(
                            $number => {
                                let poll = $crate::macros::Future::poll($variable.as_mut(), cx);
                                if let $crate::macros::Poll::Ready(mut output) = poll {
                                    enabled &= !(1 << $number);
                                    let mut matches = false;
                                    #[allow(unused_variables, unused_mut, unreachable_patterns)]
                                    match output {
                                        $pattern if $crate::macros::saw(&mut matches) => ::std::unreachable!(),
                                        _ => {}
                                    }
                                    if matches {
                                        return $crate::macros::Poll::Ready(
                                            __coreloop_select::Output::$name(output)
                                        );
                                    }
                                }
                            }
                        )+
                        _ => ::std::unreachable!(),
                    }
                }
                if enabled == 0 {
                    $crate::macros::Poll::Ready(__coreloop_select::Output::Disabled)
                } else {
                    $crate::macros::Poll::Pending
                }
            })
            .await
        };

        match output {
            $( __coreloop_select::Output::$name($pattern) => $handler, )+
            __coreloop_select::Output::Disabled => $otherwise,
            #[allow(unreachable_patterns)]
            _ => ::std::unreachable!("the pattern of a select! branch matched once only"),
        }
    }};
}

/// The branches that are still to be polled, in the order in which they are written.
#[derive(Debug)]
pub struct InOrder(u64);

impl InOrder {
    #[must_use]
    #[inline]
    pub fn new(enabled: u64) -> Self {
        Self(enabled)
    }

    /// Removes and returns the next branch.
    #[inline]
    pub fn take(&mut self) -> Option<u32> {
        take_nth(&mut self.0, 0)
    }
}

/// The branches that are still to be polled, in random order.
#[derive(Debug)]
pub struct Shuffled(u64);

impl Shuffled {
    #[must_use]
    #[inline]
    pub fn new(enabled: u64) -> Self {
        Self(enabled)
    }

    /// Removes and returns a branch; all are equally likely.
    #[inline]
    pub fn take(&mut self) -> Option<u32> {
        let nth = match self.0.count_ones() {
            0 | 1 => 0,
            count => fastrand::u32(..count),
        };
        take_nth(&mut self.0, nth)
    }
}

/// Clears the `nth` of the set bits of `bits`, and returns its index.
#[inline]
fn take_nth(bits: &mut u64, nth: u32) -> Option<u32> {
    if *bits == 0 {
        return None;
    }
    let mut left = *bits;
    for _ in 0..nth {
        left &= left - 1;
    }
    let taken = left.trailing_zeros();
    *bits &= !(1 << taken);
    Some(taken)
}

/// Returns `Pending`, and wakes the task, if its budget is spent.
#[inline]
pub fn poll_budget_left(cx: &mut Context<'_>) -> Poll<()> {
    context::with_running(|event_loop| event_loop.tasks.budget.poll_spent(cx))
        .unwrap_or(Poll::Ready(()))
}

/// A match guard that records that the pattern matched, and rejects the arm.
#[inline]
pub fn saw(matches: &mut bool) -> bool {
    *matches = true;
    false
}
