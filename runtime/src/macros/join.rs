//! `join!` and `try_join!`: all of several futures.
//!
//! Each poll goes through the branches twice: the first time from the branch
//! whose turn it is to be first, the second time up to it.

use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

/// Waits for all of several futures, and gives a tuple of their outputs.
///
/// It is used where `.await` may be. The futures are polled whenever the task is
/// woken, all in the one task; to have them run by turns with others, spawn
/// them and join the handles. All that [`IntoFuture`] takes will do.
///
/// In each poll another one is looked at first, so that one that spends the
/// task's [budget](crate::task::coop) does not keep the others from it. With
/// `biased;` before the first they are always polled in the order in which they
/// are written.
///
/// # Cancel safety
///
/// Cancel safe: as far as each of the futures is. Outputs of those that were
/// ready already are dropped.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use coreloop::{join, time::sleep};
///
/// # coreloop::block_on(async {
/// let (first, second) = join!(
///     async {
///         sleep(Duration::from_millis(1)).await;
///         "slow"
///     },
///     async { "fast" },
/// );
/// assert_eq!((first, second), ("slow", "fast"));
/// # })
/// ```
#[macro_export]
macro_rules! join {
    (biased; $($future:expr),* $(,)?) => {
        $crate::__join!(@branch join false {} {} $($future,)*)
    };
    ($($future:expr),* $(,)?) => {
        $crate::__join!(@branch join true {} {} $($future,)*)
    };
}

/// Waits for all of several futures whose outputs are a [`Result`], or for the
/// first error.
///
/// It gives `Ok` of a tuple of what the outputs hold; or the first `Err`, and
/// then drops the futures that are not over. The errors are of one type. Else
/// it is as [`join!`](crate::join), `biased;` included.
///
/// # Cancel safety
///
/// Cancel safe: as far as each of the futures is. Outputs of those that were
/// ready already are dropped.
///
/// # Examples
///
/// ```
/// use std::num::ParseIntError;
/// use coreloop::try_join;
///
/// async fn parse(text: &str) -> Result<u8, ParseIntError> {
///     text.parse()
/// }
///
/// # coreloop::block_on(async {
/// assert_eq!(try_join!(parse("1"), parse("2")), Ok((1, 2)));
/// assert!(try_join!(parse("1"), parse("two")).is_err());
/// # })
/// ```
#[macro_export]
macro_rules! try_join {
    (biased; $($future:expr),* $(,)?) => {
        $crate::__join!(@branch try_join false {} {} $($future,)*)
    };
    ($($future:expr),* $(,)?) => {
        $crate::__join!(@branch try_join true {} {} $($future,)*)
    };
}

/// The steps of both: a `@branch` for each branch, then one named as the macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __join {
    (@branch $kind:ident $rotating:literal { $($branches:tt)* } { $($last_first:tt)* }
        $future:expr, $($rest:tt)*
    ) => {
        $crate::__join!(@branch $kind $rotating
            { $($branches)* [branch $future] } { branch $($last_first)* } $($rest)*)
    };
    (@branch $kind:ident $rotating:literal $branches:tt $last_first:tt) => {
        $crate::__join!(@$kind $rotating $branches $last_first)
    };

    (@join $rotating:literal {} {}) => { () };
    (@try_join $rotating:literal {} {}) => { $crate::macros::Result::Ok(()) };

    (@join $rotating:literal { $([$branch:ident $future:expr])+ } { $($last_first:ident)+ }) => {{
        $( let $branch = $future; )+
        $( let $branch = $crate::macros::MaybeDone::new($branch); )+
        $( let mut $last_first = $crate::macros::pin!($last_first); )+
        let mut rotation = $crate::macros::Rotation::new($rotating);
        $crate::macros::poll_fn(|context| {
            let mut all_done = true;
            for mut range in rotation.next([$(::std::stringify!($branch)),+].len()) {
                $(
                    if range.has_next() {
                        all_done &= $branch.as_mut().poll(context).is_ready();
                    }
                )+
            }
            if all_done {
                $crate::macros::Poll::Ready(($($branch.as_mut().take(),)+))
            } else {
                $crate::macros::Poll::Pending
            }
        })
        .await
    }};
    (@try_join $rotating:literal { $([$branch:ident $future:expr])+ } { $($last_first:ident)+ }) => {{
        $( let $branch = $future; )+
        $( let $branch = $crate::macros::MaybeDone::new($branch); )+
        $( let mut $last_first = $crate::macros::pin!($last_first); )+
        let mut rotation = $crate::macros::Rotation::new($rotating);
        $crate::macros::poll_fn(|context| {
            let mut all_done = true;
            for mut range in rotation.next([$(::std::stringify!($branch)),+].len()) {
                $(
                    if range.has_next() {
                        match $branch.as_mut().try_poll(context) {
                            $crate::macros::Poll::Ready($crate::macros::Result::Ok(())) => {}
                            $crate::macros::Poll::Ready($crate::macros::Result::Err(error)) => {
                                return $crate::macros::Poll::Ready(
                                    $crate::macros::Result::Err(error)
                                );
                            }
                            $crate::macros::Poll::Pending => all_done = false,
                        }
                    }
                )+
            }
            if all_done {
                $crate::macros::Poll::Ready($crate::macros::Result::Ok(
                    ($($branch.as_mut().take_ok(),)+)
                ))
            } else {
                $crate::macros::Poll::Pending
            }
        })
        .await
    }};
}

