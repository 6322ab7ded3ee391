//! Several futures of one task that request the same lock.
//!
//! A lock that was granted to a future stays with it while the task polls that future. If a
//! whole poll of the task did not poll the future, another future of the task may take the
//! lock over. Both are checked with each lock, and with each way in which a task polls
//! several futures.

mod left_behind;
mod random;
mod turns;

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use coreloop::scope::scope;
use coreloop::task::yield_now;
use coreloop::{join, select};
use futures_util::StreamExt;
use futures_util::stream::{self, FuturesUnordered};

type Boxed<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Calls `step` with a number in each poll of the task, until it returns true.
async fn steps(mut step: impl FnMut(u32, &mut Context<'_>) -> bool) {
    let mut number = 0;
    poll_fn(|cx| {
        if step(number, cx) {
            return Poll::Ready(());
        }
        number += 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A way in which a task polls two futures until both complete.
struct Combinator {
    name: &'static str,
    both: for<'a> fn(Boxed<'a>, Boxed<'a>) -> Boxed<'a>,
}

/// All of these poll both futures while they are pending.
const COMBINATORS: &[Combinator] = &[
    Combinator {
        name: "join!",
        both: |first, second| {
            Box::pin(async {
                join!(first, second);
            })
        },
    },
    Combinator {
        name: "biased join!",
        both: |first, second| {
            Box::pin(async {
                join!(biased; first, second);
            })
        },
    },
    Combinator {
        name: "biased join! in reverse",
        both: |first, second| {
            Box::pin(async {
                join!(biased; second, first);
            })
        },
    },
    Combinator {
        name: "select! in a loop",
        both: |mut first, mut second| {
            Box::pin(async move {
                let mut done = [false; 2];
                while done != [true; 2] {
                    select! {
                        biased;
                        () = &mut first, if !done[0] => done[0] = true,
                        () = &mut second, if !done[1] => done[1] = true,
                    }
                }
            })
        },
    },
    Combinator {
        name: "future::join of futures-util",
        both: |first, second| {
            Box::pin(async {
                futures_util::future::join(first, second).await;
            })
        },
    },
    Combinator {
        name: "zip of futures-lite",
        both: |first, second| {
            Box::pin(async {
                futures_lite::future::zip(first, second).await;
            })
        },
    },
    Combinator {
        name: "FuturesUnordered",
        both: |first, second| {
            Box::pin(async {
                let mut futures = FuturesUnordered::from_iter([first, second]);
                while futures.next().await.is_some() {}
            })
        },
    },
    Combinator {
        name: "buffer_unordered",
        both: |first, second| {
            Box::pin(async {
                let mut futures = stream::iter([first, second]).buffer_unordered(2);
                while futures.next().await.is_some() {}
            })
        },
    },
    Combinator {
        name: "scope",
        both: |first, second| {
            Box::pin(async {
                scope(async |scope| {
                    let _handle = scope.spawn(first);
                    let _handle = scope.spawn(second);
                })
                .await;
            })
        },
    },
    Combinator {
        name: "FuturesUnordered in join! in FuturesUnordered",
        both: |first, second| {
            let inner: Boxed<'_> = Box::pin(async {
                let mut inner = FuturesUnordered::from_iter([first]);
                join!(inner.next(), yield_now());
            });
            Box::pin(async {
                let mut outer = FuturesUnordered::from_iter([inner, second]);
                while outer.next().await.is_some() {}
            })
        },
    },
];
