//! `select!`: the first of several futures.
//!
//! Which branches are left to look at is a set of bits, so there can be 64. In
//! each poll they are looked at in an order drawn anew. A random first branch
//! with the others after it in turn would not do: a ready branch that follows
//! one that is not would win twice as often as the others.
//!
//! Whether an output matches its pattern is found out by the guard of a match
//! arm, which sees what the pattern binds before anything is moved. So the
//! pattern is used as it is written, `mut`, `ref` and `&` included.

use std::task::{Context, Poll};

use crate::engine::core::context;

/// Waits for the first of several futures, runs its handler, and drops the
/// others.
///
/// It is used where `.await` may be. Each branch is
///
/// ```text
/// pattern = future (, if condition)? => handler,
/// ```
///
/// and one more may follow the others: `else => handler`. The handler is any
/// expression of the enclosing function: `return`, `break`, `?` and `.await`
/// act there, and its value is the value of the `select!`. The comma may be
/// missing after a handler in braces, and after the last one. There are up to
/// 64 branches.
///
/// 1. The conditions are evaluated. A branch whose condition is false is
///    disabled.
/// 2. The futures are evaluated, in the order in which they are written, those
///    of disabled branches too. All that [`IntoFuture`] takes will do.
/// 3. The futures of enabled branches are polled whenever the task is woken,
///    all in the one task.
/// 4. When one is ready and its output matches the pattern, every future is
///    dropped, and then the handler runs. If the output does not match, it is
///    dropped and the branch is disabled.
/// 5. When all branches are disabled, the futures are dropped and the `else`
///    handler runs.
///
/// # Order
///
/// In each poll the branches are looked at in random order, so that of those
/// that are ready each is as likely to win as any other. With `biased;` before
/// the first branch it is the order in which they are written: a branch that
/// is always ready then keeps the later ones from ever being looked at.
///
/// The random numbers are those of the `fastrand` crate; a test that
/// has to see the same order each time seeds them by `fastrand::seed`.
///
/// If the task's [budget](crate::task::coop) is spent, no branch is polled
/// before the task's next turn.
///
/// # Cancel safety
///
/// Cancel safe: as far as each of the futures is. Those that are not ready first
/// are dropped: where one is made anew in a loop, what it has done by then is
/// lost, unless its documentation says that it is cancel safe. To go on with a
/// future in the next round, pin it before the loop with [`pin!`](crate::pin)
/// and give `&mut future` to the branch.
///
/// # Panics
///
/// If all branches are disabled and there is no `else`.
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
/// One deadline for all rounds of a loop, and branches that are disabled:
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
/// Each branch takes a number and a name from a list. The name is for a variant
/// of the output and its type.
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

    // A branch more than there are names.
    (@branch $order:ident {} $branches:tt $last_first:tt $($rest:tt)+) => {
        ::std::compile_error!("select! takes up to 64 branches")
    };

    // A handler in braces, with a comma and without.
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
    // Any other handler, with a comma and, if it is the last, without.
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
        // In a module, as an expression of the user's can see items.
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
            $crate::macros::poll_fn(|context| {
                $crate::macros::ready!($crate::macros::poll_budget_left(context));
                let mut order = $crate::macros::$order::new(enabled);
                while let $crate::macros::Option::Some(branch) = order.take() {
                    match branch {
                        $(
                            $number => {
                                let poll = $crate::macros::Future::poll($variable.as_mut(), context);
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

/// The branches that a poll has yet to look at, first to last.
#[derive(Debug)]
pub struct InOrder(u64);

impl InOrder {
    #[must_use]
    #[inline]
    pub fn new(enabled: u64) -> InOrder {
        InOrder(enabled)
    }

    /// Takes the next one out.
    #[inline]
    pub fn take(&mut self) -> Option<u32> {
        take_nth(&mut self.0, 0)
    }
}

/// The branches that a poll has yet to look at, in random order.
#[derive(Debug)]
pub struct Shuffled(u64);

impl Shuffled {
    #[must_use]
    #[inline]
    pub fn new(enabled: u64) -> Shuffled {
        Shuffled(enabled)
    }

    /// Takes one out, any with the same likelihood.
    #[inline]
    pub fn take(&mut self) -> Option<u32> {
        let nth = match self.0.count_ones() {
            0 | 1 => 0,
            count => fastrand::u32(..count),
        };
        take_nth(&mut self.0, nth)
    }
}

/// Takes the `nth` of the bits that are set out of `bits`.
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

/// Pending, with the task woken, if its budget is spent.
#[inline]
pub fn poll_budget_left(context: &mut Context<'_>) -> Poll<()> {
    context::with_running(|event_loop| event_loop.tasks.budget.poll_spent(context))
        .unwrap_or(Poll::Ready(()))
}

/// As a guard: notes that the pattern matched, and does not let the arm have it.
#[inline]
pub fn saw(matches: &mut bool) -> bool {
    *matches = true;
    false
}