/// Whose turn it is to be first.
#[derive(Debug)]
pub struct Rotation {
    rotating: bool,
    first: usize,
}

impl Rotation {
    #[must_use]
    #[inline]
    pub fn new(rotating: bool) -> Rotation {
        Rotation { rotating, first: 0 }
    }

    /// The branches for two passes through all `count` of them.
    #[inline]
    pub fn next(&mut self, count: usize) -> [InTurn; 2] {
        let first = self.first;
        if self.rotating {
            self.first = if first + 1 == count { 0 } else { first + 1 };
        }
        [InTurn::new(first..count), InTurn::new(0..first)]
    }
}

/// A pass through the branches that is to stop at some only.
#[derive(Debug)]
pub struct InTurn {
    at: usize,
    branches: Range<usize>,
}

impl InTurn {
    #[inline]
    fn new(branches: Range<usize>) -> InTurn {
        InTurn { at: 0, branches }
    }

    /// Whether it stops at the next branch.
    #[inline]
    pub fn has_next(&mut self) -> bool {
        let at = self.at;
        self.at += 1;
        self.branches.contains(&at)
    }
}

pin_project! {
    /// A future that is replaced by its output.
    #[project = Stage]
    #[project_replace = Before]
    #[derive(Debug)]
    pub enum MaybeDone<F: Future> {
        Future {
            #[pin]
            future: F,
        },
        Done {
            output: F::Output,
        },
        Taken,
    }
}

impl<F: Future> MaybeDone<F> {
    #[inline]
    pub fn new(future: impl IntoFuture<IntoFuture = F>) -> MaybeDone<F> {
        MaybeDone::Future {
            future: future.into_future(),
        }
    }

    /// Ready when the output is there.
    #[inline]
    pub fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Stage::Future { future } = self.as_mut().project() {
            match future.poll(context) {
                Poll::Ready(output) => self.set(MaybeDone::Done { output }),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }

    /// The output.
    ///
    /// # Panics
    ///
    /// If it is not there, or was taken.
    #[inline]
    #[must_use]
    pub fn take(self: Pin<&mut Self>) -> F::Output {
        match self.project_replace(MaybeDone::Taken) {
            Before::Done { output } => output,
            _ => panic!("join! polled after completion"),
        }
    }
}

impl<F, T, E> MaybeDone<F>
where
    F: Future<Output = Result<T, E>>,
{
    /// Ready when the output is there; an error is taken.
    #[inline]
    pub fn try_poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), E>> {
        if let Stage::Future { future } = self.as_mut().project() {
            match future.poll(context) {
                Poll::Ready(Ok(value)) => self.set(MaybeDone::Done { output: Ok(value) }),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The value.
    ///
    /// # Panics
    ///
    /// If it is not there, or was taken.
    #[inline]
    #[must_use]
    pub fn take_ok(self: Pin<&mut Self>) -> T {
        match self.take() {
            Ok(value) => value,
            Err(_) => unreachable!("an error ends try_join! at once"),
        }
    }
}
