//! `Event`: all tasks that wait see the flag set.

use coreloop::sync::Event;

use coreloop_test_support::sequence;
use coreloop_test_support::waiter::{Waiter, ready};

#[test]
fn waits_complete_even_if_the_flag_is_cleared_at_once() {
    let event = Event::new();
    let mut early = [Waiter::new(event.wait()), Waiter::new(event.wait())];
    assert!(early.iter_mut().all(|it| !it.is_ready()));
    let mut unpolled = Waiter::new(event.wait());
    event.set();
    assert!(event.is_set());
    event.clear();
    assert!(!event.is_set());
    early.iter_mut().for_each(|it| ready(it.poll()));
    assert!(!unpolled.is_ready());
    event.set();
    event.set();
    assert_eq!(unpolled.woken(), 1);
    assert!(unpolled.is_ready());
    assert!(Waiter::new(event.wait()).is_ready());
    assert_eq!(format!("{event:?}"), "Event { set: true, .. }");
}

#[test]
fn a_task_that_always_finds_it_set_still_lets_others_run() {
    coreloop::block_on(async {
        let other = coreloop::spawn(async {});
        let event = Event::new();
        event.set();
        let mut rounds = 0_u32;
        while !other.is_finished() {
            event.wait().await;
            rounds += 1;
            assert!(rounds < 100_000, "the other task never ran");
        }
    });
}

#[test]
fn an_event_agrees_with_its_model() {
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum State {
        New,
        Waiting,
        Granted,
    }
    sequence::each(500, |numbers: &[u16]| {
        let event = Event::default();
        let mut set = false;
        let mut live: Vec<(Waiter<'_, ()>, State)> = Vec::new();
        for &number in numbers {
            let at = usize::from(number / 32).checked_rem(live.len());
            match (number % 32, at) {
                (0..8, _) if live.len() < 10 => {
                    live.push((Waiter::new(event.wait()), State::New));
                }
                (kind @ 8..22, Some(at)) => {
                    let (waiter, state) = &mut live[at];
                    let expected = match *state {
                        State::New => set,
                        State::Waiting => false,
                        State::Granted => true,
                    };
                    let polled = if kind < 18 {
                        waiter.poll()
                    } else {
                        waiter.poll_afresh()
                    };
                    assert_eq!(polled.is_ready(), expected);
                    *state = State::Waiting;
                    if expected {
                        live.swap_remove(at).0.cancel();
                    }
                }
                (22..26, Some(at)) => live.swap_remove(at).0.cancel(),
                (26..29, _) => {
                    event.set();
                    set = true;
                    for (_, state) in live.iter_mut().filter(|it| it.1 == State::Waiting) {
                        *state = State::Granted;
                    }
                }
                (29..32, _) => {
                    event.clear();
                    set = false;
                }
                _ => {}
            }
            assert_eq!(event.is_set(), set);
            for (waiter, state) in &live {
                assert_eq!(waiter.woken(), usize::from(*state == State::Granted));
                assert_eq!(waiter.is_registered(), *state == State::Waiting);
            }
        }
    });
}
