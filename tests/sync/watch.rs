//! `watch`: which values count as seen, what wakes the receivers, and what may be done while
//! a `Ref` is held.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::task::Poll;

use coreloop::sync::watch::{self, Sender};
use coreloop::task::yield_now;
use coreloop_test_support::panics::text;
use coreloop_test_support::waiter::Waiter;
use coreloop_test_support::wakers::{panicking_waker, with_hook};
use futures_lite::StreamExt;

#[test]
fn the_first_value_counts_as_seen() {
    let (sender, mut receiver) = watch::channel(1);
    assert_eq!(*receiver.borrow(), 1);
    assert!(!receiver.has_changed().unwrap());
    assert!(Waiter::new(receiver.changed()).poll().is_pending());
    sender.send(2).unwrap();
    assert!(receiver.has_changed().unwrap());
    assert!(matches!(
        Waiter::new(receiver.changed()).poll(),
        Poll::Ready(Ok(()))
    ));
    assert!(!receiver.has_changed().unwrap());
    assert_eq!(*receiver.borrow(), 2);
    assert_eq!(*sender.borrow(), 2);
}

#[test]
fn a_change_wakes_all_waiting_receivers() {
    let (sender, mut first) = watch::channel(1);
    let mut second = first.clone();
    let mut one = Waiter::new(first.changed());
    let mut two = Waiter::new(second.changed());
    assert!(one.poll().is_pending());
    assert!(two.poll().is_pending());
    assert!(two.poll_afresh().is_pending());
    assert_eq!((one.wakers(), two.wakers()), (1, 1));
    sender.send(2).unwrap();
    assert!(one.is_woken() && two.is_woken());
    assert_eq!((one.wakers(), two.wakers()), (0, 0));
    assert!(one.poll().is_ready());
    assert!(two.poll().is_ready());
}

#[test]
fn a_wait_that_is_dropped_leaves_the_value_unseen() {
    let (sender, mut receiver) = watch::channel(1);
    let mut task = Waiter::new(receiver.changed());
    assert!(task.poll().is_pending());
    task.cancel();
    let mut task = Waiter::new(receiver.changed());
    assert!(task.poll().is_pending());
    sender.send(2).unwrap();
    drop(task);
    assert!(receiver.has_changed().unwrap());
    assert!(Waiter::new(receiver.changed()).poll().is_ready());
}

#[test]
fn only_the_latest_value_is_seen() {
    let (sender, mut receiver) = watch::channel(1);
    sender.send(2).unwrap();
    sender.send(3).unwrap();
    assert!(Waiter::new(receiver.changed()).poll().is_ready());
    assert_eq!(*receiver.borrow(), 3);
    assert!(Waiter::new(receiver.changed()).poll().is_pending());
}

#[test]
fn a_ref_says_whether_the_value_was_unseen() {
    let (sender, mut receiver) = watch::channel(1);
    assert!(!receiver.borrow_and_update().has_changed());
    sender.send(2).unwrap();
    assert!(receiver.borrow().has_changed());
    assert!(receiver.borrow_and_update().has_changed());
    assert!(!receiver.borrow_and_update().has_changed());
    assert!(!sender.borrow().has_changed());
    assert!(Waiter::new(receiver.changed()).poll().is_pending());
    let shown = format!("{:?}", receiver.borrow());
    assert!(shown.contains('2') && shown.contains("has_changed: false"));
}

#[test]
fn the_value_can_be_marked_as_seen_or_unseen() {
    let (sender, mut receiver) = watch::channel(1);
    receiver.mark_changed();
    assert!(receiver.has_changed().unwrap());
    assert!(Waiter::new(receiver.changed()).poll().is_ready());
    sender.send(2).unwrap();
    receiver.mark_unchanged();
    assert!(Waiter::new(receiver.changed()).poll().is_pending());
    receiver.mark_changed();
    receiver.mark_changed();
    sender.send(3).unwrap();
    assert!(receiver.borrow_and_update().has_changed());
}

