//! `oneshot` compared with a model: the value, and the state of each end.

use std::pin::Pin;
use std::task::Poll;

use coreloop::sync::oneshot::error::TryRecvError;
use coreloop::sync::oneshot::{self, Receiver, Sender};

use super::{Signal, Step, check};

#[test]
fn oneshot_agrees_with_its_model() {
    check(|steps| {
        // A channel ends after few steps, so there is a new one every ten steps.
        for steps in steps.chunks(10) {
            let mut run = Run::new();
            for &step in steps {
                run.step(step);
                run.check();
            }
        }
    });
}

struct Run {
    sender: Option<Sender<u8>>,
    sending: Signal,
    sender_waits: bool,
    receiver: Option<Receiver<u8>>,
    receiving: Signal,
    receiver_waits: bool,
    // The model.
    value: Option<u8>,
    closed: bool,
    finished: bool,
    terminated: bool,
}

impl Run {
    fn new() -> Self {
        let (sender, receiver) = oneshot::channel();
        Self {
            sender: Some(sender),
            sending: Signal::default(),
            sender_waits: false,
            receiver: Some(receiver),
            receiving: Signal::default(),
            receiver_waits: false,
            value: None,
            closed: false,
            finished: false,
            terminated: false,
        }
    }

    fn step(&mut self, (what, which): Step) {
        let anew = which >= 128;
        match what % 10 {
            0 => {
                if let Some(sender) = self.sender.take() {
                    let sent = sender.send(which);
                    assert_eq!(sent, if self.closed { Err(which) } else { Ok(()) });
                    self.value = (!self.closed).then_some(which);
                    self.finished = true;
                }
            }
            1 if anew => {
                self.finished |= self.sender.take().is_some();
            }
            2 | 3 => {
                if let Some(sender) = &mut self.sender {
                    let poll = self.sending.poll(anew, |cx| sender.poll_closed(cx));
                    assert_eq!(poll.is_ready(), self.closed);
                    self.sender_waits = poll.is_pending();
                }
            }
            4..=6 if !self.terminated => {
                if let Some(receiver) = &mut self.receiver {
                    let poll = self.receiving.poll(anew, |cx| Pin::new(receiver).poll(cx));
                    self.receiver_waits = poll.is_pending();
                    let has_ended = self.finished || self.closed;
                    match (poll, self.value.take()) {
                        (Poll::Ready(Ok(value)), expected) => assert_eq!(Some(value), expected),
                        (Poll::Ready(Err(_)), None) => assert!(has_ended),
                        (Poll::Pending, None) => assert!(!has_ended),
                        other => panic!("{other:?}"),
                    }
                    self.terminated = has_ended;
                }
            }
            7 => {
                if let Some(receiver) = &mut self.receiver {
                    let expected = match self.value.take() {
                        Some(value) => Ok(value),
                        None if self.finished || self.closed => Err(TryRecvError::Closed),
                        None => Err(TryRecvError::Empty),
                    };
                    assert_eq!(receiver.try_recv(), expected);
                    self.terminated |= expected != Err(TryRecvError::Empty);
                    self.receiver_waits &= !self.terminated;
                }
            }
            8 if anew => {
                if let Some(receiver) = &mut self.receiver {
                    receiver.close();
                    self.closed |= !self.finished;
                }
            }
            9 if anew && self.receiver.take().is_some() => {
                self.closed |= !self.finished;
                self.receiver_waits = false;
                self.value = None;
                assert_eq!(self.receiving.wakers(), 0, "the receiver left its waker");
            }
            _ => {}
        }
    }

    fn check(&self) {
        if let Some(receiver) = &self.receiver {
            assert_eq!(receiver.is_empty(), self.value.is_none());
            assert_eq!(receiver.is_terminated(), self.terminated);
            if self.receiver_waits {
                assert_eq!(self.receiving.is_woken(), self.finished || self.closed);
            }
        }
        if let Some(sender) = &self.sender {
            assert_eq!(sender.is_closed(), self.closed);
            if self.sender_waits {
                assert_eq!(self.sending.is_woken(), self.closed);
            }
        } else if self.receiver.is_none() {
            assert_eq!(self.sending.wakers() + self.receiving.wakers(), 0);
        }
    }
}
