//! `broadcast`: which receivers get which values, falling behind, the end of a channel, and
//! when values are cloned and dropped.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::task::Poll;

use coreloop::sync::broadcast::error::{RecvError, SendError, TryRecvError};
use coreloop::sync::broadcast::{self, Receiver, Sender};
use coreloop::task::yield_now;
use coreloop_test_support::waiter::Waiter;
use coreloop_test_support::wakers::{panicking_waker, with_hook};
use futures_lite::StreamExt;

/// Receives all values up to the first error.
fn drain<T: Clone>(receiver: &mut Receiver<T>) -> (Vec<T>, TryRecvError) {
    let mut values = Vec::new();
    loop {
        match receiver.try_recv() {
            Ok(value) => values.push(value),
            Err(error) => return (values, error),
        }
    }
}

#[test]
fn receivers_receive_all_values_sent_while_they_exist() {
    let (sender, mut first) = broadcast::channel(16);
    assert_eq!(sender.send("a"), Ok(1));
    let mut second = sender.subscribe();
    assert_eq!(sender.send("b"), Ok(2));
    let mut third = first.resubscribe();
    assert_eq!(sender.send("c"), Ok(3));
    assert_eq!(
        drain(&mut first),
        (vec!["a", "b", "c"], TryRecvError::Empty)
    );
    assert_eq!(drain(&mut second), (vec!["b", "c"], TryRecvError::Empty));
    drop(sender);
    assert_eq!(drain(&mut third), (vec!["c"], TryRecvError::Closed));
    assert_eq!(drain(&mut first), (vec![], TryRecvError::Closed));
}

// tokio rounds the capacity up to a power of two.
#[test]
fn capacity_and_lag_are_exact() {
    const SENT: usize = if cfg!(miri) { 7 } else { 30 };
    for capacity in 1..=9 {
        for sent in 0..=SENT {
            let (sender, mut receiver) = broadcast::channel(capacity);
            for number in 0..sent {
                sender.send(number).unwrap();
            }
            assert_eq!(receiver.len(), sent);
            let missed = sent.saturating_sub(capacity);
            if missed > 0 {
                let lagged = TryRecvError::Lagged(missed as u64);
                assert_eq!(receiver.try_recv(), Err(lagged));
            }
            assert_eq!(receiver.len(), sent - missed);
            let rest: Vec<_> = (missed..sent).collect();
            assert_eq!(drain(&mut receiver), (rest, TryRecvError::Empty));
        }
    }
}

#[test]
fn the_lag_counts_from_zero_after_it_was_reported() {
    let (sender, mut receiver) = broadcast::channel(2);
    let mut quick = sender.subscribe();
    for number in 0..5 {
        sender.send(number).unwrap();
        assert_eq!(
            quick.try_recv(),
            Ok(number),
            "the other receiver does not lag"
        );
    }
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Lagged(3)));
    sender.send(5).unwrap();
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Lagged(1)));
    assert_eq!(receiver.try_recv(), Ok(4));
    assert_eq!(receiver.try_recv(), Ok(5));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
}

// tokio #2425.
#[test]
fn closing_drops_no_value() {
    let (sender, mut receiver) = broadcast::channel(2);
    sender.send(1).unwrap();
    sender.send(2).unwrap();
    drop(sender);
    assert_eq!(drain(&mut receiver), (vec![1, 2], TryRecvError::Closed));
}

#[test]
fn a_receiver_that_lags_sees_the_end_too() {
    let (sender, mut receiver) = broadcast::channel(2);
    for number in 0..5 {
        sender.send(number).unwrap();
    }
    drop(sender);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Lagged(3)));
    assert_eq!(drain(&mut receiver), (vec![3, 4], TryRecvError::Closed));
}

// tokio #3434.
#[test]
fn a_receiver_may_be_dropped_after_it_fell_behind() {
    let (sender, receiver) = broadcast::channel(2);
    for number in 0..5 {
        sender.send(number).unwrap();
    }
    assert_eq!(sender.len(), 2);
    drop(receiver);
    assert!(sender.is_empty());
    assert_eq!(sender.send(9), Err(SendError(9)));
}

#[test]
fn a_waiting_receiver_is_woken_by_a_value_and_by_the_end() {
    let (sender, mut first) = broadcast::channel(4);
    let mut second = sender.subscribe();
    let mut one = Waiter::new(first.recv());
    let mut two = Waiter::new(second.recv());
    assert!(one.poll().is_pending());
    assert!(two.poll().is_pending());
    assert!(two.poll_afresh().is_pending());
    assert_eq!((one.wakers(), two.wakers()), (1, 1));
    sender.send(1).unwrap();
    assert!(one.is_woken() && two.is_woken());
    assert_eq!(one.poll(), Poll::Ready(Ok(1)));
    assert_eq!(two.poll(), Poll::Ready(Ok(1)));
    drop(one);
    let mut one = Waiter::new(first.recv());
    assert!(one.poll().is_pending());
    drop(sender);
    assert!(one.is_woken());
    assert_eq!(one.wakers(), 0);
    assert_eq!(one.poll(), Poll::Ready(Err(RecvError::Closed)));
}

