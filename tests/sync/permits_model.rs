//! Random operations on any type that grants permits (a mutex, a reader-writer lock,
//! a semaphore). After each operation the type is compared with a very simple model: a
//! count, and a queue of requests.
//!
//! Each comparison checks which requests are ready, how often each was woken, which
//! requests keep a waker, and that no permit was lost or added. So there is never a
//! waiter that could have been granted its permits.

use std::collections::VecDeque;
use std::task::Poll;

use coreloop_test_support::sequence;
use coreloop_test_support::waiter::Waiter;

/// A type that is compared with the model.
pub(crate) trait Subject {
    /// Permits that were acquired. Dropping them releases them.
    type Held<'a>
    where
        Self: 'a;

    /// The number of permits at the start.
    const PERMITS: usize;
    /// The numbers of permits that a request may be for.
    const REQUESTS: &'static [usize];

    fn acquire(&self, count: usize) -> impl Future<Output = Option<Self::Held<'_>>>;
    fn try_acquire(&self, count: usize) -> Option<Self::Held<'_>>;

    /// Releases some of these permits, and returns their number. Does nothing if the type
    /// does not support it.
    fn reduce<'a>(&'a self, held: Self::Held<'a>) -> (Self::Held<'a>, usize) {
        (held, 0)
    }
    /// Adds permits, and returns their number: 0 if the type does not support it.
    fn add(&self, count: usize) -> usize {
        let _ = count;
        0
    }
    /// Removes permits, and returns their number: `None` if the type does not support it.
    fn forget(&self, count: usize) -> Option<usize> {
        let _ = count;
        None
    }
    /// Closes the subject. Returns false if the type does not support it.
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
    /// Operations are encoded as numbers, because these are cheap to make, and shrink well.
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
    /// In the queue when the subject was closed.
    Refused,
}

struct Live<'a, H> {
    waiter: Waiter<'a, Option<H>>,
    number: usize,
    count: usize,
    state: State,
}

/// A request for permits. It returns `None` if the subject is closed.
type Request<'a, S> = Waiter<'a, Option<<S as Subject>::Held<'a>>>;

/// The subject, the requests and permits that exist, and the model.
struct Run<'a, S: Subject> {
    subject: &'a S,
    live: Vec<Live<'a, S::Held<'a>>>,
    held: Vec<(S::Held<'a>, usize)>,
    // The model.
    free: usize,
    total: usize,
    closed: bool,
    queue: VecDeque<usize>,
}

/// Runs a million operations, 500 on each subject.
pub(crate) fn check<S: Subject>(new: impl Fn() -> S) {
    sequence::each(500, |numbers: &[u16]| {
        let subject = new();
        let mut run = Run {
            subject: &subject,
            live: Vec::new(),
            held: Vec::new(),
            free: S::PERMITS,
            total: S::PERMITS,
            closed: false,
            queue: VecDeque::new(),
        };
        for (step, &number) in numbers.iter().enumerate() {
            // Closing comes late, because few operations do anything afterwards.
            let is_late = step > numbers.len() - numbers.len() / 20;
            match Operation::new(number) {
                Operation::Close if !is_late => {}
                operation => run.step(step, operation),
            }
            run.settle();
            run.assert_agreement(step);
        }
    });
}

fn request<S: Subject>(at: usize) -> usize {
    S::REQUESTS[at % S::REQUESTS.len()]
}

