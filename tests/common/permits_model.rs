//! Random operations on anything that hands out permits (a mutex, a
//! reader-writer lock, a semaphore), compared after each with a model too plain
//! to be wrong: a count, and a queue of requests.
//!
//! Checked after each operation: who is ready, who was woken and how often, who
//! keeps a waker, and that no permit was lost or made. So at no time is a waiter
//! left that could have been granted.

use std::collections::VecDeque;
use std::task::Poll;

use super::sequence;
use super::waiter::Waiter;

/// What is compared with the model.
pub(crate) trait Subject {
    /// Permits that are out; given back when dropped.
    type Held<'a>
    where
        Self: 'a;

    /// How many there are at first.
    const PERMITS: usize;
    /// What may be asked for.
    const REQUESTS: &'static [usize];

    fn acquire(&self, count: usize) -> impl Future<Output = Option<Self::Held<'_>>>;
    fn try_acquire(&self, count: usize) -> Option<Self::Held<'_>>;

    /// Gives some of these permits back, if there is such a thing, and says how
    /// many.
    fn reduce<'a>(&'a self, held: Self::Held<'a>) -> (Self::Held<'a>, usize) {
        (held, 0)
    }
    /// Adds permits, if there is such a thing, and says how many.
    fn add(&self, count: usize) -> usize {
        let _ = count;
        0
    }
    /// Takes away permits, if there is such a thing, and says how many.
    fn forget(&self, count: usize) -> Option<usize> {
        let _ = count;
        None
    }
    /// Whether there is such a thing.
    fn close(&self) -> bool {
        false
    }
    fn available(&self) -> Option<usize> {
        None
    }
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Create(usize),
    Poll(usize),
    PollAfresh(usize),
    Cancel(usize),
    Release(usize),
    Reduce(usize),
    TryAcquire(usize),
    Add(usize),
    Forget(usize),
    Close,
}

impl Operation {
    /// Numbers are quickly made, and shrink well.
    fn new(number: u16) -> Self {
        let at = usize::from(number / 40);
        match number % 40 {
            0..8 => Operation::Create(at),
            8..18 => Operation::Poll(at),
            18..22 => Operation::PollAfresh(at),
            22..26 => Operation::Cancel(at),
            26..32 => Operation::Release(at),
            32..34 => Operation::Reduce(at),
            34..37 => Operation::TryAcquire(at),
            37 => Operation::Add(at % 3),
            38 => Operation::Forget(at % 3),
            _ => Operation::Close,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    Queued,
    Granted,
    /// Was in the queue when it was closed.
    Refused,
}

struct Live<'a, H> {
    waiter: Waiter<'a, Option<H>>,
    number: usize,
    count: usize,
    state: State,
}

/// What the subject should be like.
struct Model {
    free: usize,
    total: usize,
    closed: bool,
    queue: VecDeque<usize>,
}

impl Model {
    fn can_take(&self, count: usize) -> bool {
        !self.closed && (count == 0 || self.queue.is_empty() && self.free >= count)
    }