#[test]
fn dropping_a_receive_loses_no_value() {
    let (sender, mut receiver) = broadcast::channel(4);
    let mut task = Waiter::new(receiver.recv());
    assert!(task.poll().is_pending());
    task.cancel();
    let mut task = Waiter::new(receiver.recv());
    assert!(task.poll().is_pending());
    sender.send(1).unwrap();
    drop(task);
    assert_eq!(receiver.try_recv(), Ok(1));
}

#[test]
fn len_counts_values_that_a_receiver_has_not_received() {
    let (sender, mut first) = broadcast::channel(4);
    let mut second = sender.subscribe();
    assert!(sender.is_empty());
    for number in 0..6 {
        sender.send(number).unwrap();
    }
    assert_eq!(sender.len(), 4);
    assert!(first.try_recv().is_err());
    assert_eq!(first.try_recv(), Ok(2));
    assert_eq!(sender.len(), 4);
    assert!(second.try_recv().is_err());
    assert_eq!(second.try_recv(), Ok(2));
    assert_eq!(second.try_recv(), Ok(3));
    assert_eq!(sender.len(), 3);
    drop(first);
    assert_eq!(sender.len(), 2);
    let late = sender.subscribe();
    drop(second);
    assert_eq!((sender.len(), late.len()), (0, 0));
}

#[derive(Debug)]
struct Noted {
    drops: Rc<Cell<usize>>,
    clones: Rc<Cell<usize>>,
}

impl Clone for Noted {
    fn clone(&self) -> Self {
        self.clones.set(self.clones.get() + 1);
        Self {
            drops: Rc::clone(&self.drops),
            clones: Rc::clone(&self.clones),
        }
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.drops.set(self.drops.get() + 1);
    }
}

#[test]
fn a_value_is_dropped_when_all_receivers_have_received_it() {
    let (drops, clones) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let value = || Noted {
        drops: Rc::clone(&drops),
        clones: Rc::clone(&clones),
    };
    let (sender, mut first) = broadcast::channel(2);
    let second = sender.subscribe();
    sender.send(value()).unwrap();
    sender.send(value()).unwrap();
    drop(first.try_recv().unwrap());
    assert_eq!(
        (drops.get(), clones.get()),
        (1, 1),
        "only the clone was dropped"
    );
    drop(second);
    assert_eq!(
        drops.get(),
        2,
        "all receivers have received the first value"
    );
    let last = first.try_recv().unwrap();
    assert_eq!(
        (drops.get(), clones.get()),
        (3, 2),
        "the last receiver gets a clone too"
    );
    drop(last);
    assert_eq!(drops.get(), 4);
    for _ in 0..3 {
        sender.send(value()).unwrap();
    }
    assert_eq!(drops.get(), 5, "the oldest value made room");
    drop(first);
    assert_eq!(drops.get(), 7);
    drop(sender);
    assert_eq!(drops.get(), 7);
}

#[test]
fn values_are_dropped_with_the_last_receiver() {
    let (drops, clones) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let (sender, receiver) = broadcast::channel(9);
    for _ in 0..5 {
        let (drops, clones) = (Rc::clone(&drops), Rc::clone(&clones));
        sender.send(Noted { drops, clones }).unwrap();
    }
    drop(sender);
    assert_eq!(drops.get(), 0);
    drop(receiver);
    assert_eq!((drops.get(), clones.get()), (5, 0));
}

/// A value that calls a hook while it is cloned, and while it is dropped.
struct Busy(Rc<dyn Fn()>);

