//! `OnceCell`: the value is made once, by the first task that succeeds.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Poll;

use coreloop::sync::{Event, OnceCell, SetError};
use coreloop::task::yield_now;

use coreloop_test_support::sequence;
use coreloop_test_support::waiter::{Waiter, ready};

#[test]
fn the_value_is_made_once_and_later_tasks_wait() {
    coreloop::block_on(async {
        let cell = Rc::new(OnceCell::new());
        let made = Rc::new(Cell::new(0));
        let tasks: Vec<_> = (0..5)
            .map(|number| {
                let (cell, made) = (Rc::clone(&cell), Rc::clone(&made));
                coreloop::spawn(async move {
                    *cell
                        .get_or_init(|| async {
                            yield_now().await;
                            made.set(made.get() + 1);
                            number
                        })
                        .await
                })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), 0);
        }
        assert_eq!(made.get(), 1);
    });
}

#[test]
fn the_next_task_makes_the_value_after_a_failure_panic_or_abort() {
    coreloop::block_on(async {
        let cell = Rc::new(OnceCell::new());
        let failed: Result<&u32, &str> = cell.get_or_try_init(async || Err("no")).await;
        assert_eq!(failed, Err("no"));
        let task = coreloop::spawn({
            let cell = Rc::clone(&cell);
            async move { *cell.get_or_init(async || panic!("no")).await }
        });
        assert!(task.await.unwrap_err().is_panic());

        let mut cancelled = Waiter::new(cell.get_or_init(std::future::pending::<u32>));
        let mut next = Waiter::new(cell.get_or_init(async || 2));
        assert!(!cancelled.is_ready() && !next.is_ready());
        assert_eq!(cell.set(3), Err(SetError::InitializingError(3)));
        cancelled.cancel();
        assert_eq!(next.woken(), 1);
        assert_eq!(*ready(next.poll()), 2);
    });
}

#[test]
fn a_value_can_be_set_and_taken() {
    let mut cell = OnceCell::const_new();
    assert!(!cell.initialized() && cell.get().is_none() && cell.get_mut().is_none());
    assert_eq!(cell.set(1), Ok(()));
    let error = cell.set(2).unwrap_err();
    assert_eq!(error, SetError::AlreadyInitializedError(2));
    assert!(error.is_already_init_err() && !error.is_initializing_err());
    assert_eq!(error.to_string(), "AlreadyInitializedError");
    assert_eq!(
        SetError::InitializingError(0).to_string(),
        "InitializingError"
    );
    *cell.get_mut().unwrap() += 1;
    assert_eq!(cell, OnceCell::from(2));
    assert_eq!(cell.clone(), OnceCell::new_with(Some(2)));
    assert_eq!(format!("{cell:?}"), "OnceCell { value: Some(2) }");
    assert_eq!(cell.take(), Some(2));
    assert_eq!(cell, OnceCell::default());
    assert_eq!(cell.set(3), Ok(()));
    assert_eq!(cell.into_inner(), Some(3));
    assert_eq!(OnceCell::new_with(None::<u8>).into_inner(), None);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    Queued,
    /// It has the permit to make the value, but was not polled since.
    Granted,
    Making,
    /// The cell has a value.
    Done,
}

struct Live<'a> {
    waiter: Waiter<'a, Result<usize, ()>>,
    number: usize,
    state: State,
    fails: bool,
}

/// When `go` is set, makes the value or fails.
async fn make(cell: &OnceCell<usize>, go: &Event, number: usize, fails: bool) -> Result<usize, ()> {
    let make = async || {
        go.wait().await;
        if fails { Err(()) } else { Ok(number) }
    };
    cell.get_or_try_init(make).await.copied()
}

/// Lets the next in the queue make the value.
fn pass_on(queue: &mut VecDeque<usize>, live: &mut [Live<'_>]) {
    let next = queue.pop_front();
    for it in live.iter_mut().filter(|it| Some(it.number) == next) {
        it.state = State::Granted;
    }
}

fn poll_one(
    cell: &OnceCell<usize>,
    go: &Event,
    queue: &mut VecDeque<usize>,
    live: &mut Vec<Live<'_>>,
    at: usize,
    afresh: bool,
) {
    let is_turn = |it: &Live<'_>| matches!(it.state, State::Granted | State::Making);
    let is_free = queue.is_empty() && !live.iter().any(is_turn);
    let it = &mut live[at];
    it.state = match it.state {
        State::New if cell.initialized() => State::Done,
        State::New if is_free => State::Making,
        State::New => {
            queue.push_back(it.number);
            State::Queued
        }
        State::Granted => State::Making,
        other => other,
    };
    let polled = if afresh {
        it.waiter.poll_afresh()
    } else {
        it.waiter.poll()
    };
    let expected = match it.state {
        State::Done => true,
        // It may have been woken by `go` before `go` was cleared.
        State::Making => go.is_set() || polled.is_ready(),
        _ => false,
    };
    assert_eq!(polled.is_ready(), expected, "polled as {:?}", it.state);
    let Poll::Ready(result) = polled else {
        return;
    };
    let it = live.swap_remove(at);
    it.waiter.cancel();
    if it.state == State::Done {
        assert!(result.is_ok());
        return;
    }
    assert_eq!(result, if it.fails { Err(()) } else { Ok(it.number) });
    if it.fails {
        pass_on(queue, live);
    } else {
        queue.clear();
        let unfinished = live.iter_mut().filter(|it| it.state != State::New);
        unfinished.for_each(|it| it.state = State::Done);
    }
}

#[test]
fn a_once_cell_agrees_with_its_model() {
    sequence::each(500, |numbers: &[u16]| {
        let cell = OnceCell::new();
        let go = Event::new();
        let mut queue: VecDeque<usize> = VecDeque::new();
        let mut live: Vec<Live<'_>> = Vec::new();
        for (step, &number) in numbers.iter().enumerate() {
            let at = usize::from(number / 32).checked_rem(live.len());
            // Most operations are run before there is a value.
            let is_late = step > numbers.len() * 3 / 4;
            let fails = number % 3 > 0 || !is_late;
            match (number % 32, at) {
                (0..8, _) if live.len() < 8 => live.push(Live {
                    waiter: Waiter::new(make(&cell, &go, step, fails)),
                    number: step,
                    state: State::New,
                    fails,
                }),
                (kind @ 8..22, Some(at)) => {
                    poll_one(&cell, &go, &mut queue, &mut live, at, kind >= 18);
                }
                (22..26, Some(at)) => {
                    let it = live.swap_remove(at);
                    queue.retain(|&queued| queued != it.number);
                    it.waiter.cancel();
                    if matches!(it.state, State::Granted | State::Making) {
                        pass_on(&mut queue, &mut live);
                    }
                }
                (26..28, _) => go.set(),
                (28..30, _) => go.clear(),
                _ => {}
            }
            for it in &live {
                let woken = matches!(it.state, State::Granted | State::Done);
                assert!(it.waiter.woken() >= usize::from(woken));
                assert!(it.waiter.is_registered() || it.state != State::Queued);
            }
        }
    });
}
