//! `mpsc` compared with a model: a count of room, a queue of waiting operations, and a queue
//! of values.

use std::collections::VecDeque;
use std::task::Poll;

use coreloop::sync::mpsc::error::{TryRecvError, TrySendError};
use coreloop::sync::mpsc::{self, OwnedPermit, Receiver, Sender};

use super::{Operation, Signal, Step, assert_ready, check, pick};

#[test]
fn mpsc_agrees_with_its_model() {
    check(|steps| {
        let bound = 1 + steps.first().map_or(0, |step| usize::from(step.1 % 4));
        let mut run = Run::new(bound);
        for &step in steps {
            run.step(step);
            run.check();
        }
        run.finish();
    });
}

enum Done {
    /// Whether the values were sent.
    Sent(bool),
    Reserved(Option<OwnedPermit<u32>>),
}

/// An operation in the model.
struct Taking {
    id: usize,
    count: usize,
    /// The values that it sends; none for a permit.
    values: Vec<u32>,
    /// The room that it holds.
    held: usize,
    joined: bool,
}

struct Run {
    // The channel.
    senders: Vec<Sender<u32>>,
    receiver: Option<Receiver<u32>>,
    receiving: Signal,
    receiver_waits: bool,
    operations: Vec<Operation<Done>>,
    permits: Vec<OwnedPermit<u32>>,
    // The model.
    bound: usize,
    free: usize,
    closed: bool,
    queue: VecDeque<u32>,
    taking: Vec<Taking>,
    /// The operations that wait, in order.
    line: VecDeque<usize>,
    next: u32,
}

impl Run {
    fn new(bound: usize) -> Self {
        let (sender, receiver) = mpsc::channel(bound);
        Self {
            senders: vec![sender],
            receiver: Some(receiver),
            receiving: Signal::default(),
            receiver_waits: false,
            operations: Vec::new(),
            permits: Vec::new(),
            bound,
            free: bound,
            closed: false,
            queue: VecDeque::new(),
            taking: Vec::new(),
            line: VecDeque::new(),
            next: 0,
        }
    }

    fn step(&mut self, (what, which): Step) {
        match what % 20 {
            0..=2 => self.begin(which, 1, false),
            3 => self.begin(which, 1, true),
            4 => self.begin(which, 1 + usize::from(what / 20) % (self.bound + 1), false),
            5..=7 => self.poll(which, what >= 128),
            8 => self.cancel(which),
            9..=10 => self.try_send(which),
            11 => self.try_reserve(which),
            12 => self.use_permit(which, what >= 128),
            13..=15 => self.receive(what >= 128),
            16 => self.try_receive(),
            17 => self.receive_many(usize::from(which % 4)),
            18 => self.more_or_fewer_senders(which, what >= 128),
            _ => self.end(which),
        }
    }

