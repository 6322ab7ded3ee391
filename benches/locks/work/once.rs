//! Operations that happen once, so that each piece of work creates new objects.

use std::hint::black_box;
use std::rc::Rc;
use std::time::Duration;

use super::rounds::rounds;
use super::{CancellationToken, OnceCell, SetOnce, spawn};
use crate::tasks::in_tasks;
use crate::yielding::Yield;

/// The number of objects created at a time, which is not measured.
const AT_A_TIME: u64 = 1024;

/// The first task makes the value, and the others wait for it.
pub(crate) async fn cell(tasks: usize, pieces: u64) -> Duration {
    in_portions(
        pieces,
        OnceCell::<u64>::new,
        async |cells: Rc<[OnceCell<u64>]>| {
            in_tasks(tasks, spawn, || {
                let cells = Rc::clone(&cells);
                async move {
                    for cell in &*cells {
                        let make = async || {
                            Yield::default().await;
                            7
                        };
                        black_box(cell.get_or_init(make).await);
                    }
                }
            })
            .await
        },
    )
    .await
}

pub(crate) async fn set(waiters: usize, pieces: u64) -> Duration {
    in_portions(
        pieces,
        SetOnce::<u64>::new,
        async |cells: Rc<[SetOnce<u64>]>| {
            let awaited = Rc::clone(&cells);
            rounds(
                waiters,
                cells.len() as u64,
                async move |round| {
                    black_box(awaited[index(round)].wait().await);
                },
                async move |round| cells[index(round)].set(7).expect("no other task sets it"),
            )
            .await
        },
    )
    .await
}

pub(crate) async fn cancel(waiters: usize, pieces: u64) -> Duration {
    let work = async |tokens: Rc<[CancellationToken]>| {
        let awaited = Rc::clone(&tokens);
        rounds(
            waiters,
            tokens.len() as u64,
            async move |round| awaited[index(round)].cancelled().await,
            async move |round| tokens[index(round)].cancel(),
        )
        .await
    };
    in_portions(pieces, CancellationToken::new, work).await
}

async fn in_portions<T>(
    mut pieces: u64,
    make: impl Fn() -> T,
    work: impl AsyncFn(Rc<[T]>) -> Duration,
) -> Duration {
    let mut elapsed = Duration::ZERO;
    while pieces > 0 {
        let portion = pieces.min(AT_A_TIME);
        elapsed += work((0..portion).map(|_| make()).collect()).await;
        pieces -= portion;
    }
    elapsed
}

/// Converts a number of rounds, which is at most a portion, to an index.
fn index(round: u64) -> usize {
    usize::try_from(round).unwrap_or(usize::MAX)
}
