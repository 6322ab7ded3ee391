//! `OnceCell`: the value is made once, by whoever gets that far.
#![cfg(feature = "sync")]

#[path = "common/sequence.rs"]
mod sequence;
#[path = "common/waiter.rs"]
mod waiter;

use std::cell::Cell;
use std::rc::Rc;
use std::task::Poll;

use coreloop::sync::{Event, OnceCell, SetError};
use coreloop::task::yield_now;

use crate::waiter::{Waiter, ready};

#[test]
fn it_is_made_once_and_those_who_come_meanwhile_wait() {
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
fn a_failure_a_panic_and_a_cancellation_leave_it_to_the_next() {
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
fn setting_and_taking() {
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

#[test]
fn agrees_with_a_model() {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum State {
        New,
        Queued,
        /// It is its turn, but it has not been polled since.
        Granted,
        Making,
        /// The value is there.
        Over,
    }
    sequence::each(200, |numbers| {
        let cell = OnceCell::new();
        // Lets whoever makes the value go on.
        let go = Event::new();
        let mut queue: Vec<usize> = Vec::new();
        let mut live = Vec::new();
        for (step, &number) in numbers.iter().enumerate() {
            let at = usize::from(number / 32).checked_rem(live.len());
            // Nearly all of it happens before the value is there.
            let is_late = step > numbers.len() * 9 / 10;
            match (number % 32, at) {
                (0..8, _) if live.len() < 8 => {
                    let fails = number % 3 > 0;
                    let (cell, go) = (&cell, &go);
                    let waiter = Waiter::new(async move {
                        let make = async || {
                            go.wait().await;
                            if fails { Err(()) } else { Ok(step) }
                        };
                        cell.get_or_try_init(make).await.copied()
                    });
                    live.push((waiter, step, State::New, fails));
                }
                (kind @ 8..22, Some(at)) => {
                    let nobody = !live.iter().any(|it: &(_, _, State, _)| {
                        matches!(it.2, State::Granted | State::Making)
                    });
                    let (waiter, number, state, fails) = &mut live[at];
                    let polled = if kind < 18 {
                        waiter.poll()
                    } else {
                        waiter.poll_afresh()
                    };
                    let turn = match *state {
                        State::New if cell.initialized() => State::Over,
                        State::New if nobody && queue.is_empty() => State::Making,
                        State::New => {
                            queue.push(*number);
                            State::Queued
                        }
                        State::Granted => State::Making,
                        other => other,
                    };
                    *state = turn;
                    match polled {
                        Poll::Pending => assert!(
                            turn == State::Queued || turn == State::Making && !go.is_set(),
                            "pending as {turn:?}"
                        ),
                        Poll::Ready(result) => {
                            let made = turn == State::Making;
                            assert!(made || turn == State::Over, "ready as {turn:?}");
                            assert_eq!(result.is_err(), made && *fails);
                            assert!(!made || *fails || result == Ok(*number));
                            let (waiter, ..) = live.swap_remove(at);
                            waiter.cancel();
                            if made && result.is_ok() {
                                queue.clear();
                                live.iter_mut()
                                    .filter(|it| it.2 != State::New)
                                    .for_each(|it| it.2 = State::Over);
                            } else if made {
                                pass_on(&mut queue, &mut live, |it| (it.1, &mut it.2));
                            }
                        }
                    }
                }
                (22..26, Some(at)) => {
                    let (waiter, number, state, _) = live.swap_remove(at);
                    queue.retain(|&queued| queued != number);
                    waiter.cancel();
                    if matches!(state, State::Granted | State::Making) {
                        pass_on(&mut queue, &mut live, |it| (it.1, &mut it.2));
                    }
                }
                (26..30, _) if is_late => go.set(),
                (30, _) if is_late => go.clear(),
                _ => {}
            }
            for (waiter, _, state, _) in &live {
                let woken = matches!(state, State::Granted | State::Over);
                assert!(waiter.woken() >= usize::from(woken));
                assert!(waiter.is_registered() || *state != State::Queued);
            }
        }

        fn pass_on<T>(
            queue: &mut Vec<usize>,
            live: &mut [T],
            parts: impl Fn(&mut T) -> (usize, &mut State),
        ) {
            if queue.is_empty() {
                return;
            }
            let next = queue.remove(0);
            for it in live {
                let (number, state) = parts(it);
                if number == next {
                    *state = State::Granted;
                }
            }
        }
    });
}