impl Clone for Busy {
    fn clone(&self) -> Self {
        (self.0)();
        Self(Rc::clone(&self.0))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn a_clone_and_a_destructor_may_use_the_channel() {
    let (sender, mut receiver) = broadcast::channel::<Busy>(2);
    let others = Rc::new(RefCell::new(vec![sender.subscribe(), sender.subscribe()]));
    let rounds = Rc::new(Cell::new(0));
    let body: Rc<dyn Fn()> = {
        let (sender, others, rounds) = (sender.clone(), Rc::clone(&others), Rc::clone(&rounds));
        Rc::new(move || {
            if rounds.replace(rounds.get() + 1) > 20 {
                return;
            }
            // Overwrites the slot whose value is being cloned, and reads it.
            let _ = sender.send(Busy(Rc::new(|| {})));
            let other = others.borrow_mut().pop();
            if let Some(mut other) = other {
                while !matches!(other.try_recv(), Err(TryRecvError::Empty)) {}
            }
            assert!(sender.len() <= 2);
        })
    };
    assert!(sender.send(Busy(Rc::clone(&body))).is_ok());
    assert!(sender.send(Busy(body)).is_ok());
    assert!(receiver.try_recv().is_ok());
    while !matches!(receiver.try_recv(), Err(TryRecvError::Empty)) {}
    assert!(rounds.get() > 2);
    drop(receiver);
}

#[test]
fn a_clone_that_panics_loses_only_its_value() {
    struct Panics(u8);
    impl Clone for Panics {
        fn clone(&self) -> Self {
            assert!(self.0 != 1, "a clone that panics");
            Self(self.0)
        }
    }
    let (sender, mut first) = broadcast::channel(4);
    let mut second = sender.subscribe();
    assert!(sender.send(Panics(1)).is_ok());
    assert!(sender.send(Panics(2)).is_ok());
    assert!(panic::catch_unwind(AssertUnwindSafe(|| first.try_recv().is_ok())).is_err());
    assert!(matches!(first.try_recv(), Ok(Panics(2))));
    assert_eq!(sender.len(), 2);
    // The last receiver clones too, and a value that it could not clone is dropped.
    let mut receiving = Waiter::new(second.recv());
    assert!(panic::catch_unwind(AssertUnwindSafe(|| receiving.is_ready())).is_err());
    receiving.cancel();
    assert_eq!((sender.len(), second.len()), (1, 1));
    assert!(matches!(second.try_recv(), Ok(Panics(2))));
    assert_eq!(sender.len(), 0);
    assert!(sender.send(Panics(3)).is_ok());
    assert!(matches!(first.try_recv(), Ok(Panics(3))));
}

/// tokio has the same test.
#[test]
fn a_clone_that_panics_for_the_only_receiver_loses_its_value() {
    #[derive(Debug, PartialEq)]
    struct Panics(u8);
    impl Clone for Panics {
        fn clone(&self) -> Self {
            assert!(self.0 != 0, "a clone that panics");
            Self(self.0)
        }
    }
    let (sender, mut receiver) = broadcast::channel(16);
    sender.send(Panics(0)).unwrap();
    sender.send(Panics(1)).unwrap();
    let received = panic::catch_unwind(AssertUnwindSafe(|| receiver.try_recv()));
    assert!(received.is_err());
    assert_eq!(receiver.try_recv(), Ok(Panics(1)));
}

#[test]
fn the_other_values_are_dropped_if_a_destructor_panics() {
    #[derive(Clone)]
    struct Panics(Rc<Cell<usize>>, bool);
    impl Drop for Panics {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
            assert!(!self.1, "a destructor that panics");
        }
    }
    let drops = Rc::new(Cell::new(0));
    let (sender, receiver) = broadcast::channel(4);
    let mut closed = Waiter::new(sender.closed());
    assert!(closed.poll().is_pending());
    for number in 0..3 {
        assert!(sender.send(Panics(Rc::clone(&drops), number == 0)).is_ok());
    }
    panic::catch_unwind(AssertUnwindSafe(|| drop(receiver))).unwrap_err();
    assert_eq!(drops.get(), 3);
    assert!(closed.is_woken());
}

#[test]
fn closed_waits_for_the_last_receiver() {
    let (sender, first) = broadcast::channel::<u8>(4);
    let second = sender.subscribe();
    let mut closed = Waiter::new(sender.closed());
    assert!(closed.poll().is_pending());
    drop(first);
    assert!(!closed.is_woken());
    drop(second);
    assert!(closed.is_woken());
    let third = sender.subscribe();
    assert!(closed.poll().is_pending(), "there is a receiver again");
    drop(third);
    assert!(closed.is_woken());
    assert!(closed.poll().is_ready());
    assert!(Waiter::new(Sender::<u8>::new(1).closed()).poll().is_ready());
}

#[test]
fn a_channel_without_receivers_keeps_no_value() {
    let sender = Sender::new(4);
    assert_eq!(sender.receiver_count(), 0);
    assert_eq!(sender.send(1), Err(SendError(1)));
    let mut receiver = sender.subscribe();
    assert_eq!(sender.receiver_count(), 1);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    sender.send(2).unwrap();
    assert_eq!(receiver.try_recv(), Ok(2));
}

#[test]
fn a_weak_sender_does_not_keep_the_channel_open() {
    let (sender, mut receiver) = broadcast::channel(4);
    let weak = sender.downgrade();
    let again = weak.upgrade().unwrap();
    assert!(again.same_channel(&sender) && receiver.same_channel(&sender.subscribe()));
    assert_eq!((weak.strong_count(), weak.clone().weak_count()), (2, 2));
    assert_eq!((sender.strong_count(), sender.weak_count()), (2, 1));
    drop(sender);
    again.send(1).unwrap();
    assert!(!receiver.is_closed());
    drop(again);
    assert!(receiver.is_closed() && !receiver.is_empty());
    assert_eq!(receiver.sender_strong_count(), 0);
    assert_eq!(receiver.sender_weak_count(), 1);
    assert!(weak.upgrade().is_none());
    assert_eq!(drain(&mut receiver), (vec![1], TryRecvError::Closed));
}

#[test]
fn resubscribe_starts_with_the_next_value() {
    let (sender, mut receiver) = broadcast::channel(1);
    sender.send(1).unwrap();
    sender.send(2).unwrap();
    let mut again = receiver.resubscribe();
    assert_eq!(again.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Lagged(1)));
    drop(sender);
    assert_eq!(again.try_recv(), Err(TryRecvError::Closed));
    assert_eq!(receiver.resubscribe().try_recv(), Err(TryRecvError::Closed));
}

