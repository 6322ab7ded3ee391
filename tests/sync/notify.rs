//! `Notify`: order, the one permit, broadcasts, and what a dropped waiter
//! passes on.

use std::cell::RefCell;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use coreloop::sync::{Notified, Notify};
use coreloop::task::yield_now;

use coreloop_test_support::deadline::in_time;
use coreloop_test_support::sequence;
use coreloop_test_support::waiter::{Waiter, ready};

/// Polls outside any runtime, where there is no budget.
fn is_ready(notified: &mut Pin<&mut Notified<'_>>) -> bool {
    let cx = &mut Context::from_waker(Waker::noop());
    notified.as_mut().poll(cx).is_ready()
}

#[test]
fn a_permit_is_kept_for_the_next_waiter() {
    let notify = Notify::new();
    notify.notify_one();
    let mut first = pin!(notify.notified());
    assert!(is_ready(&mut first));
    assert!(is_ready(&mut first), "a completed future stays complete");
    let mut second = pin!(notify.notified());
    assert!(!is_ready(&mut second));
}

#[test]
fn permits_do_not_add_up() {
    let notify = Notify::new();
    notify.notify_one();
    notify.notify_one();
    assert!(is_ready(&mut pin!(notify.notified())));
    assert!(!is_ready(&mut pin!(notify.notified())));
}

#[test]
fn notify_one_wakes_the_longest_waiting_task() {
    let notify = Notify::new();
    let mut created_first = pin!(notify.notified());
    let mut polled_first = pin!(notify.notified());
    assert!(!is_ready(&mut polled_first));
    assert!(!is_ready(&mut created_first));
    notify.notify_one();
    assert!(!is_ready(&mut created_first));
    assert!(is_ready(&mut polled_first));
    notify.notify_one();
    assert!(is_ready(&mut created_first));
}

#[test]
fn notify_waiters_completes_all_futures_polled_or_not() {
    let notify = Notify::new();
    let mut polled = pin!(notify.notified());
    assert!(!is_ready(&mut polled));
    let mut enabled = pin!(notify.notified());
    assert!(!enabled.as_mut().enable());
    let mut untouched = pin!(notify.notified());
    notify.notify_waiters();
    let mut late = pin!(notify.notified());
    assert!(is_ready(&mut polled));
    assert!(is_ready(&mut enabled));
    assert!(is_ready(&mut untouched));
    assert!(!is_ready(&mut late), "a broadcast leaves no permit");
}

#[test]
fn notify_waiters_leaves_a_kept_permit() {
    let notify = Notify::new();
    let mut early = pin!(notify.notified());
    notify.notify_one();
    notify.notify_waiters();
    assert!(is_ready(&mut early));
    assert!(is_ready(&mut pin!(notify.notified())), "the permit is kept");
    assert!(!is_ready(&mut pin!(notify.notified())));
}

#[test]
fn a_dropped_waiter_leaves_the_queue() {
    let notify = Notify::new();
    let mut gone = Box::pin(notify.notified());
    let mut stays = pin!(notify.notified());
    assert!(!is_ready(&mut gone.as_mut()));
    assert!(!is_ready(&mut stays));
    drop(gone);
    notify.notify_one();
    assert!(is_ready(&mut stays));
}

#[test]
fn a_waiter_dropped_after_its_grant_passes_it_on() {
    let notify = Notify::new();
    let mut first = Box::pin(notify.notified());
    let mut second = Box::pin(notify.notified());
    assert!(!is_ready(&mut first.as_mut()));
    assert!(!is_ready(&mut second.as_mut()));
    notify.notify_one();
    drop(first);
    // It is passed on to the next waiter, which is dropped too before it is polled. Then
    // there is no waiter, so it is kept.
    drop(second);
    assert!(is_ready(&mut pin!(notify.notified())));
    assert!(!is_ready(&mut pin!(notify.notified())));
}

#[test]
fn a_broadcast_is_not_passed_on() {
    let notify = Notify::new();
    let mut notified = Box::pin(notify.notified());
    assert!(!is_ready(&mut notified.as_mut()));
    notify.notify_waiters();
    drop(notified);
    assert!(!is_ready(&mut pin!(notify.notified())));
}

#[test]
fn a_completed_or_unpolled_future_passes_nothing_on() {
    let notify = Notify::new();
    drop(notify.notified());
    let mut done = Box::pin(notify.notified());
    assert!(!is_ready(&mut done.as_mut()));
    notify.notify_one();
    assert!(is_ready(&mut done.as_mut()));
    drop(done);
    assert!(!is_ready(&mut pin!(notify.notified())));
}

