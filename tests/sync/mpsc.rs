//! `mpsc`: order, room, permits, the end of a channel, and when values are dropped.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use coreloop::sync::mpsc::error::{SendTimeoutError, TryRecvError, TrySendError};
use coreloop::sync::mpsc::{self, OwnedPermit, Receiver, Sender};
use coreloop::task::yield_now;
use coreloop_test_support::waiter::Waiter;
use coreloop_test_support::wakers::{panicking_waker, with_hook};
use futures_lite::StreamExt;

fn full<T>(values: impl IntoIterator<Item = T>) -> (Sender<T>, Receiver<T>) {
    let values: Vec<T> = values.into_iter().collect();
    let (sender, receiver) = mpsc::channel(values.len());
    for value in values {
        assert!(sender.try_send(value).is_ok());
    }
    (sender, receiver)
}

#[coreloop::test]
async fn values_are_received_in_order_and_then_the_end() {
    const COUNT: usize = if cfg!(miri) { 50 } else { 1000 };
    let (sender, mut receiver) = mpsc::channel(3);
    let task = coreloop::spawn(async move {
        for number in 0..COUNT {
            sender.send(number).await.unwrap();
        }
    });
    for number in 0..COUNT {
        assert_eq!(receiver.recv().await, Some(number));
    }
    assert_eq!(receiver.recv().await, None);
    assert_eq!(receiver.recv().await, None);
    task.await.unwrap();
}

#[test]
fn waiting_senders_are_served_in_order_and_before_later_ones() {
    let (sender, mut receiver) = full([0]);
    let mut first = Waiter::new(sender.send(1));
    let mut second = Waiter::new(sender.send(2));
    assert!(first.poll().is_pending());
    assert!(second.poll().is_pending());
    assert_eq!(receiver.try_recv(), Ok(0));
    assert!(first.is_woken() && !second.is_woken());
    assert!(
        sender.try_send(3).is_err(),
        "the room is for the waiting sender"
    );
    assert_eq!(sender.capacity(), 0);
    assert!(Waiter::new(sender.send(3)).poll().is_pending());
    assert!(second.poll().is_pending());
    assert_eq!(first.poll(), Poll::Ready(Ok(())));
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(second.poll(), Poll::Ready(Ok(())));
    assert_eq!(receiver.try_recv(), Ok(2));
    assert_eq!(sender.capacity(), 1);
}

#[test]
fn the_order_is_kept_when_waiting_senders_are_dropped() {
    let (sender, mut receiver) = full([0]);
    let mut tasks: Vec<_> = (1..=4).map(|it| Waiter::new(sender.send(it))).collect();
    for task in &mut tasks {
        assert!(task.poll().is_pending());
    }
    let fourth = tasks.pop().unwrap();
    let mut third = tasks.pop().unwrap();
    let second = tasks.pop().unwrap();
    let first = tasks.pop().unwrap();
    second.cancel();
    assert_eq!(receiver.try_recv(), Ok(0));
    // A sender that was granted room is dropped: the next in the queue gets the room.
    assert!(first.is_woken());
    drop(first);
    assert!(third.is_woken() && !fourth.is_woken());
    assert_eq!(third.poll(), Poll::Ready(Ok(())));
    assert_eq!(receiver.try_recv(), Ok(3));
    drop(fourth);
    assert_eq!(receiver.capacity(), 1);
}

#[test]
fn polling_a_send_after_completion_takes_no_room() {
    let (sender, _receiver) = mpsc::channel(2);
    let mut sending = Waiter::new(sender.send(1));
    assert!(sending.is_ready());
    assert!(panic::catch_unwind(AssertUnwindSafe(|| sending.is_ready())).is_err());
    assert_eq!(sender.capacity(), 1);
}

#[test]
fn a_waiting_sender_may_move_to_another_task() {
    let (sender, mut receiver) = full([0]);
    let mut task = Waiter::new(sender.send(1));
    assert!(task.poll().is_pending());
    assert!(task.poll().is_pending());
    assert_eq!(task.wakers(), 1);
    assert!(task.poll_afresh().is_pending());
    receiver.try_recv().unwrap();
    assert!(task.is_woken());
    assert_eq!(task.wakers(), 0);
    assert!(task.poll().is_ready());
}