#[test]
fn wakers_may_use_the_channel() {
    let (sender, mut receiver) = broadcast::channel::<u8>(2);
    let hook = {
        let sender = sender.clone();
        let left = Cell::new(10);
        move || {
            if left.replace(left.get() - 1) > 0 {
                let _ = sender.send(7);
                drop(sender.subscribe());
            }
        }
    };
    with_hook(hook, |waker| {
        let mut task = Waiter::new(receiver.recv());
        assert!(task.poll_with(&waker()).is_pending());
        // The replaced waker is dropped, and its destructor sends.
        assert!(task.poll().is_pending() && task.is_woken());
        assert_eq!(task.poll(), Poll::Ready(Ok(7)));
        drop(task);
        let mut task = Waiter::new(receiver.recv());
        assert!(task.poll_with(&waker()).is_pending());
        sender.send(1).unwrap();
        assert_eq!(task.poll(), Poll::Ready(Err(RecvError::Lagged(1))));
    });
}

#[test]
fn the_other_receivers_are_woken_if_a_waker_panics() {
    let (sender, mut first) = broadcast::channel(2);
    let mut second = sender.subscribe();
    let mut panics = Waiter::new(first.recv());
    let mut woken = Waiter::new(second.recv());
    assert!(panics.poll_with(&panicking_waker()).is_pending());
    assert!(woken.poll().is_pending());
    panic::catch_unwind(AssertUnwindSafe(|| sender.send(1))).unwrap_err();
    assert!(woken.is_woken());
    assert_eq!(panics.poll(), Poll::Ready(Ok(1)));
}

#[test]
fn a_large_capacity_allocates_no_memory() {
    let (sender, mut receiver) = broadcast::channel(usize::MAX);
    sender.send(1).unwrap();
    assert_eq!(receiver.try_recv(), Ok(1));
}

#[test]
#[should_panic(expected = "keeps at least one value")]
fn a_capacity_of_zero_panics() {
    let _ = broadcast::channel::<u8>(0);
}

#[test]
fn a_receiver_is_a_stream_in_which_lag_is_not_the_end() {
    futures_lite::future::block_on(async {
        let (sender, receiver) = broadcast::channel(2);
        for number in 0..3 {
            sender.send(number).unwrap();
        }
        drop(sender);
        assert_eq!(
            receiver.collect::<Vec<_>>().await,
            [Err(RecvError::Lagged(1)), Ok(1), Ok(2)]
        );
    });
}

#[coreloop::test]
async fn a_task_that_always_finds_a_value_still_lets_others_run() {
    let other = coreloop::spawn(async {});
    let (sender, mut receiver) = broadcast::channel(1);
    let mut rounds = 0;
    while !other.is_finished() {
        sender.send(rounds).unwrap();
        assert_eq!(receiver.recv().await, Ok(rounds));
        rounds += 1;
        assert!(rounds < 100_000, "the other task never ran");
    }
}

#[coreloop::test]
async fn tasks_receive_all_values_in_order() {
    let (sender, _) = broadcast::channel(8);
    let tasks: Vec<_> = (0..3)
        .map(|_| {
            let mut receiver = sender.subscribe();
            coreloop::spawn(async move {
                let mut received = Vec::new();
                while let Ok(number) = receiver.recv().await {
                    received.push(number);
                }
                received
            })
        })
        .collect();
    for number in 0..50 {
        sender.send(number).unwrap();
        yield_now().await;
    }
    drop(sender);
    for task in tasks {
        assert!(task.await.unwrap().into_iter().eq(0..50));
    }
}