    fn value(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    fn begin(&mut self, which: u8, count: usize, permit: bool) {
        let Some(at) = pick(&self.senders, which) else {
            return;
        };
        if self.operations.len() == 8 {
            return;
        }
        let sender = self.senders[at].clone();
        let id = self.value() as usize;
        let values: Vec<u32> = (0..if permit { 0 } else { count })
            .map(|_| self.value())
            .collect();
        self.taking.push(Taking {
            id,
            count,
            values: values.clone(),
            held: 0,
            joined: false,
        });
        let future = async move {
            if permit {
                return Done::Reserved(sender.reserve_owned().await.ok());
            }
            if let [value] = values[..] {
                return Done::Sent(sender.send(value).await.is_ok());
            }
            Done::Sent(match sender.reserve_many(count).await {
                Ok(permits) => {
                    permits.zip(values).for_each(|(permit, it)| permit.send(it));
                    true
                }
                Err(_) => false,
            })
        };
        self.operations.push(Operation::new(id, future));
    }

    fn poll(&mut self, which: u8, anew: bool) {
        let Some(at) = pick(&self.operations, which) else {
            return;
        };
        let expected = self.expect(self.operations[at].id);
        let poll = self.operations[at].poll(anew);
        assert_eq!(poll.is_ready(), expected.is_some());
        let (Poll::Ready(done), Some(succeeds)) = (poll, expected) else {
            return;
        };
        let id = self.operations.swap_remove(at).id;
        let Taking { values, held, .. } = self.forget(id);
        match done {
            Done::Sent(sent) => assert_eq!(sent, succeeds),
            Done::Reserved(permit) => {
                assert_eq!(permit.is_some(), succeeds);
                self.permits.extend(permit);
            }
        }
        if succeeds {
            for value in values {
                self.put(value);
            }
        } else {
            self.give(held);
        }
    }

    /// The expected result of a poll: `None` if pending, or else whether it succeeds.
    fn expect(&mut self, id: usize) -> Option<bool> {
        let taking = self.taking.iter_mut().find(|it| it.id == id).unwrap();
        if self.closed || taking.count > self.bound {
            return Some(false);
        }
        if !taking.joined {
            taking.joined = true;
            taking.held = taking.count.min(self.free);
            self.free -= taking.held;
            if taking.held < taking.count {
                self.line.push_back(id);
            }
        }
        (taking.held == taking.count).then_some(true)
    }

    fn forget(&mut self, id: usize) -> Taking {
        self.line.retain(|it| *it != id);
        let at = self.taking.iter().position(|it| it.id == id).unwrap();
        self.taking.swap_remove(at)
    }

    fn cancel(&mut self, which: u8) {
        if let Some(at) = pick(&self.operations, which) {
            let operation = self.operations.swap_remove(at);
            let held = self.forget(operation.id).held;
            operation.cancel();
            self.give(held);
        }
    }

    /// Gives room to waiting operations, or frees it.
    fn give(&mut self, count: usize) {
        for _ in 0..count {
            let Some(head) = self.line.front() else {
                self.free += 1;
                continue;
            };
            let taking = self.taking.iter_mut().find(|it| it.id == *head).unwrap();
            taking.held += 1;
            if taking.held == taking.count {
                self.line.pop_front();
            }
        }
    }

    fn put(&mut self, value: u32) {
        if self.receiver.is_some() {
            self.queue.push_back(value);
        } else {
            self.give(1);
        }
    }

    fn try_send(&mut self, which: u8) {
        let value = self.value();
        let Some(at) = pick(&self.senders, which) else {
            return;
        };
        let sent = self.senders[at].try_send(value);
        if self.closed {
            assert_eq!(sent, Err(TrySendError::Closed(value)));
        } else if self.free == 0 {
            assert_eq!(sent, Err(TrySendError::Full(value)));
        } else {
            assert_eq!(sent, Ok(()));
            self.free -= 1;
            self.put(value);
        }
    }

    fn try_reserve(&mut self, which: u8) {
        let Some(at) = pick(&self.senders, which) else {
            return;
        };
        match self.senders[at].clone().try_reserve_owned() {
            Ok(permit) => {
                assert!(!self.closed && self.free > 0);
                self.free -= 1;
                self.permits.push(permit);
            }
            Err(TrySendError::Full(_)) => assert!(!self.closed && self.free == 0),
            Err(TrySendError::Closed(_)) => assert!(self.closed),
        }
    }

    fn use_permit(&mut self, which: u8, send: bool) {
        let Some(at) = pick(&self.permits, which) else {
            return;
        };
        let permit = self.permits.swap_remove(at);
        if send {
            let value = self.value();
            permit.send(value);
            self.put(value);
        } else {
            drop(permit);
            self.give(1);
        }
    }

    fn senders(&self) -> usize {
        self.senders.len() + self.operations.len() + self.permits.len()
    }

    /// Whether an empty channel gets no more values.
    fn has_ended(&self) -> bool {
        self.senders() == 0 || (self.closed && self.free == self.bound)
    }

    fn receive(&mut self, anew: bool) {
        let Some(receiver) = &mut self.receiver else {
            return;
        };
        let poll = self.receiving.poll(anew, |cx| receiver.poll_recv(cx));
        self.receiver_waits = poll.is_pending();
        match self.queue.pop_front() {
            Some(value) => {
                assert_ready(&poll, Some(Some(value)));
                self.give(1);
            }
            None => assert_ready(&poll, self.has_ended().then_some(None)),
        }
    }

    fn try_receive(&mut self) {
        let Some(receiver) = &mut self.receiver else {
            return;
        };
        let received = receiver.try_recv();
        match self.queue.pop_front() {
            Some(value) => {
                assert_eq!(received, Ok(value));
                self.give(1);
            }
            None if self.has_ended() => assert_eq!(received, Err(TryRecvError::Disconnected)),
            None => assert_eq!(received, Err(TryRecvError::Empty)),
        }
    }

    fn receive_many(&mut self, limit: usize) {
        let Some(receiver) = &mut self.receiver else {
            return;
        };
        let mut buffer = Vec::new();
        let poll = self
            .receiving
            .poll(false, |cx| receiver.poll_recv_many(cx, &mut buffer, limit));
        self.receiver_waits = poll.is_pending();
        let count = limit.min(self.queue.len());
        let values: Vec<u32> = self.queue.drain(..count).collect();
        assert_eq!(buffer, values);
        let is_ready = count > 0 || limit == 0 || self.has_ended();
        assert_ready(&poll, is_ready.then_some(count));
        self.give(count);
    }

    fn more_or_fewer_senders(&mut self, which: u8, more: bool) {
        let Some(at) = pick(&self.senders, which) else {
            return;
        };
        if more && self.senders.len() < 4 {
            self.senders.push(self.senders[at].clone());
        } else if which < 64 {
            self.senders.swap_remove(at);
        }
    }

    /// Closes or drops the receiver, but seldom, because few steps do anything afterwards.
    fn end(&mut self, which: u8) {
        if which < 12 {
            if let Some(receiver) = &mut self.receiver {
                receiver.close();
            }
        } else if which < 15 && self.receiver.take().is_some() {
            assert_eq!(self.receiving.wakers(), 0, "the receiver left its waker");
            self.receiver_waits = false;
            self.free += self.queue.drain(..).count();
        } else {
            return;
        }
        if self.receiver.is_none() || which < 12 {
            self.closed = true;
            self.line.clear();
        }
    }

    fn check(&self) {
        for operation in &self.operations {
            let taking = self.taking.iter().find(|it| it.id == operation.id).unwrap();
            operation.check(self.closed || taking.held == taking.count);
        }
        for sender in &self.senders {
            assert_eq!(sender.capacity(), self.free);
            assert_eq!(sender.is_closed(), self.closed);
            assert_eq!(sender.strong_count(), self.senders());
        }
        if let Some(receiver) = &self.receiver {
            assert_eq!(receiver.len(), self.queue.len());
            assert_eq!(receiver.capacity(), self.free);
            assert_eq!(receiver.is_closed(), self.closed || self.senders() == 0);
            if self.receiver_waits && (!self.queue.is_empty() || self.has_ended()) {
                assert!(self.receiving.is_woken(), "the receiver was left waiting");
            }
        }
        assert!(
            self.line.is_empty() || self.free == 0,
            "room is free while an operation waits"
        );
    }

    /// Ends all operations, and asserts that all room is free.
    fn finish(mut self) {
        while !self.operations.is_empty() {
            self.cancel(0);
        }
        while !self.permits.is_empty() {
            self.use_permit(0, false);
        }
        if let Some(receiver) = &mut self.receiver {
            while receiver.try_recv().is_ok() {}
            assert_eq!(receiver.capacity(), self.bound);
        }
    }
}