#[test]
fn a_waiting_receiver_may_move_to_another_task() {
    let (sender, mut receiver) = mpsc::channel(1);
    let mut task = Waiter::new(receiver.recv());
    assert!(task.poll().is_pending());
    assert!(task.poll_afresh().is_pending());
    assert_eq!(task.wakers(), 1);
    sender.try_send(1).unwrap();
    assert!(task.is_woken());
    assert_eq!(task.wakers(), 0);
    assert_eq!(task.poll(), Poll::Ready(Some(1)));
}

#[test]
fn dropping_a_receive_loses_no_value() {
    let (sender, mut receiver) = mpsc::channel(2);
    let mut task = Waiter::new(receiver.recv());
    assert!(task.poll().is_pending());
    sender.try_send(1).unwrap();
    assert!(task.is_woken());
    drop(task);
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn permits_hold_room() {
    let (sender, mut receiver) = mpsc::channel(3);
    let first = sender.try_reserve().unwrap();
    let second = sender.try_reserve().unwrap();
    assert_eq!((sender.capacity(), receiver.capacity()), (1, 1));
    sender.try_send("third").unwrap();
    assert_eq!(sender.try_send("fourth"), Err(TrySendError::Full("fourth")));
    second.send("second");
    drop(first);
    assert_eq!(sender.capacity(), 1);
    assert_eq!(receiver.try_recv(), Ok("third"));
    assert_eq!(receiver.try_recv(), Ok("second"));
    assert_eq!(sender.capacity(), 3);
    assert_eq!(sender.max_capacity(), 3);
}

#[test]
fn dropping_a_permit_grants_its_room_to_a_waiter() {
    let (sender, _receiver) = mpsc::channel::<u8>(1);
    let permit = sender.try_reserve().unwrap();
    let mut waiting = Waiter::new(sender.reserve());
    assert!(waiting.poll().is_pending());
    drop(permit);
    assert!(waiting.is_woken());
    assert!(waiting.poll().is_ready());
}

#[test]
fn reserving_many_waits_for_all_room_before_later_senders() {
    let (sender, mut receiver) = full([0, 1, 2]);
    let mut many = Waiter::new(sender.reserve_many(2));
    let mut one = Waiter::new(sender.send(9));
    assert!(many.poll().is_pending());
    assert!(one.poll().is_pending());
    receiver.try_recv().unwrap();
    assert!(!many.is_woken() && !one.is_woken());
    receiver.try_recv().unwrap();
    assert!(many.is_woken() && !one.is_woken());
    let Poll::Ready(Ok(mut permits)) = many.poll() else {
        panic!("all room is free");
    };
    assert_eq!(permits.len(), 2);
    permits.next().unwrap().send(3);
    drop(permits);
    assert!(one.is_woken(), "the second permit was not used");
    assert!(one.poll().is_ready());
    drop(many);
    let rest: Vec<_> = std::iter::from_fn(|| receiver.try_recv().ok()).collect();
    assert_eq!(rest, [2, 3, 9]);
    assert_eq!(sender.capacity(), 3);
}

#[test]
fn reserving_many_takes_the_free_room_first() {
    let (sender, mut receiver) = mpsc::channel(4);
    sender.try_send(0).unwrap();
    let mut many = Waiter::new(sender.reserve_many(4));
    assert!(many.poll().is_pending());
    assert!(
        sender.try_send(1).is_err(),
        "it must not overtake the request"
    );
    receiver.try_recv().unwrap();
    assert!(many.is_woken());
    assert!(matches!(many.poll(), Poll::Ready(Ok(permits)) if permits.len() == 4));
}

#[test]
fn dropping_a_request_for_many_passes_its_room_on() {
    let (sender, mut receiver) = full([0, 1, 2]);
    let mut many = Waiter::new(sender.reserve_many(3));
    let mut others: Vec<_> = (0..2).map(|_| Waiter::new(sender.reserve())).collect();
    assert!(many.poll().is_pending());
    assert!(others.iter_mut().all(|it| it.poll().is_pending()));
    receiver.try_recv().unwrap();
    receiver.try_recv().unwrap();
    many.cancel();
    assert!(others.iter().all(Waiter::is_woken));
    let permits: Vec<_> = others.iter_mut().map(Waiter::poll).collect();
    assert!(permits.iter().all(|it| matches!(it, Poll::Ready(Ok(_)))));
}

#[test]
fn reserving_more_than_the_capacity_fails() {
    let (sender, _receiver) = mpsc::channel::<u8>(2);
    assert!(matches!(
        Waiter::new(sender.reserve_many(3)).poll(),
        Poll::Ready(Err(_))
    ));
    assert!(matches!(
        sender.try_reserve_many(3),
        Err(TrySendError::Full(()))
    ));
    assert_eq!(sender.try_reserve_many(2).unwrap().count(), 2);
    assert_eq!(sender.capacity(), 2);
    assert_eq!(sender.try_reserve_many(0).unwrap().len(), 0);
}

#[test]
fn an_owned_permit_keeps_its_sender() {
    let (sender, mut receiver) = mpsc::channel(1);
    let other = mpsc::channel(1).0.try_reserve_owned().unwrap();
    let permit = sender.clone().try_reserve_owned().unwrap();
    assert!(permit.same_channel_as_sender(&sender));
    assert!(permit.same_channel(&permit) && !permit.same_channel(&other));
    let Err(TrySendError::Full(sender)) = sender.try_reserve_owned() else {
        panic!("the room is held");
    };
    let back = permit.send(1);
    assert!(back.same_channel(&sender));
    assert_eq!(receiver.try_recv(), Ok(1));
    let back = back.try_reserve_owned().unwrap().release();
    assert_eq!(back.capacity(), 1);
    let permit: OwnedPermit<u8> = back.try_reserve_owned().unwrap();
    drop(sender);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    drop(permit);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
}

#[coreloop::test]
async fn reserving_owned_waits_for_room() {
    let (sender, mut receiver) = full([0]);
    let task = coreloop::spawn(async move { sender.reserve_owned().await.unwrap().send(1) });
    yield_now().await;
    assert_eq!(receiver.recv().await, Some(0));
    assert_eq!(receiver.recv().await, Some(1));
    drop(task.await.unwrap());
    assert_eq!(receiver.recv().await, None);
}

// tokio #2854, #8075, #8260: in every way of returning a permit, the receiver of a closed
// channel is woken.
#[test]
fn a_closed_receiver_sees_the_end_when_the_last_permit_is_dropped() {
    type End<'a> = Box<dyn FnOnce() + 'a>;
    type Begin = for<'a> fn(&'a Sender<u8>) -> End<'a>;
    let ways: [Begin; 6] = [
        |sender| {
            let permit = sender.try_reserve().unwrap();
            Box::new(move || drop(permit))
        },
        |sender| {
            let permits = sender.try_reserve_many(2).unwrap();
            Box::new(move || drop(permits))
        },
        |sender| {
            let permit = sender.clone().try_reserve_owned().unwrap();
            Box::new(move || drop(permit))
        },
        |sender| {
            let permit = sender.clone().try_reserve_owned().unwrap();
            Box::new(move || drop(permit.release()))
        },
        |sender| {
            // Granted to a future that is dropped before it returned the permit.
            let all = sender.try_reserve_many(2).unwrap();
            let mut waiting = Waiter::new(sender.reserve());
            assert!(waiting.poll().is_pending());
            drop(all);
            assert!(waiting.is_woken());
            Box::new(move || drop(waiting))
        },
        |sender| {
            // Some of several permits.
            let one = sender.try_reserve().unwrap();
            let mut waiting = Waiter::new(sender.reserve_many(2));
            assert!(waiting.poll().is_pending());
            drop(one);
            Box::new(move || drop(waiting))
        },
    ];
    for begin in ways {
        let (sender, mut receiver) = mpsc::channel(2);
        let end = begin(&sender);
        receiver.close();
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        let mut receiving = Waiter::new(receiver.recv());
        assert!(receiving.poll().is_pending());
        end();
        assert!(receiving.is_woken());
        assert_eq!(receiving.poll(), Poll::Ready(None));
        drop(receiving);
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    }
}