#[test]
fn enable_joins_the_queue_or_takes_the_permit() {
    let notify = Notify::new();
    let mut first = pin!(notify.notified());
    let mut second = pin!(notify.notified());
    assert!(!first.as_mut().enable());
    assert!(!second.as_mut().enable());
    notify.notify_one();
    notify.notify_one();
    assert!(first.as_mut().enable());
    assert!(first.as_mut().enable());
    assert!(is_ready(&mut first));
    assert!(is_ready(&mut second));

    notify.notify_one();
    let mut third = pin!(notify.notified());
    assert!(third.as_mut().enable());
    assert!(is_ready(&mut third));
    assert!(!is_ready(&mut pin!(notify.notified())));
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn enable_keeps_the_waker_of_the_last_poll() {
    let notify = Notify::new();
    let woken = Arc::<Woken>::default();
    let waker = Waker::from(Arc::clone(&woken));
    let mut notified = pin!(notify.notified());
    let cx = &mut Context::from_waker(&waker);
    assert_eq!(notified.as_mut().poll(cx), Poll::Pending);
    assert!(!notified.as_mut().enable());
    notify.notify_one();
    assert!(woken.0.load(Ordering::Relaxed));
}

#[test]
fn tasks_are_woken_in_the_order_they_waited() {
    coreloop::block_on(async {
        let notify = Rc::new(Notify::new());
        let order = Rc::new(RefCell::new(Vec::new()));
        let tasks: Vec<_> = (0..3)
            .map(|number| {
                let (notify, order) = (Rc::clone(&notify), Rc::clone(&order));
                coreloop::spawn(async move {
                    notify.notified().await;
                    order.borrow_mut().push(number);
                })
            })
            .collect();
        yield_now().await;
        notify.notify_one();
        yield_now().await;
        assert_eq!(*order.borrow(), [0]);
        notify.notify_waiters();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.borrow(), [0, 1, 2]);
    });
}

#[test]
fn an_aborted_task_passes_its_grant_on() {
    coreloop::block_on(async {
        let notify = Rc::new(Notify::new());
        let wait = |notify: &Rc<Notify>| {
            let notify = Rc::clone(notify);
            coreloop::spawn(async move { notify.notified().await })
        };
        let (aborted, next) = (wait(&notify), wait(&notify));
        yield_now().await;
        notify.notify_one();
        aborted.abort();
        assert!(aborted.await.unwrap_err().is_cancelled());
        next.await.unwrap();
    });
}

#[test]
fn a_task_that_always_finds_a_permit_still_lets_others_run() {
    coreloop::block_on(async {
        let other = coreloop::spawn(async {});
        let notify = Notify::new();
        let mut rounds = 0_u32;
        while !other.is_finished() {
            notify.notify_one();
            notify.notified().await;
            rounds += 1;
            assert!(rounds < 100_000, "the other task never ran");
        }
    });
}

#[test]
fn a_notify_works_under_another_executor() {
    in_time(|| {
        futures_lite::future::block_on(async {
            let notify = Notify::new();
            // It is polled again only if it is woken.
            let notifies = async { notify.notify_one() };
            futures_lite::future::zip(notify.notified(), notifies).await;
        });
    });
}

/// A model of a `Notify`: the numbers of the waiters, and the permit.
#[derive(Default)]
struct Model {
    permit: bool,
    queue: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    Queued,
    /// By `notify_one`, or else by `notify_last`.
    One(bool),
    All,
    Done,
}

struct Live<'a> {
    waiter: Waiter<'a, ()>,
    number: usize,
    state: State,
    polled: bool,
}

