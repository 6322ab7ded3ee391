//! `SetOnce`: all tasks that wait get the value.

use coreloop::sync::{SetOnce, SetOnceError};

use coreloop_test_support::sequence;
use coreloop_test_support::waiter::{Waiter, ready};

#[test]
fn set_wakes_all_waiting_tasks() {
    let once = SetOnce::new();
    let mut waiters = [(); 3].map(|()| Waiter::new(once.wait()));
    assert!(waiters.iter_mut().all(|it| !it.is_ready()));
    assert_eq!(once.set(1), Ok(()));
    let error = once.set(2).unwrap_err();
    assert_eq!(
        (error.to_string(), error),
        ("SetOnceError".to_owned(), SetOnceError(2))
    );
    for waiter in &mut waiters {
        assert_eq!(waiter.woken(), 1);
        assert_eq!(*ready(waiter.poll()), 1);
    }
    assert_eq!(*ready(Waiter::new(once.wait()).poll()), 1);
}

#[test]
fn a_value_can_be_read_and_taken() {
    let once = SetOnce::const_new();
    assert!(!once.initialized() && once.get().is_none());
    once.set(1).unwrap();
    assert_eq!(once.get(), Some(&1));
    assert_eq!(once, SetOnce::from(1));
    assert_eq!(once.clone(), SetOnce::new_with(Some(1)));
    assert_eq!(format!("{once:?}"), "SetOnce { value: Some(1) }");
    assert_eq!(once.into_inner(), Some(1));
    assert_eq!(SetOnce::<u8>::default().into_inner(), None);
    assert_eq!(SetOnce::<u8>::new_with(None).into_inner(), None);
}

#[test]
fn a_set_once_agrees_with_its_model() {
    sequence::each(500, |numbers: &[u16]| {
        let once = SetOnce::new();
        let mut live: Vec<(Waiter<'_, &usize>, bool)> = Vec::new();
        let mut value = None;
        for (step, &number) in numbers.iter().enumerate() {
            let at = usize::from(number / 32).checked_rem(live.len());
            match (number % 32, at) {
                (0..8, _) if live.len() < 10 => live.push((Waiter::new(once.wait()), false)),
                (kind @ 8..22, Some(at)) => {
                    let (waiter, waiting) = &mut live[at];
                    let polled = if kind < 18 {
                        waiter.poll()
                    } else {
                        waiter.poll_afresh()
                    };
                    *waiting = true;
                    assert_eq!(polled.is_ready(), value.is_some());
                    if let Some(value) = &value {
                        assert_eq!(ready(polled), value);
                        live.swap_remove(at).0.cancel();
                    }
                }
                (22..26, Some(at)) => live.swap_remove(at).0.cancel(),
                (26, _) if step > numbers.len() * 3 / 4 => {
                    assert_eq!(once.set(step).is_ok(), value.is_none());
                    value = value.or(Some(step));
                }
                _ => {}
            }
            for (waiter, waiting) in &live {
                let woken = *waiting && value.is_some();
                assert_eq!(waiter.woken(), usize::from(woken));
                assert_eq!(waiter.is_registered(), *waiting && value.is_none());
            }
        }
    });
}