#[test]
fn closing_fails_waiting_senders_and_honours_permits() {
    let (sender, mut receiver) = full([0]);
    let mut waiting = Waiter::new(sender.send(1));
    let mut many = Waiter::new(sender.reserve_many(1));
    let mut closed = Waiter::new(sender.closed());
    assert!(waiting.poll().is_pending());
    assert!(many.poll().is_pending());
    assert!(closed.poll().is_pending());
    receiver.try_recv().unwrap();
    let permit = match Waiter::new(sender.reserve()).poll() {
        Poll::Ready(_) => panic!("it would overtake the waiting sender"),
        Poll::Pending => sender.try_reserve(),
    };
    assert!(permit.is_err());
    receiver.close();
    assert!(receiver.is_closed() && sender.is_closed());
    assert!(many.is_woken() && closed.is_woken());
    assert!(closed.poll().is_ready());
    // This sender was granted room, but had not collected it.
    assert_eq!(waiting.poll(), Poll::Ready(Err(mpsc::error::SendError(1))));
    assert!(matches!(many.poll(), Poll::Ready(Err(_))));
    drop((waiting, many));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    assert_eq!(sender.try_send(5), Err(TrySendError::Closed(5)));
    receiver.close();
}

// tokio #8074.
#[test]
fn nothing_to_receive_is_not_the_end_while_a_permit_lives() {
    let (sender, mut receiver) = mpsc::channel(1);
    let permit = sender.try_reserve().unwrap();
    receiver.close();
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    permit.send(1);
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
}