impl Model {
    fn notify(&mut self, last: bool, live: &mut [Live<'_>]) {
        if self.queue.is_empty() {
            self.permit = true;
            return;
        }
        let number = self
            .queue
            .remove(if last { self.queue.len() - 1 } else { 0 });
        for it in live.iter_mut().filter(|it| it.number == number) {
            it.state = State::One(last);
        }
    }
}

#[test]
fn a_notify_agrees_with_its_model() {
    sequence::each(500, |numbers: &[u16]| {
        let notify = Rc::new(Notify::new());
        let mut model = Model::default();
        let mut live: Vec<Live<'_>> = Vec::new();
        for (step, &number) in numbers.iter().enumerate() {
            let at = usize::from(number / 32).checked_rem(live.len());
            match (number % 32, at) {
                (0..8, _) if live.len() < 10 => live.push(Live {
                    waiter: if number % 2 == 0 {
                        Waiter::new(notify.notified())
                    } else {
                        Waiter::new(Rc::clone(&notify).notified_owned())
                    },
                    number: step,
                    state: State::New,
                    polled: false,
                }),
                (kind @ 8..20, Some(at)) => {
                    let it = &mut live[at];
                    if it.state == State::New && std::mem::take(&mut model.permit) {
                        it.state = State::Done;
                    }
                    let ready = if kind < 16 {
                        it.waiter.is_ready()
                    } else {
                        it.waiter.poll_afresh().is_ready()
                    };
                    assert_eq!(ready, !matches!(it.state, State::New | State::Queued));
                    match it.state {
                        State::New => {
                            model.queue.push(it.number);
                            it.state = State::Queued;
                        }
                        State::Queued => {}
                        State::One(_) | State::All | State::Done => it.state = State::Done,
                    }
                    it.polled = !ready;
                }
                (20..24, Some(at)) => {
                    let it = live.swap_remove(at);
                    model.queue.retain(|&queued| queued != it.number);
                    it.waiter.cancel();
                    if let State::One(last) = it.state {
                        model.notify(last, &mut live);
                    }
                }
                (kind @ 24..30, _) => {
                    let last = kind >= 28;
                    if last {
                        notify.notify_last();
                    } else {
                        notify.notify_one();
                    }
                    model.notify(last, &mut live);
                }
                (30, _) => {
                    notify.notify_waiters();
                    model.queue.clear();
                    for it in &mut live {
                        if matches!(it.state, State::New | State::Queued) {
                            it.state = State::All;
                        }
                    }
                }
                _ => {}
            }
            for it in &live {
                if it.state != State::Done {
                    let woken = it.polled && matches!(it.state, State::One(_) | State::All);
                    assert_eq!(it.waiter.woken(), usize::from(woken), "step {step}");
                }
                assert_eq!(it.waiter.is_registered(), it.state == State::Queued);
            }
            assert!(
                !model.permit || model.queue.is_empty(),
                "the model is wrong"
            );
        }
    });
}

#[test]
fn a_dropped_waiter_passes_notify_last_on_to_the_last_waiter() {
    let notify = Notify::const_new();
    let mut waiters = [(); 4].map(|()| Waiter::new(notify.notified()));
    for waiter in &mut waiters {
        assert!(!waiter.is_ready());
    }
    notify.notify_last();
    let [first, second, third, last] = waiters;
    assert_eq!(last.woken(), 1);
    last.cancel();
    assert_eq!((first.woken(), second.woken(), third.woken()), (0, 0, 1));
    third.cancel();
    notify.notify_one();
    // The second waiter got the notification that was passed on, so this is for the first.
    assert_eq!((first.woken(), second.woken()), (1, 1));
}

/// tokio #5404: a task that waits twice has to be notified twice.
#[test]
fn one_broadcast_does_not_end_two_waits_in_a_row() {
    let notify = Notify::new();
    let mut first = Waiter::new(notify.notified());
    assert!(!first.is_ready());
    notify.notify_waiters();
    assert!(first.is_ready());
    drop(first);
    assert!(!Waiter::new(notify.notified()).is_ready());
}

/// tokio #3652: the broadcast took the permit.
#[test]
fn a_wait_that_a_broadcast_completed_leaves_the_permit() {
    let notify = Notify::new();
    let mut early = Waiter::new(notify.notified());
    assert!(!early.is_ready());
    notify.notify_waiters();
    notify.notify_one();
    ready(early.poll());
    early.cancel();
    assert!(Waiter::new(notify.notified()).is_ready());
    assert!(!Waiter::new(notify.notified()).is_ready());
}

/// tokio #5429: a wake while the queue was locked deadlocked if the waker dropped
/// another waiter.
#[test]
fn a_waker_may_drop_another_waiter() {
    thread_local! {
        static NOTIFY: Rc<Notify> = Rc::default();
        static OTHERS: RefCell<Vec<coreloop::sync::OwnedNotified>> =
            const { RefCell::new(Vec::new()) };
    }
    struct Drops;
    impl Wake for Drops {
        fn wake(self: Arc<Self>) {
            let other = OTHERS.with_borrow_mut(Vec::pop);
            drop(other);
            NOTIFY.with(|notify| notify.notify_one());
        }
    }
    NOTIFY.with(|notify| {
        for broadcast in [false, true] {
            let waker = Waker::from(Arc::new(Drops));
            let cx = &mut Context::from_waker(&waker);
            let mut waiters: Vec<_> = (0..4).map(|_| Rc::clone(notify).notified_owned()).collect();
            for waiter in &mut waiters {
                assert!(Pin::new(waiter).poll(cx).is_pending());
            }
            OTHERS.set(waiters);
            if broadcast {
                notify.notify_waiters();
            } else {
                notify.notify_one();
            }
            OTHERS.take();
            // The notification that was passed on is kept.
            assert!(Waiter::new(notify.notified()).is_ready());
        }
    });
}