    /// Grants from the head on what is free.
    fn settle<H>(&mut self, live: &mut [Live<'_, H>]) {
        while let Some(&head) = self.queue.front() {
            let waiter = live.iter_mut().find(|it| it.number == head).unwrap();
            if waiter.count > self.free {
                return;
            }
            self.free -= waiter.count;
            waiter.state = State::Granted;
            self.queue.pop_front();
        }
    }
}

/// Runs `cases` sequences of 500 operations.
pub(crate) fn check<S: Subject>(cases: u32, new: impl Fn() -> S) {
    sequence::each(cases, |numbers| {
        let operations: Vec<_> = numbers.iter().copied().map(Operation::new).collect();
        run(&new(), &operations);
    });
}

fn run<S: Subject>(subject: &S, operations: &[Operation]) {
    let mut model = Model {
        free: S::PERMITS,
        total: S::PERMITS,
        closed: false,
        queue: VecDeque::new(),
    };
    let mut live: Vec<Live<'_, S::Held<'_>>> = Vec::new();
    let mut held: Vec<(S::Held<'_>, usize)> = Vec::new();
    // Closing comes late, or there would be little else.
    let last = operations.len() - operations.len() / 20;

    for (number, operation) in operations.iter().enumerate() {
        let pick = |at: usize, length: usize| at.checked_rem(length);
        let request = |at: usize| S::REQUESTS[at % S::REQUESTS.len()];
        match *operation {
            Operation::Create(at) if live.len() < 12 => live.push(Live {
                waiter: Waiter::new(subject.acquire(request(at))),
                number,
                count: request(at),
                state: State::New,
            }),
            Operation::Poll(at) | Operation::PollAfresh(at) => {
                let Some(at) = pick(at, live.len()) else {
                    continue;
                };
                let it = &mut live[at];
                let polled = match operation {
                    Operation::Poll(_) => it.waiter.poll(),
                    _ => it.waiter.poll_afresh(),
                };
                let expected = match it.state {
                    State::New if model.closed => Some(false),
                    State::New if model.can_take(it.count) => {
                        model.free -= it.count;
                        Some(true)
                    }
                    State::New | State::Queued => None,
                    State::Granted if model.closed => {
                        model.free += it.count;
                        Some(false)
                    }
                    State::Granted => Some(true),
                    State::Refused => Some(false),
                };
                match (polled, expected) {
                    (Poll::Pending, None) => {
                        if it.state == State::New {
                            model.queue.push_back(it.number);
                        }
                        it.state = State::Queued;
                    }
                    (Poll::Ready(Some(permits)), Some(true)) => {
                        held.push((permits, it.count));
                        live.swap_remove(at).waiter.cancel();
                    }
                    (Poll::Ready(None), Some(false)) => live.swap_remove(at).waiter.cancel(),
                    (polled, expected) => panic!(
                        "step {number}: {} but expected {expected:?}",
                        match polled {
                            Poll::Pending => "pending",
                            Poll::Ready(Some(_)) => "ready",
                            Poll::Ready(None) => "refused",
                        }
                    ),
                }
            }
            Operation::Cancel(at) => {
                let Some(at) = pick(at, live.len()) else {
                    continue;
                };
                let it = live.swap_remove(at);
                model.queue.retain(|&queued| queued != it.number);
                if it.state == State::Granted {
                    model.free += it.count;
                }
                it.waiter.cancel();
            }
            Operation::Release(at) => {
                let Some(at) = pick(at, held.len()) else {
                    continue;
                };
                let (permits, count) = held.swap_remove(at);
                drop(permits);
                model.free += count;
            }
            Operation::Reduce(at) => {
                let Some(at) = pick(at, held.len()) else {
                    continue;
                };
                let (permits, count) = held.swap_remove(at);
                let (permits, given_back) = subject.reduce(permits);
                held.push((permits, count - given_back));
                model.free += given_back;
            }
            Operation::TryAcquire(at) => {
                let count = request(at);
                let permits = subject.try_acquire(count);
                assert_eq!(permits.is_some(), model.can_take(count), "step {number}");
                if let Some(permits) = permits {
                    model.free -= count;
                    held.push((permits, count));
                }
            }
            Operation::Add(count) => {
                let added = subject.add(count);
                model.free += added;
                model.total += added;
            }
            Operation::Forget(count) => {
                if let Some(forgotten) = subject.forget(count) {
                    let free = if model.queue.is_empty() {
                        model.free
                    } else {
                        0
                    };
                    assert_eq!(forgotten, count.min(free), "step {number}");
                    model.free -= forgotten;
                    model.total -= forgotten;
                }
            }
            Operation::Close if number > last && subject.close() => {
                model.closed = true;
                for queued in model.queue.drain(..) {
                    let it = live.iter_mut().find(|it| it.number == queued).unwrap();
                    it.state = State::Refused;
                }
            }
            Operation::Create(_) | Operation::Close => {}
        }
        model.settle(&mut live);
        assert_agreement(subject, &model, &live, &held, number);
    }
}

fn assert_agreement<S: Subject>(
    subject: &S,
    model: &Model,
    live: &[Live<'_, S::Held<'_>>],
    held: &[(S::Held<'_>, usize)],
    step: usize,
) {
    let mut granted = 0;
    for it in live {
        let is_granted = it.state == State::Granted;
        granted += if is_granted { it.count } else { 0 };
        let woken = is_granted || it.state == State::Refused;
        assert_eq!(it.waiter.woken(), usize::from(woken), "step {step}: woken");
        let registered = it.state == State::Queued;
        assert_eq!(it.waiter.is_registered(), registered, "step {step}: waker");
    }
    let out: usize = held.iter().map(|(_, count)| count).sum();
    assert_eq!(
        model.free + granted + out,
        model.total,
        "the model is wrong"
    );
    if let Some(available) = subject.available() {
        let expected = if model.queue.is_empty() {
            model.free
        } else {
            0
        };
        assert_eq!(available, expected, "step {step}: available");
    }
}
