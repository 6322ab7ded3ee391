//! `broadcast` compared with a model that numbers the values.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use coreloop::sync::broadcast::error::{RecvError, TryRecvError};
use coreloop::sync::broadcast::{Receiver, Sender};
use futures_lite::Stream;

use super::{Signal, Step, check, pick};

#[test]
fn broadcast_agrees_with_its_model() {
    check(|steps| {
        let capacity = 1 + steps.first().map_or(0, |step| usize::from(step.1 % 5));
        let mut run = Run::new(capacity);
        for &step in steps {
            run.step(step);
            run.check();
        }
        run.senders.clear();
        run.receivers.clear();
        assert_eq!(run.live.get(), 0, "values were left");
    });
}

/// A value that is counted while it exists.
#[derive(Debug)]
struct Counted(usize, Rc<Cell<usize>>);

impl Counted {
    fn new(number: usize, live: &Rc<Cell<usize>>) -> Self {
        live.set(live.get() + 1);
        Self(number, Rc::clone(live))
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        Self::new(self.0, &self.1)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.set(self.1.get() - 1);
    }
}

struct Receiving {
    receiver: Receiver<Counted>,
    signal: Signal,
    /// Whether its last poll was pending.
    waits: bool,
    /// Whether a value was sent, or the senders were dropped, since then.
    notified: bool,
    /// The number of values that it has received or missed.
    next: usize,
}

struct Run {
    senders: Vec<Sender<Counted>>,
    receivers: Vec<Receiving>,
    live: Rc<Cell<usize>>,
    // The model.
    capacity: usize,
    sent: usize,
}

impl Run {
    fn new(capacity: usize) -> Self {
        Self {
            senders: vec![Sender::new(capacity)],
            receivers: Vec::new(),
            live: Rc::default(),
            capacity,
            sent: 0,
        }
    }

    fn step(&mut self, (what, which): Step) {
        let sender = pick(&self.senders, which);
        let receiver = pick(&self.receivers, which);
        match (what % 16, sender, receiver) {
            (0..=4, Some(at), _) => self.send(at),
            (5, Some(at), _) if self.receivers.len() < 5 => {
                let receiver = self.senders[at].subscribe();
                self.add(receiver);
            }
            (6, _, Some(at)) if self.receivers.len() < 5 => {
                let receiver = self.receivers[at].receiver.resubscribe();
                self.add(receiver);
            }
            (7, _, Some(at)) => {
                let Receiving {
                    receiver, signal, ..
                } = self.receivers.swap_remove(at);
                drop(receiver);
                assert_eq!(signal.wakers(), 0, "a receiver left its waker");
            }
            (8..=9, _, Some(at)) => self.try_receive(at),
            (10..=12, _, Some(at)) => self.poll(at, what >= 128),
            (13, _, Some(at)) => self.poll_and_drop(at),
            (14, Some(at), _) if self.senders.len() < 3 => {
                self.senders.push(self.senders[at].clone());
            }
            (15, Some(at), _) if self.senders.len() > 1 || which < 10 => {
                self.senders.swap_remove(at);
                if self.senders.is_empty() {
                    self.notify();
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, receiver: Receiver<Counted>) {
        self.receivers.push(Receiving {
            receiver,
            signal: Signal::default(),
            waits: false,
            notified: false,
            next: self.sent,
        });
    }

    fn notify(&mut self) {
        for receiving in &mut self.receivers {
            receiving.notified = true;
        }
    }

    fn send(&mut self, at: usize) {
        let sent = self.senders[at].send(Counted::new(self.sent, &self.live));
        if self.receivers.is_empty() {
            assert!(sent.is_err());
            return;
        }
        assert_eq!(sent.ok(), Some(self.receivers.len()));
        self.sent += 1;
        self.notify();
    }

    fn oldest(&self) -> usize {
        self.sent.saturating_sub(self.capacity)
    }

    /// The expected result of receiving.
    fn expect(&mut self, at: usize) -> Result<usize, TryRecvError> {
        let (sent, oldest) = (self.sent, self.oldest());
        let receiving = &mut self.receivers[at];
        if receiving.next < oldest {
            let missed = oldest - receiving.next;
            receiving.next = oldest;
            return Err(TryRecvError::Lagged(missed as u64));
        }
        if receiving.next < sent {
            receiving.next += 1;
            return Ok(receiving.next - 1);
        }
        Err(if self.senders.is_empty() {
            TryRecvError::Closed
        } else {
            TryRecvError::Empty
        })
    }

    fn try_receive(&mut self, at: usize) {
        let received = self.receivers[at].receiver.try_recv();
        assert_eq!(received.map(|it| it.0), self.expect(at));
    }

    fn poll(&mut self, at: usize, anew: bool) {
        let Receiving {
            receiver, signal, ..
        } = &mut self.receivers[at];
        let poll = signal.poll(anew, |cx| Pin::new(receiver).poll_next(cx));
        let expected = match self.expect(at) {
            Ok(number) => Poll::Ready(Some(Ok(number))),
            Err(TryRecvError::Lagged(missed)) => Poll::Ready(Some(Err(RecvError::Lagged(missed)))),
            Err(TryRecvError::Closed) => Poll::Ready(None),
            Err(TryRecvError::Empty) => Poll::Pending,
        };
        let receiving = &mut self.receivers[at];
        receiving.waits = poll.is_pending();
        receiving.notified = false;
        let poll = poll.map(|received| received.map(|received| received.map(|it| it.0)));
        assert_eq!(poll, expected);
    }

    /// Begins a wait and drops it at once.
    fn poll_and_drop(&mut self, at: usize) {
        let Receiving {
            receiver, signal, ..
        } = &mut self.receivers[at];
        let mut future = Box::pin(receiver.recv());
        let poll = signal.poll(true, |cx| future.as_mut().poll(cx));
        drop(future);
        assert_eq!(signal.wakers(), 0, "a dropped wait left its waker");
        let expected = self.expect(at);
        self.receivers[at].waits = false;
        match poll {
            Poll::Ready(Ok(value)) => assert_eq!(Ok(value.0), expected),
            Poll::Ready(Err(RecvError::Closed)) => assert_eq!(expected, Err(TryRecvError::Closed)),
            Poll::Ready(Err(RecvError::Lagged(missed))) => {
                assert_eq!(expected, Err(TryRecvError::Lagged(missed)));
            }
            Poll::Pending => assert_eq!(expected, Err(TryRecvError::Empty)),
        }
    }

    fn check(&self) {
        let slowest = self.receivers.iter().map(|it| it.next).min();
        let kept = self.sent - slowest.unwrap_or(self.sent).max(self.oldest());
        assert_eq!(self.live.get(), kept, "a value is kept for no receiver");
        for sender in &self.senders {
            assert_eq!(sender.len(), kept);
            assert_eq!(sender.receiver_count(), self.receivers.len());
            assert_eq!(sender.strong_count(), self.senders.len());
        }
        for receiving in &self.receivers {
            assert_eq!(receiving.receiver.len(), self.sent - receiving.next);
            if receiving.waits {
                assert_eq!(receiving.signal.is_woken(), receiving.notified);
            }
        }
    }
}