struct Noted(Rc<Cell<usize>>);

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

// tokio #7714.
#[test]
fn a_value_that_a_permit_sends_to_a_dropped_receiver_is_dropped() {
    let drops = Rc::new(Cell::new(0));
    let (sender, receiver) = mpsc::channel(2);
    let owned = sender.clone().try_reserve_owned().unwrap();
    let permit = sender.try_reserve().unwrap();
    drop(receiver);
    permit.send(Noted(Rc::clone(&drops)));
    assert_eq!(drops.get(), 1);
    let back = owned.send(Noted(Rc::clone(&drops)));
    assert_eq!(drops.get(), 2);
    assert_eq!(back.capacity(), 2);
}

#[test]
fn values_are_dropped_once_with_the_receiver() {
    let drops = Rc::new(Cell::new(0));
    let (sender, mut receiver) = mpsc::channel(4);
    for _ in 0..4 {
        assert!(sender.try_send(Noted(Rc::clone(&drops))).is_ok());
    }
    drop(receiver.try_recv());
    assert_eq!(drops.get(), 1);
    let mut waiting = Waiter::new(sender.send(Noted(Rc::clone(&drops))));
    assert!(sender.try_send(Noted(Rc::clone(&drops))).is_ok());
    assert!(waiting.poll().is_pending());
    drop(receiver);
    assert_eq!(drops.get(), 5);
    assert!(waiting.is_woken());
    // The value is returned in the error.
    assert!(matches!(waiting.poll(), Poll::Ready(Err(_))));
    assert_eq!(drops.get(), 6);
}

// tokio #8095.
#[test]
fn dropping_the_receiver_drops_its_waker() {
    let (sender, mut receiver) = mpsc::channel::<u8>(1);
    let mut task = Waiter::new(async move {
        receiver.recv().await;
    });
    assert!(task.poll().is_pending());
    task.cancel();
    assert!(sender.is_closed());
}