#[test]
fn a_clone_has_seen_what_the_original_has_seen() {
    let (sender, first) = watch::channel(1);
    sender.send(2).unwrap();
    let mut second = first.clone();
    let third = sender.subscribe();
    assert!(first.same_channel(&second) && sender.same_channel(&sender.clone()));
    second.mark_unchanged();
    assert!(first.has_changed().unwrap());
    assert!(!second.has_changed().unwrap());
    assert!(!third.has_changed().unwrap());
    assert_eq!((sender.receiver_count(), sender.sender_count()), (3, 1));
}

#[test]
fn the_last_value_is_seen_before_the_end() {
    let (sender, mut receiver) = watch::channel(1);
    sender.send(2).unwrap();
    drop(sender);
    assert!(receiver.is_closed());
    assert!(receiver.has_changed().is_err());
    assert!(matches!(
        Waiter::new(receiver.changed()).poll(),
        Poll::Ready(Ok(()))
    ));
    assert!(matches!(
        Waiter::new(receiver.changed()).poll(),
        Poll::Ready(Err(_))
    ));
    assert_eq!(*receiver.borrow(), 2);
}

#[test]
fn dropping_the_last_sender_wakes_the_receivers() {
    let (sender, mut receiver) = watch::channel(1);
    let other = sender.clone();
    let mut task = Waiter::new(receiver.changed());
    assert!(task.poll().is_pending());
    drop(sender);
    assert!(!task.is_woken());
    drop(other);
    assert!(task.is_woken());
    assert!(matches!(task.poll(), Poll::Ready(Err(_))));
}

#[test]
fn closed_waits_for_the_last_receiver() {
    let (sender, first) = watch::channel(1);
    let second = first.clone();
    let mut closed = Waiter::new(sender.closed());
    assert!(closed.poll().is_pending());
    drop(first);
    assert!(!closed.is_woken());
    drop(second);
    assert!(closed.is_woken());
    let third = sender.subscribe();
    assert!(closed.poll().is_pending(), "there is a receiver again");
    drop(third);
    assert!(closed.poll().is_ready());
    assert!(sender.is_closed());
    assert_eq!(sender.send(2).unwrap_err().0, 2);
    assert_eq!(
        *sender.borrow(),
        1,
        "a value that was not sent is not shown"
    );
    assert_eq!(sender.send_replace(3), 1);
    assert_eq!(*sender.subscribe().borrow(), 3);
    assert_eq!(*Sender::<u8>::default().borrow(), 0);
}

#[test]
fn changing_in_place_notifies_only_if_the_closure_returns_true() {
    let (sender, mut receiver) = watch::channel(vec![1]);
    let mut task = Waiter::new(receiver.changed());
    assert!(task.poll().is_pending());
    assert!(!sender.send_if_modified(|numbers| {
        numbers.push(2);
        false
    }));
    assert!(!task.is_woken());
    assert!(sender.send_if_modified(|_| true));
    assert!(task.is_woken());
    drop(task);
    assert_eq!(*receiver.borrow_and_update(), [1, 2]);
    sender.send_modify(Vec::clear);
    assert!(receiver.borrow_and_update().is_empty());
    assert!(sender.send_replace(vec![3]).is_empty());
    assert_eq!(*receiver.borrow_and_update(), [3]);
}

#[test]
fn a_closure_that_panics_notifies_no_receiver() {
    let (sender, mut receiver) = watch::channel("old");
    let mut task = Waiter::new(receiver.changed());
    assert!(task.poll().is_pending());
    let panicked = panic::catch_unwind(AssertUnwindSafe(|| {
        sender.send_modify(|value| {
            *value = "half done";
            panic!("a closure that panics");
        });
    }));
    panicked.unwrap_err();
    assert!(!task.is_woken());
    drop(task);
    assert_eq!(*receiver.borrow(), "half done");
    sender.send("new").unwrap();
    assert_eq!(*receiver.borrow_and_update(), "new");
}

