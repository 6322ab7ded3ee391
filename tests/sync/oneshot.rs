//! `oneshot`: every order in which its two ends can send, close and be dropped.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::task::Poll;

use coreloop::sync::oneshot::error::TryRecvError;
use coreloop::sync::oneshot::{self, Receiver};
use coreloop_test_support::waiter::Waiter;
use coreloop_test_support::wakers::{Call, calling, panicking_waker, with_hook};
use futures_lite::StreamExt;

#[test]
fn a_value_wakes_a_waiting_receiver() {
    let (sender, receiver) = oneshot::channel();
    let mut task = Waiter::new(receiver);
    assert!(task.poll().is_pending());
    assert!(task.poll().is_pending());
    assert_eq!(task.wakers(), 1);
    sender.send(1).unwrap();
    assert!(task.is_woken());
    assert_eq!(task.wakers(), 0);
    assert_eq!(task.poll(), Poll::Ready(Ok(1)));
}

#[test]
fn a_value_that_was_sent_first_is_received() {
    let (sender, receiver) = oneshot::channel();
    assert_eq!(sender.send(1), Ok(()));
    assert_eq!(Waiter::new(receiver).poll(), Poll::Ready(Ok(1)));
}

#[test]
fn a_receiver_may_move_to_another_task() {
    let (sender, receiver) = oneshot::channel();
    let mut task = Waiter::new(receiver);
    assert!(task.poll().is_pending());
    assert!(task.poll_afresh().is_pending());
    sender.send(1).unwrap();
    assert!(task.is_woken());
}

#[test]
fn dropping_the_sender_wakes_the_receiver() {
    let (sender, mut receiver) = oneshot::channel::<u8>();
    let mut task = Waiter::new(&mut receiver);
    assert!(task.poll().is_pending());
    drop(sender);
    assert!(task.is_woken());
    let Poll::Ready(Err(error)) = task.poll() else {
        panic!("nothing was sent");
    };
    assert_eq!(error.to_string(), "channel closed");
    drop(task);
    assert!(receiver.is_terminated() && receiver.is_empty());
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    receiver.close();
}

#[test]
fn dropping_the_receiver_wakes_the_sender() {
    for close in [Receiver::close, |receiver: &mut Receiver<u8>| {
        *receiver = oneshot::channel().1;
    }] {
        let (mut sender, mut receiver) = oneshot::channel();
        let mut task = Waiter::new(sender.closed());
        assert!(task.poll().is_pending());
        assert!(task.poll_afresh().is_pending());
        close(&mut receiver);
        assert!(task.is_woken());
        assert!(task.poll().is_ready());
        drop(task);
        assert!(sender.is_closed());
        assert_eq!(sender.send(1), Err(1));
    }
}

#[test]
fn a_value_that_was_sent_before_closing_is_received() {
    let (sender, mut receiver) = oneshot::channel();
    sender.send(1).unwrap();
    receiver.close();
    receiver.close();
    assert!(!receiver.is_empty());
    assert_eq!(receiver.try_recv(), Ok(1));
    assert!(receiver.is_terminated());
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
}

#[test]
fn a_closed_receiver_completes_with_an_error() {
    let (sender, mut receiver) = oneshot::channel::<u8>();
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    assert!(!receiver.is_terminated());
    receiver.close();
    assert!(Waiter::new(&mut receiver).poll().is_ready());
    assert!(receiver.is_terminated());
    assert_eq!(sender.send(1), Err(1));
}

#[test]
#[should_panic(expected = "after it was ready")]
fn polling_after_completion_panics() {
    let (sender, mut receiver) = oneshot::channel();
    sender.send(1).unwrap();
    receiver.try_recv().unwrap();
    let _ = Waiter::new(&mut receiver).poll();
}

#[test]
fn dropping_an_end_drops_its_waker() {
    let (mut sender, receiver) = oneshot::channel::<u8>();
    let mut closed = Waiter::new(async { sender.closed().await });
    let mut received = Waiter::new(receiver);
    assert!(closed.poll().is_pending());
    assert!(received.poll().is_pending());
    received.cancel();
    assert!(closed.is_woken());
    drop(closed);

    let (mut sender, receiver) = oneshot::channel::<u8>();
    let mut closed = Waiter::new(async move { sender.closed().await });
    assert!(closed.poll().is_pending());
    closed.cancel();
    drop(receiver);
}