#[test]
fn a_destructor_may_send_into_its_channel() {
    struct Sends(Option<Sender<Sends>>, Rc<RefCell<Vec<&'static str>>>);

    impl Drop for Sends {
        fn drop(&mut self) {
            let Some(sender) = self.0.take() else { return };
            let log = Rc::clone(&self.1);
            let said = match sender.try_send(Sends(None, Rc::clone(&log))) {
                Ok(()) => "sent",
                Err(TrySendError::Full(_)) => "full",
                Err(TrySendError::Closed(_)) => "closed",
            };
            log.borrow_mut().push(said);
        }
    }

    let log = Rc::default();
    let (sender, mut receiver) = mpsc::channel(2);
    let value = || Sends(Some(sender.clone()), Rc::clone(&log));
    assert!(sender.try_send(value()).is_ok());
    assert!(sender.try_send(value()).is_ok());
    drop(receiver.try_recv());
    assert!(sender.try_send(value()).is_err());
    assert_eq!(*log.borrow(), ["sent", "full"]);
    drop(receiver);
    assert_eq!(*log.borrow(), ["sent", "full", "closed"]);
}

#[test]
fn the_other_values_are_dropped_if_a_destructor_panics() {
    struct Panics(Rc<Cell<usize>>, bool);

    impl Drop for Panics {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
            assert!(!self.1, "a destructor that panics");
        }
    }

    let drops = Rc::new(Cell::new(0));
    let (sender, receiver) = mpsc::unbounded_channel();
    for number in 0..5 {
        assert!(sender.send(Panics(Rc::clone(&drops), number == 1)).is_ok());
    }
    let mut closed = Waiter::new(sender.closed());
    assert!(closed.poll().is_pending());
    panic::catch_unwind(AssertUnwindSafe(|| drop(receiver))).unwrap_err();
    assert_eq!(drops.get(), 5);
    assert!(closed.is_woken());
    assert!(sender.is_closed());
}

#[test]
fn the_other_waiters_are_woken_if_a_waker_panics() {
    let (sender, mut receiver) = full([0, 1]);
    let mut first = Waiter::new(sender.reserve());
    let mut panics = Waiter::new(sender.reserve());
    let mut last = Waiter::new(sender.reserve());
    let mut closed = Waiter::new(sender.closed());
    assert!(first.poll().is_pending());
    assert!(panics.poll_with(&panicking_waker()).is_pending());
    assert!(last.poll().is_pending());
    assert!(closed.poll().is_pending());
    panic::catch_unwind(AssertUnwindSafe(|| receiver.close())).unwrap_err();
    assert!(first.is_woken() && last.is_woken() && closed.is_woken());
    assert!(matches!(panics.poll(), Poll::Ready(Err(_))));
}

#[test]
fn a_waker_that_panics_keeps_no_room() {
    let (sender, _receiver) = mpsc::channel::<u8>(2);
    let permits = sender.try_reserve_many(2).unwrap();
    let mut panics = Waiter::new(sender.reserve());
    let mut last = Waiter::new(sender.reserve());
    assert!(panics.poll_with(&panicking_waker()).is_pending());
    assert!(last.poll().is_pending());
    panic::catch_unwind(AssertUnwindSafe(|| drop(permits))).unwrap_err();
    assert!(last.is_woken());
    drop((panics, last));
    assert_eq!(sender.capacity(), 2);
}

#[test]
fn wakers_may_use_the_channel() {
    let (sender, receiver) = mpsc::channel(2);
    let sender = Rc::new(sender);
    let receiver = Rc::new(RefCell::new(receiver));
    let hook = {
        let (sender, receiver) = (Rc::clone(&sender), Rc::clone(&receiver));
        move || {
            let _ = sender.try_send(7);
            if let Ok(mut receiver) = receiver.try_borrow_mut() {
                let _ = receiver.try_recv();
                receiver.close();
            }
            drop(sender.downgrade().upgrade());
        }
    };
    with_hook(hook, |waker| {
        // The waker is woken by the value that it sends.
        let mut borrowed = receiver.borrow_mut();
        let mut receiving = Waiter::new(borrowed.recv());
        assert!(receiving.poll_with(&waker()).is_pending());
        sender.try_send(1).unwrap();
        assert_eq!(receiving.poll(), Poll::Ready(Some(1)));
        assert_eq!(receiving.poll(), Poll::Ready(Some(7)));
        drop(receiving);
        drop(borrowed);
        // The waker finds no room, because the room was granted to its waiter.
        while sender.try_send(2).is_ok() {}
        let mut sending = Waiter::new(sender.send(3));
        assert!(sending.poll_with(&waker()).is_pending());
        assert!(receiver.borrow_mut().try_recv().is_ok());
        drop(sending);
        while receiver.borrow_mut().try_recv().is_ok() {}
        assert_eq!(sender.capacity(), 2);
        // The waker closes the channel that is being closed.
        let mut closed = Waiter::new(sender.closed());
        assert!(closed.poll_with(&waker()).is_pending());
        receiver.borrow_mut().close();
        assert!(closed.poll().is_ready());
    });
}

