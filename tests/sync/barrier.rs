//! `Barrier`: tasks continue together, and one of them leads.

use std::rc::Rc;
use std::task::Poll;

use coreloop::sync::{Barrier, BarrierWaitResult};

use coreloop_test_support::sequence;
use coreloop_test_support::waiter::{Waiter, ready};

#[test]
fn a_barrier_of_zero_or_one_makes_no_task_wait() {
    for size in [0, 1] {
        let barrier = Barrier::new(size);
        for _ in 0..3 {
            assert!(ready(Waiter::new(barrier.wait()).poll()).is_leader());
        }
    }
}

#[test]
fn the_last_task_to_arrive_leads() {
    let barrier = Barrier::new(3);
    for _ in 0..2 {
        let mut first = Waiter::new(barrier.wait());
        let mut second = Waiter::new(barrier.wait());
        let mut third = Waiter::new(barrier.wait());
        assert!(!first.is_ready() && !second.is_ready());
        assert!(ready(third.poll()).is_leader());
        assert!(!ready(second.poll()).is_leader());
        assert!(!ready(first.poll()).is_leader());
    }
}

#[test]
fn a_dropped_wait_no_longer_counts() {
    let barrier = Barrier::new(2);
    let mut gone = Waiter::new(barrier.wait());
    assert!(!gone.is_ready());
    gone.cancel();
    let mut first = Waiter::new(barrier.wait());
    assert!(!first.is_ready());
    assert!(Waiter::new(barrier.wait()).is_ready());
    // This wait has counted: it is dropped after the other tasks continued.
    first.cancel();
    assert!(!Waiter::new(barrier.wait()).is_ready());
}

#[test]
fn many_tasks_pass_the_barrier_many_times() {
    coreloop::block_on(async {
        let barrier = Rc::new(Barrier::new(10));
        let tasks: Vec<_> = (0..10)
            .map(|_| {
                let barrier = Rc::clone(&barrier);
                coreloop::spawn(async move {
                    let mut led = 0;
                    for _ in 0..20 {
                        led += u32::from(barrier.wait().await.is_leader());
                    }
                    led
                })
            })
            .collect();
        let mut led = 0;
        for task in tasks {
            led += task.await.unwrap();
        }
        assert_eq!(led, 20);
    });
}

#[test]
fn a_barrier_agrees_with_its_model() {
    sequence::each(500, |numbers: &[u16]| {
        const SIZE: usize = 4;
        let barrier = Barrier::new(SIZE);
        let mut arrived = 0;
        // The state of each wait: not polled, waiting, or released.
        let mut live: Vec<(Waiter<'_, BarrierWaitResult>, Option<bool>)> = Vec::new();
        for &number in numbers {
            let at = usize::from(number / 32).checked_rem(live.len());
            match (number % 32, at) {
                (0..12, _) if live.len() < 8 => live.push((Waiter::new(barrier.wait()), None)),
                (12..26, Some(at)) => {
                    let (waiter, released) = &mut live[at];
                    let leads = released.is_none() && arrived + 1 == SIZE;
                    let expected = leads || *released == Some(true);
                    let polled = if number % 2 == 0 {
                        waiter.poll()
                    } else {
                        waiter.poll_afresh()
                    };
                    match polled {
                        Poll::Ready(result) => {
                            assert!(expected);
                            assert_eq!(result.is_leader(), leads);
                            live.swap_remove(at).0.cancel();
                        }
                        Poll::Pending => {
                            assert!(!expected);
                            arrived += usize::from(released.is_none());
                            *released = Some(false);
                        }
                    }
                    if leads {
                        arrived = 0;
                        for (_, released) in live.iter_mut().filter(|it| it.1.is_some()) {
                            *released = Some(true);
                        }
                    }
                }
                (26..30, Some(at)) => {
                    let (waiter, released) = live.swap_remove(at);
                    arrived -= usize::from(released == Some(false));
                    waiter.cancel();
                }
                _ => {}
            }
            for (waiter, released) in &live {
                assert_eq!(waiter.woken(), usize::from(*released == Some(true)));
                assert_eq!(waiter.is_registered(), *released == Some(false));
            }
        }
    });
}
