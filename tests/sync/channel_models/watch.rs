//! `watch` compared with a model that numbers the values.

use std::pin::Pin;
use std::task::Poll;

use coreloop::sync::watch::{Receiver, Sender};
use futures_lite::Stream;

use super::{Signal, Step, check, pick};

#[test]
fn watch_agrees_with_its_model() {
    check(|steps| {
        let mut run = Run {
            senders: vec![Sender::new(0)],
            watchers: Vec::new(),
            value: 0,
            version: 0,
        };
        for &step in steps {
            run.step(step);
            run.check();
        }
    });
}

struct Watching {
    receiver: Receiver<u32>,
    signal: Signal,
    /// Whether its last poll was pending.
    waits: bool,
    /// Whether the value changed, or the senders were dropped, since then.
    notified: bool,
    seen: Option<u32>,
}

struct Run {
    senders: Vec<Sender<u32>>,
    watchers: Vec<Watching>,
    // The model.
    value: u32,
    version: u32,
}

impl Run {
    fn step(&mut self, (what, which): Step) {
        let sender = pick(&self.senders, which);
        let watcher = pick(&self.watchers, which);
        match (what % 18, sender, watcher) {
            (0..=4, Some(at), _) => self.send(at, which),
            (5, Some(at), _) if self.watchers.len() < 5 => {
                let receiver = self.senders[at].subscribe();
                self.add(receiver, Some(self.version));
            }
            (6, _, Some(at)) if self.watchers.len() < 5 => {
                let receiver = self.watchers[at].receiver.clone();
                let seen = self.watchers[at].seen;
                self.add(receiver, seen);
            }
            (7, _, Some(at)) => {
                let Watching {
                    receiver, signal, ..
                } = self.watchers.swap_remove(at);
                drop(receiver);
                assert_eq!(signal.wakers(), 0, "a receiver left its waker");
            }
            (8, _, Some(at)) => self.mark(at, what >= 128),
            (9..=10, _, Some(at)) => self.borrow(at, what >= 128),
            (11..=13, _, Some(at)) => self.poll(at, what >= 128),
            (14..=15, _, Some(at)) => self.poll_and_drop(at),
            (16, Some(at), _) if self.senders.len() < 3 => {
                self.senders.push(self.senders[at].clone());
            }
            (17, Some(at), _) if self.senders.len() > 1 || which < 10 => {
                self.senders.swap_remove(at);
                if self.senders.is_empty() {
                    self.notify();
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, receiver: Receiver<u32>, seen: Option<u32>) {
        self.watchers.push(Watching {
            receiver,
            signal: Signal::default(),
            waits: false,
            notified: false,
            seen,
        });
    }

    fn notify(&mut self) {
        for watching in &mut self.watchers {
            watching.notified = true;
        }
    }

    fn send(&mut self, at: usize, which: u8) {
        let new = self.value + 1;
        let sender = &self.senders[at];
        match which % 5 {
            0 => {
                assert!(!sender.send_if_modified(|_| false));
                return;
            }
            1 => sender.send_modify(|value| *value += 1),
            2 => assert_eq!(sender.send_replace(new), self.value),
            3 => {
                // While a `Ref` is held.
                let held = sender.borrow();
                let sent = sender.send(new);
                assert_eq!(
                    (sent.is_ok(), *held),
                    (!self.watchers.is_empty(), self.value)
                );
                drop(held);
                if sent.is_err() {
                    return;
                }
            }
            _ => {
                if sender.send(new).is_err() {
                    assert!(self.watchers.is_empty());
                    return;
                }
            }
        }
        self.value = new;
        self.version += 1;
        self.notify();
    }

    fn mark(&mut self, at: usize, changed: bool) {
        let watching = &mut self.watchers[at];
        if changed {
            watching.receiver.mark_changed();
            watching.seen = None;
        } else {
            watching.receiver.mark_unchanged();
            watching.seen = Some(self.version);
        }
    }

    fn borrow(&mut self, at: usize, update: bool) {
        let watching = &mut self.watchers[at];
        let is_new = watching.seen != Some(self.version);
        let seen = if update {
            watching.seen = Some(self.version);
            watching.receiver.borrow_and_update()
        } else {
            watching.receiver.borrow()
        };
        assert_eq!((*seen, seen.has_changed()), (self.value, is_new));
    }

    /// The expected result of a wait: `None` if pending, or else whether it succeeds.
    fn expect(&mut self, at: usize) -> Option<bool> {
        let watching = &mut self.watchers[at];
        if watching.seen != Some(self.version) {
            watching.seen = Some(self.version);
            return Some(true);
        }
        self.senders.is_empty().then_some(false)
    }

    fn poll(&mut self, at: usize, anew: bool) {
        let expected = self.expect(at);
        let Watching {
            receiver,
            signal,
            waits,
            notified,
            ..
        } = &mut self.watchers[at];
        let poll = signal.poll(anew, |cx| Pin::new(receiver).poll_next(cx));
        *waits = poll.is_pending();
        *notified = false;
        let expected = match expected {
            None => Poll::Pending,
            Some(changed) => Poll::Ready(changed.then_some(self.value)),
        };
        assert_eq!(poll, expected);
    }

    /// Begins a wait and drops it at once.
    fn poll_and_drop(&mut self, at: usize) {
        let expected = self.expect(at);
        let Watching {
            receiver,
            signal,
            waits,
            ..
        } = &mut self.watchers[at];
        let mut future = Box::pin(receiver.changed());
        let poll = signal.poll(true, |cx| future.as_mut().poll(cx));
        drop(future);
        assert_eq!(signal.wakers(), 0, "a dropped wait left its waker");
        *waits = false;
        match poll {
            Poll::Ready(changed) => assert_eq!(expected, Some(changed.is_ok())),
            Poll::Pending => assert_eq!(expected, None),
        }
    }

    fn check(&self) {
        for sender in &self.senders {
            assert_eq!(*sender.borrow(), self.value);
            assert_eq!(sender.receiver_count(), self.watchers.len());
            assert_eq!(sender.sender_count(), self.senders.len());
        }
        for watching in &self.watchers {
            let is_new = watching.seen != Some(self.version);
            let said = watching.receiver.has_changed().ok();
            assert_eq!(said, (!self.senders.is_empty()).then_some(is_new));
            if watching.waits {
                assert_eq!(watching.signal.is_woken(), watching.notified);
            }
        }
    }
}