#[test]
fn a_weak_sender_does_not_keep_the_channel_open() {
    let (sender, mut receiver) = mpsc::channel(1);
    let weak = sender.downgrade();
    let other = weak.clone();
    assert_eq!((sender.strong_count(), sender.weak_count()), (1, 2));
    let again = weak.upgrade().unwrap();
    assert!(again.same_channel(&sender));
    assert_eq!((weak.strong_count(), weak.weak_count()), (2, 2));
    drop((sender, other));
    assert_eq!(receiver.sender_strong_count(), 1);
    assert_eq!(receiver.sender_weak_count(), 1);
    let mut receiving = Waiter::new(receiver.recv());
    assert!(receiving.poll().is_pending());
    again.try_send(1).unwrap();
    assert_eq!(receiving.poll(), Poll::Ready(Some(1)));
    assert!(receiving.poll().is_pending());
    drop(again);
    assert!(receiving.is_woken());
    assert_eq!(receiving.poll(), Poll::Ready(None));
    assert!(weak.upgrade().is_none());
}

#[test]
fn is_closed_means_that_no_value_can_be_sent() {
    let (sender, mut receiver) = mpsc::channel(2);
    assert!(receiver.is_empty() && !receiver.is_closed());
    sender.try_send(1).unwrap();
    let permit = sender.clone().try_reserve_owned().unwrap();
    drop(sender);
    assert!(!receiver.is_closed(), "the permit has a sender");
    drop(permit);
    assert!(receiver.is_closed() && !receiver.is_empty());
    assert_eq!(receiver.len(), 1);
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
}

#[test]
fn many_values_are_received_at_once() {
    let (sender, mut receiver) = full(0..10);
    let mut buffer = vec![100];
    assert_eq!(
        Waiter::new(receiver.recv_many(&mut buffer, 0)).poll(),
        Poll::Ready(0)
    );
    let mut waiting: Vec<_> = (10..14).map(|it| Waiter::new(sender.send(it))).collect();
    for task in &mut waiting {
        assert!(task.poll().is_pending());
    }
    assert_eq!(
        Waiter::new(receiver.recv_many(&mut buffer, 3)).poll(),
        Poll::Ready(3)
    );
    assert_eq!(buffer, [100, 0, 1, 2]);
    let woken: Vec<_> = waiting.iter().map(Waiter::is_woken).collect();
    assert_eq!(woken, [true, true, true, false]);
    for task in &mut waiting[..3] {
        assert!(task.poll().is_ready());
    }
    drop(waiting);
    assert_eq!(
        Waiter::new(receiver.recv_many(&mut buffer, 99)).poll(),
        Poll::Ready(10)
    );
    let mut empty = Waiter::new(receiver.recv_many(&mut buffer, 99));
    assert!(empty.poll().is_pending());
    drop(sender);
    assert!(empty.is_woken());
    assert_eq!(empty.poll(), Poll::Ready(0));
}

#[coreloop::test(start_paused = true)]
async fn send_timeout_fails_after_its_time() {
    let (sender, mut receiver) = full([0]);
    let second = Duration::from_secs(1);
    let start = coreloop::time::Instant::now();
    assert_eq!(
        sender.send_timeout(1, second).await,
        Err(SendTimeoutError::Timeout(1))
    );
    assert_eq!(start.elapsed().as_secs(), 1);
    let task = coreloop::spawn({
        let sender = sender.clone();
        async move { sender.send_timeout(2, 10 * second).await }
    });
    yield_now().await;
    assert_eq!(receiver.recv().await, Some(0));
    assert_eq!(task.await.unwrap(), Ok(()));
    receiver.close();
    assert_eq!(
        sender.send_timeout(3, second).await,
        Err(SendTimeoutError::Closed(3))
    );
}