impl<'a, S: Subject> Run<'a, S> {
    fn step(&mut self, step: usize, operation: Operation) {
        match operation {
            Operation::Create(at) if self.live.len() < 12 => self.live.push(Live {
                waiter: Waiter::new(self.subject.acquire(request::<S>(at))),
                number: step,
                count: request::<S>(at),
                state: State::New,
            }),
            Operation::Create(_) => {}
            Operation::Poll(at) => self.poll(at, Waiter::poll),
            Operation::PollAfresh(at) => self.poll(at, Waiter::poll_afresh),
            Operation::Cancel(at) => self.cancel(at),
            Operation::Release(at) => {
                if let Some(at) = at.checked_rem(self.held.len()) {
                    let (permits, count) = self.held.swap_remove(at);
                    drop(permits);
                    self.free += count;
                }
            }
            Operation::Reduce(at) => {
                if let Some(at) = at.checked_rem(self.held.len()) {
                    let (permits, count) = self.held.swap_remove(at);
                    let (permits, given_back) = self.subject.reduce(permits);
                    self.held.push((permits, count - given_back));
                    self.free += given_back;
                }
            }
            Operation::TryAcquire(at) => {
                let count = request::<S>(at);
                let permits = self.subject.try_acquire(count);
                assert_eq!(permits.is_some(), self.can_take(count), "step {step}");
                if let Some(permits) = permits {
                    self.free -= count;
                    self.held.push((permits, count));
                }
            }
            Operation::Add(count) => {
                let added = self.subject.add(count);
                self.free += added;
                self.total += added;
            }
            Operation::Forget(count) => {
                let available = self.available();
                if let Some(forgotten) = self.subject.forget(count) {
                    assert_eq!(forgotten, count.min(available), "step {step}");
                    self.free -= forgotten;
                    self.total -= forgotten;
                }
            }
            Operation::Close => {
                if self.subject.close() {
                    self.closed = true;
                    self.queue.clear();
                    for it in self.live.iter_mut().filter(|it| it.state == State::Queued) {
                        it.state = State::Refused;
                    }
                }
            }
        }
    }

    fn poll(&mut self, at: usize, poll: fn(&mut Request<'a, S>) -> Poll<Option<S::Held<'a>>>) {
        let Some(at) = at.checked_rem(self.live.len()) else {
            return;
        };
        let (count, state) = (self.live[at].count, self.live[at].state);
        let expected = match state {
            State::New if self.closed => Poll::Ready(false),
            State::New if self.can_take(count) => {
                self.free -= count;
                Poll::Ready(true)
            }
            State::New => {
                self.queue.push_back(self.live[at].number);
                self.live[at].state = State::Queued;
                Poll::Pending
            }
            State::Queued => Poll::Pending,
            State::Granted if self.closed => {
                self.free += count;
                Poll::Ready(false)
            }
            State::Granted => Poll::Ready(true),
            State::Refused => Poll::Ready(false),
        };
        let polled = poll(&mut self.live[at].waiter);
        let seen = polled.map(|permits| {
            let seen = permits.is_some();
            self.held.extend(permits.map(|permits| (permits, count)));
            self.live.swap_remove(at).waiter.cancel();
            seen
        });
        assert_eq!(seen, expected, "polled as {state:?}");
    }

    fn cancel(&mut self, at: usize) {
        let Some(at) = at.checked_rem(self.live.len()) else {
            return;
        };
        let it = self.live.swap_remove(at);
        self.queue.retain(|&queued| queued != it.number);
        if it.state == State::Granted {
            self.free += it.count;
        }
        it.waiter.cancel();
    }

    fn can_take(&self, count: usize) -> bool {
        !self.closed && (count == 0 || self.queue.is_empty() && self.free >= count)
    }

    fn available(&self) -> usize {
        if self.queue.is_empty() { self.free } else { 0 }
    }

    /// Grants free permits, from the head of the queue on.
    fn settle(&mut self) {
        while let Some(&head) = self.queue.front() {
            for it in self.live.iter_mut().filter(|it| it.number == head) {
                if it.count > self.free {
                    return;
                }
                self.free -= it.count;
                it.state = State::Granted;
            }
            self.queue.pop_front();
        }
    }

    fn assert_agreement(&self, step: usize) {
        let mut granted = 0;
        for it in &self.live {
            let is_granted = it.state == State::Granted;
            granted += if is_granted { it.count } else { 0 };
            let woken = is_granted || it.state == State::Refused;
            assert_eq!(it.waiter.woken(), usize::from(woken), "step {step}: woken");
            let registered = it.state == State::Queued;
            assert_eq!(it.waiter.is_registered(), registered, "step {step}: waker");
        }
        let out: usize = self.held.iter().map(|(_, count)| count).sum();
        assert_eq!(self.free + granted + out, self.total, "the model is wrong");
        if let Some(available) = self.subject.available() {
            assert_eq!(available, self.available(), "step {step}: available");
        }
    }
}
