//! `join!` and `try_join!`: wait for all of several futures.
//!
//! Each poll passes over the branches twice: from the branch that is first in this poll
//! to the end, and then from the start up to that branch.

use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

/// Waits for all of several futures, and returns a tuple of their outputs.
///
/// It can be used wherever `.await` can, with everything that implements [`IntoFuture`].
/// All futures run in the current task, and are polled whenever the task is woken. To
/// schedule them independently, spawn them and join the handles.
///
/// In each poll a different future is polled first, so that one that spends the task's
/// [budget](crate::task::coop) does not starve the others. With `biased;` before the first
/// future, they are always polled in the order in which they are written.
///
/// # Cancel safety
///
/// Cancel safe: as far as each of the futures is. The outputs of futures that have
/// completed are dropped.
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

/// Waits for all of several futures that return a [`Result`], or for the first error.
///
/// Returns `Ok` with a tuple of the values, or the first `Err`, and then drops the futures
/// that have not completed. All errors have the same type. Otherwise this is like
/// [`join!`](crate::join), including `biased;`.
///
/// # Cancel safety
///
/// Cancel safe: as far as each of the futures is. The outputs of futures that have
/// completed are dropped.
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

/// The steps of both macros: a `@branch` for each branch, then `@join` or `@try_join`.
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
        $crate::macros::poll_fn(|cx| {
            let mut all_done = true;
            for mut range in rotation.next([$(::std::stringify!($branch)),+].len()) {
                $(
                    if range.has_next() {
                        all_done &= $branch.as_mut().poll(cx).is_ready();
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
        $crate::macros::poll_fn(|cx| {
            let mut all_done = true;
            for mut range in rotation.next([$(::std::stringify!($branch)),+].len()) {
                $(
                    if range.has_next() {
                        match $branch.as_mut().try_poll(cx) {
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

/// The branch that is polled first in the next poll.
#[derive(Debug)]
pub struct Rotation {
    rotating: bool,
    first: usize,
}

impl Rotation {
    #[must_use]
    #[inline]
    pub fn new(rotating: bool) -> Self {
        Self { rotating, first: 0 }
    }

    /// Returns the two passes of a poll, which together visit all `count` branches.
    #[inline]
    pub fn next(&mut self, count: usize) -> [InTurn; 2] {
        let first = self.first;
        if self.rotating {
            self.first = if first + 1 == count { 0 } else { first + 1 };
        }
        [InTurn::new(first..count), InTurn::new(0..first)]
    }
}

/// A pass over the branches that polls only a range of them.
#[derive(Debug)]
pub struct InTurn {
    at: usize,
    branches: Range<usize>,
}

impl InTurn {
    #[inline]
    fn new(branches: Range<usize>) -> Self {
        Self { at: 0, branches }
    }

    /// Advances to the next branch, and returns `true` if the pass polls it.
    #[inline]
    pub fn has_next(&mut self) -> bool {
        let at = self.at;
        self.at += 1;
        self.branches.contains(&at)
    }
}

pin_project! {
    /// A future that is replaced by its output.
    #[project = MaybeDoneProjection]
    #[project_replace = MaybeDoneReplaced]
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
    pub fn new(future: impl IntoFuture<IntoFuture = F>) -> Self {
        Self::Future {
            future: future.into_future(),
        }
    }

    /// Polls the future if it has not completed. Ready when the output is stored.
    #[inline]
    pub fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let MaybeDoneProjection::Future { future } = self.as_mut().project() {
            match future.poll(cx) {
                Poll::Ready(output) => self.set(Self::Done { output }),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }

    /// Takes the output.
    ///
    /// # Panics
    ///
    /// Panics if the future has not completed, or the output was taken.
    #[inline]
    #[must_use]
    pub fn take(self: Pin<&mut Self>) -> F::Output {
        match self.project_replace(Self::Taken) {
            MaybeDoneReplaced::Done { output } => output,
            _ => panic!("join! polled after completion"),
        }
    }
}

impl<F, T, E> MaybeDone<F>
where
    F: Future<Output = Result<T, E>>,
{
    /// Polls the future if it has not completed. Ready when a value is stored, or with the
    /// error.
    #[inline]
    pub fn try_poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        if let MaybeDoneProjection::Future { future } = self.as_mut().project() {
            match future.poll(cx) {
                Poll::Ready(Ok(value)) => self.set(Self::Done { output: Ok(value) }),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes the value.
    ///
    /// # Panics
    ///
    /// Panics if the future has not completed, or the value was taken.
    #[inline]
    #[must_use]
    pub fn take_ok(self: Pin<&mut Self>) -> T {
        match self.take() {
            Ok(value) => value,
            Err(_) => unreachable!("an error ends try_join! at once"),
        }
    }
}