#[test]
fn a_value_is_dropped_once() {
    struct Noted(Rc<Cell<usize>>);
    impl Drop for Noted {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    let drops = Rc::new(Cell::new(0));
    let value = || Noted(Rc::clone(&drops));

    let (sender, receiver) = oneshot::channel();
    assert!(sender.send(value()).is_ok());
    drop(receiver);
    assert_eq!(drops.get(), 1);

    let (sender, receiver) = oneshot::channel();
    drop(receiver);
    drop(sender.send(value()));
    assert_eq!(drops.get(), 2);

    let (sender, mut receiver) = oneshot::channel();
    assert!(sender.send(value()).is_ok());
    drop(receiver.try_recv());
    assert_eq!(drops.get(), 3);
    drop(receiver);
    assert_eq!(drops.get(), 3);
}

#[test]
fn a_destructor_may_use_the_channel() {
    struct Sends(Option<oneshot::Sender<u8>>);
    impl Drop for Sends {
        fn drop(&mut self) {
            self.0.take().unwrap().send(9).unwrap();
        }
    }
    let (inner, mut result) = oneshot::channel();
    let (sender, receiver) = oneshot::channel();
    assert!(sender.send(Sends(Some(inner))).is_ok());
    drop(receiver);
    assert_eq!(result.try_recv(), Ok(9));
}

#[test]
fn wakers_may_use_the_channel() {
    let (sender, receiver) = oneshot::channel::<u8>();
    let sender = Rc::new(RefCell::new(Some(sender)));
    let hook = {
        let sender = Rc::clone(&sender);
        move || {
            if let Some(sender) = sender.take() {
                sender.send(5).unwrap();
            }
        }
    };
    with_hook(hook, |waker| {
        let mut task = Waiter::new(receiver);
        assert!(task.poll_with(&waker()).is_pending());
        // The waker that is replaced is dropped, and its destructor sends.
        assert_eq!(task.poll(), Poll::Ready(Ok(5)));
    });
}

#[test]
fn a_waker_may_use_or_drop_the_sender_in_each_call() {
    for (call, sends) in each_call() {
        let (sender, receiver) = oneshot::channel();
        let sender = Cell::new(Some(sender));
        let waker = calling(move |called| {
            if called == call
                && let Some(sender) = sender.take()
                && sends
            {
                sender.send(5).unwrap();
            }
        });
        let mut task = Waiter::new(receiver);
        let mut polled = task.poll_with(&waker);
        waker.wake_by_ref();
        drop(waker);
        if polled.is_pending() {
            polled = task.poll();
        }
        assert_eq!(polled.map(Result::ok), Poll::Ready(sends.then_some(5)));
    }
}

#[test]
fn a_waker_may_use_or_drop_the_receiver_in_each_call() {
    for (call, closes) in each_call() {
        let (mut sender, receiver) = oneshot::channel::<u8>();
        let receiver = Cell::new(Some(receiver));
        let waker = calling(move |called| {
            if called == call
                && let Some(mut receiver) = receiver.take()
                && closes
            {
                receiver.close();
                assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
            }
        });
        let mut task = Waiter::new(sender.closed());
        let mut polled = task.poll_with(&waker);
        waker.wake_by_ref();
        drop(waker);
        if polled.is_pending() {
            polled = task.poll();
        }
        assert_eq!(polled, Poll::Ready(()));
        drop(task);
        assert_eq!(sender.send(5), Err(5));
    }
}

/// Returns each call of a waker, with `false` and with `true`.
fn each_call() -> impl Iterator<Item = (Call, bool)> {
    let calls = [Call::Clone, Call::Wake, Call::Drop];
    calls
        .into_iter()
        .flat_map(|call| [(call, false), (call, true)])
}

#[test]
fn a_waker_that_panics_does_not_lose_the_value() {
    let (sender, mut receiver) = oneshot::channel();
    let mut task = Waiter::new(&mut receiver);
    assert!(task.poll_with(&panicking_waker()).is_pending());
    panic::catch_unwind(AssertUnwindSafe(|| sender.send(1))).unwrap_err();
    assert_eq!(task.poll(), Poll::Ready(Ok(1)));
}

#[test]
fn a_receiver_is_a_stream_of_one_value_or_none() {
    futures_lite::future::block_on(async {
        let (sender, receiver) = oneshot::channel();
        sender.send(1).unwrap();
        assert_eq!(receiver.collect::<Vec<_>>().await, [1]);
        let (sender, receiver) = oneshot::channel::<u8>();
        drop(sender);
        assert!(receiver.collect::<Vec<_>>().await.is_empty());
    });
}

#[coreloop::test]
async fn a_task_that_always_finds_a_value_still_lets_others_run() {
    let other = coreloop::spawn(async {});
    let mut rounds = 0;
    while !other.is_finished() {
        let (sender, receiver) = oneshot::channel();
        sender.send(rounds).unwrap();
        assert_eq!(receiver.await, Ok(rounds));
        rounds += 1;
        assert!(rounds < 100_000, "the other task never ran");
    }
}

#[coreloop::test]
async fn a_task_receives_the_answer_of_another_task() {
    let (sender, receiver) = oneshot::channel();
    let task = coreloop::spawn(receiver);
    coreloop::task::yield_now().await;
    sender.send("hello").unwrap();
    assert_eq!(task.await.unwrap(), Ok("hello"));
}