// tokio #4246: there, a send while a `Ref` is held waits for ever.
#[test]
fn sending_works_while_a_ref_is_held() {
    let (sender, mut receiver) = watch::channel(String::from("old"));
    let mut other = receiver.clone();
    let mut task = Waiter::new(other.changed());
    assert!(task.poll().is_pending());
    let held = receiver.borrow_and_update();
    sender.send(String::from("new")).unwrap();
    assert_eq!(*held, "old");
    assert_eq!(*sender.borrow(), "new");
    assert!(task.is_woken());
    // No `Ref` to the new value is held.
    sender.send_modify(|value| value.push('!'));
    assert_eq!(*held, "old");
    drop(held);
    assert_eq!(*receiver.borrow(), "new!");
}

#[test]
fn changing_in_place_panics_while_a_ref_is_held() {
    let (sender, receiver) = watch::channel(1);
    let held = receiver.borrow();
    let ways: [&dyn Fn(); 3] = [
        &|| sender.send_modify(|_| unreachable!("a `Ref` to it is held")),
        &|| assert!(sender.send_if_modified(|_| unreachable!("a `Ref` to it is held"))),
        &|| assert_eq!(sender.send_replace(2), 2),
    ];
    for way in ways {
        let panicked = panic::catch_unwind(AssertUnwindSafe(way)).unwrap_err();
        assert!(text(&*panicked).contains("`watch::Ref` to it is held"));
    }
    drop(held);
    assert!(!receiver.has_changed().unwrap());
    assert_eq!(sender.send_replace(2), 1);
}

#[test]
fn a_closure_may_not_use_the_channel() {
    let (sender, receiver) = watch::channel(1);
    let ways: [&dyn Fn(); 4] = [
        &|| drop(receiver.borrow()),
        &|| drop(sender.borrow()),
        &|| assert!(sender.send(2).is_ok()),
        &|| sender.send_modify(|_| {}),
    ];
    for way in ways {
        let within = AssertUnwindSafe(|| sender.send_modify(|_| way()));
        let panicked = panic::catch_unwind(within).unwrap_err();
        assert!(text(&*panicked).contains("by the closure that changes it"));
    }
    assert_eq!(*receiver.borrow(), 1);
}

#[test]
fn wait_for_checks_the_current_value_first() {
    let (sender, mut receiver) = watch::channel(1);
    {
        let mut task = Waiter::new(receiver.wait_for(|it| *it == 1));
        assert!(matches!(task.poll(), Poll::Ready(Ok(it)) if *it == 1 && !it.has_changed()));
    }
    sender.send(2).unwrap();
    {
        let mut task = Waiter::new(receiver.wait_for(|it| *it == 4));
        assert!(task.poll().is_pending());
        sender.send(3).unwrap();
        assert!(task.is_woken());
        assert!(task.poll().is_pending());
        sender.send(4).unwrap();
        assert!(matches!(task.poll(), Poll::Ready(Ok(it)) if *it == 4));
    }
    assert!(!receiver.has_changed().unwrap(), "it was seen");
}

#[test]
fn wait_for_fails_when_the_senders_are_dropped() {
    let (sender, mut receiver) = watch::channel(1);
    let seen = RefCell::new(Vec::new());
    let mut task = Waiter::new(receiver.wait_for(|it| {
        seen.borrow_mut().push(*it);
        *it == 9
    }));
    assert!(task.poll().is_pending());
    sender.send(2).unwrap();
    drop(sender);
    assert!(matches!(task.poll(), Poll::Ready(Err(_))));
    assert_eq!(
        *seen.borrow(),
        [1, 2],
        "the closure is called once with the last value"
    );
    drop(task);
    assert!(matches!(
        Waiter::new(receiver.wait_for(|it| *it == 2)).poll(),
        Poll::Ready(Ok(_))
    ));
}

#[test]
fn the_closure_of_a_wait_may_use_the_channel() {
    let (sender, mut receiver) = watch::channel(1);
    let mut task = Waiter::new(receiver.wait_for(|it| {
        if *it < 5 {
            sender.send(*it + 1).unwrap();
        }
        *it == 5
    }));
    assert!(matches!(task.poll(), Poll::Ready(Ok(it)) if *it == 5));
}