#[coreloop::test]
async fn a_task_that_always_finds_a_value_still_lets_others_run() {
    let other = coreloop::spawn(async {});
    let (sender, mut receiver) = mpsc::channel(1);
    let mut rounds = 0;
    while !other.is_finished() {
        sender.send(rounds).await.unwrap();
        assert_eq!(receiver.recv().await, Some(rounds));
        rounds += 1;
        assert!(rounds < 100_000, "the other task never ran");
    }
}

#[coreloop::test]
async fn waiting_for_a_channel_that_is_closed_lets_others_run() {
    let (sender, receiver) = mpsc::channel::<u8>(1);
    drop(receiver);
    let other = coreloop::spawn(async {});
    let mut rounds = 0;
    while !other.is_finished() {
        sender.closed().await;
        rounds += 1;
        assert!(rounds < 100_000, "the other task never ran");
    }
}

#[test]
fn a_receiver_is_a_stream() {
    futures_lite::future::block_on(async {
        let (sender, receiver) = full([1, 2, 3]);
        drop(sender);
        assert_eq!(receiver.collect::<Vec<_>>().await, [1, 2, 3]);
        let (sender, receiver) = mpsc::unbounded_channel();
        sender.send(4).unwrap();
        drop(sender);
        assert_eq!(receiver.collect::<Vec<_>>().await, [4]);
    });
}

#[test]
#[should_panic(expected = "room for at least one value")]
fn a_capacity_of_zero_panics() {
    let _ = mpsc::channel::<u8>(0);
}

#[test]
fn a_large_capacity_allocates_no_memory() {
    let (sender, mut receiver) = mpsc::channel(usize::MAX);
    sender.try_send(1).unwrap();
    assert_eq!(sender.capacity(), usize::MAX - 1);
    assert_eq!(receiver.try_recv(), Ok(1));
}

#[test]
fn an_unbounded_channel_sends_until_it_is_closed() {
    const COUNT: usize = if cfg!(miri) { 100 } else { 5000 };
    let (sender, mut receiver) = mpsc::unbounded_channel();
    for number in 0..COUNT {
        sender.send(number).unwrap();
    }
    assert_eq!(receiver.len(), COUNT);
    assert_eq!(receiver.try_recv(), Ok(0));
    receiver.close();
    assert_eq!(sender.send(1).unwrap_err().0, 1);
    assert!(sender.is_closed());
    for number in 1..COUNT {
        assert_eq!(receiver.try_recv(), Ok(number));
    }
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    assert_eq!(Waiter::new(receiver.recv()).poll(), Poll::Ready(None));
}

#[coreloop::test]
async fn an_unbounded_sender_wakes_the_receiver() {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let weak = sender.downgrade();
    let task = coreloop::spawn(async move {
        let mut buffer = Vec::new();
        while receiver.recv_many(&mut buffer, 2).await > 0 {}
        buffer
    });
    for number in 0..5 {
        weak.upgrade().unwrap().send(number).unwrap();
        yield_now().await;
    }
    assert_eq!(sender.strong_count(), 1);
    drop(sender);
    assert_eq!(task.await.unwrap(), [0, 1, 2, 3, 4]);
    assert!(weak.upgrade().is_none());
}

#[coreloop::test]
async fn an_aborted_sender_passes_its_room_on() {
    let (sender, mut receiver) = full([0]);
    let send = |value| {
        let sender = sender.clone();
        coreloop::spawn(async move { sender.send(value).await })
    };
    let (aborted, next) = (send(1), send(2));
    yield_now().await;
    assert_eq!(receiver.try_recv(), Ok(0));
    aborted.abort();
    assert!(aborted.await.unwrap_err().is_cancelled());
    next.await.unwrap().unwrap();
    assert_eq!(receiver.recv().await, Some(2));
}