#[test]
fn values_are_dropped_when_they_are_replaced() {
    struct Looks(Rc<Cell<usize>>, Rc<RefCell<Option<watch::Receiver<Looks>>>>);
    impl Drop for Looks {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
            if let Some(receiver) = &*self.1.borrow() {
                // The channel has the new value already.
                assert!(receiver.has_changed().is_ok());
                drop(receiver.borrow());
            }
        }
    }
    let drops = Rc::new(Cell::new(0));
    let slot = Rc::default();
    let value = || Looks(Rc::clone(&drops), Rc::clone(&slot));
    let (sender, receiver) = watch::channel(value());
    *slot.borrow_mut() = Some(receiver.clone());
    assert!(sender.send(value()).is_ok());
    assert_eq!(drops.get(), 1);
    let held = receiver.borrow();
    assert!(sender.send(value()).is_ok());
    assert_eq!(drops.get(), 1, "a `Ref` to it is held");
    drop(held);
    assert_eq!(drops.get(), 2);
    drop(slot.take());
    drop(sender);
    assert_eq!(drops.get(), 2);
    drop(receiver);
    assert_eq!(drops.get(), 3);
}

#[test]
fn wakers_may_use_the_channel() {
    let (sender, mut receiver) = watch::channel(1);
    let hook = {
        let sender = sender.clone();
        let left = Cell::new(5);
        move || {
            if left.replace(left.get() - 1) > 0 {
                sender.send_modify(|it| *it += 1);
                drop(sender.subscribe());
            }
        }
    };
    with_hook(hook, |waker| {
        let mut task = Waiter::new(receiver.changed());
        assert!(task.poll_with(&waker()).is_pending());
        // The replaced waker is dropped, and its destructor changes the value.
        assert!(task.poll().is_pending() && task.is_woken());
        assert!(task.poll().is_ready());
        drop(task);
        let mut task = Waiter::new(receiver.changed());
        assert!(task.poll_with(&waker()).is_pending());
        sender.send(10).unwrap();
        assert!(task.poll().is_ready());
        drop(task);
        assert_eq!(
            *receiver.borrow(),
            12,
            "the waker was woken, and then dropped"
        );
    });
}

#[test]
fn the_other_receivers_are_woken_if_a_waker_panics() {
    let (sender, mut first) = watch::channel(1);
    let mut second = first.clone();
    let mut panics = Waiter::new(first.changed());
    let mut woken = Waiter::new(second.changed());
    assert!(panics.poll_with(&panicking_waker()).is_pending());
    assert!(woken.poll().is_pending());
    panic::catch_unwind(AssertUnwindSafe(|| sender.send(2))).unwrap_err();
    assert!(woken.is_woken());
    assert!(panics.poll().is_ready());
}

#[test]
fn a_receiver_is_a_stream_of_changes() {
    futures_lite::future::block_on(async {
        let (sender, mut receiver) = watch::channel(1);
        sender.send(2).unwrap();
        sender.send(3).unwrap();
        assert_eq!(receiver.next().await, Some(3));
        receiver.mark_changed();
        assert_eq!(receiver.next().await, Some(3));
        drop(sender);
        assert_eq!(receiver.next().await, None);
    });
}

#[coreloop::test]
async fn waiting_lets_other_tasks_run() {
    let (sender, mut receiver) = watch::channel(0);
    let (lonely, _) = watch::channel(0);
    let other = coreloop::spawn(async {});
    let mut rounds = 0;
    while !other.is_finished() {
        match rounds % 3 {
            0 => {
                sender.send(rounds).unwrap();
                receiver.changed().await.unwrap();
            }
            1 => drop(receiver.wait_for(|_| true).await.unwrap()),
            _ => lonely.closed().await,
        }
        rounds += 1;
        assert!(rounds < 100_000, "the other task never ran");
    }
}

#[coreloop::test]
async fn a_task_sees_the_last_value() {
    let (sender, mut receiver) = watch::channel(0);
    let task = coreloop::spawn(async move {
        while receiver.changed().await.is_ok() {}
        *receiver.borrow_and_update()
    });
    for number in 1..=10 {
        sender.send(number).unwrap();
        if number % 3 == 0 {
            yield_now().await;
        }
    }
    drop(sender);
    assert_eq!(task.await.unwrap(), 10);
}
