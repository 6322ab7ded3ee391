//! `Queue` in its three orders, compared with a vector.

use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Poll;

use coreloop::sync::queue::error::{TryGetError, TryPutError};
use coreloop::sync::{LifoQueue, PriorityQueue, Queue};

use super::{Operation, Step, check, pick};

/// An item, with a number that distinguishes equal items.
type Item = (u8, u32);

#[test]
fn queue_agrees_with_its_model() {
    check(|steps| {
        let (order, maxsize) = steps.first().copied().unwrap_or_default();
        let maxsize = usize::from(maxsize % 4);
        let (queue, take) = match order % 3 {
            0 => first_in_first_out(maxsize),
            1 => last_in_first_out(maxsize),
            _ => smallest_first(maxsize),
        };
        let mut run = Run::new(queue, take);
        for &step in steps {
            run.step(step);
            run.check();
        }
    });
}

/// A queue, and the function that takes items out of a vector in the same order.
type Ordered = (SharedQueue, fn(&mut Vec<Item>) -> Item);

fn first_in_first_out(maxsize: usize) -> Ordered {
    let queue = Rc::new(Queue::new(maxsize));
    (SharedQueue::Fifo(queue), |items| items.remove(0))
}

fn last_in_first_out(maxsize: usize) -> Ordered {
    let queue = Rc::new(LifoQueue::new(maxsize));
    (SharedQueue::Lifo(queue), |items| items.pop().unwrap())
}

fn smallest_first(maxsize: usize) -> Ordered {
    let queue = Rc::new(PriorityQueue::new(maxsize));
    (SharedQueue::Priority(queue), |items| {
        let smallest = items.iter().min().copied().unwrap();
        items.retain(|it| *it != smallest);
        smallest
    })
}

#[derive(Clone)]
enum SharedQueue {
    Fifo(Rc<Queue<Item>>),
    Lifo(Rc<LifoQueue<Item>>),
    Priority(Rc<PriorityQueue<Item>>),
}

impl SharedQueue {
    fn get(&self) -> &Queue<Item> {
        match self {
            Self::Fifo(queue) => queue,
            Self::Lifo(queue) => queue,
            Self::Priority(queue) => queue,
        }
    }
}

#[derive(Debug, PartialEq)]
enum Done {
    Put(bool),
    Got(Option<Item>),
    Joined,
}

/// A `put` or a `get` in the model.
struct Waiting {
    id: usize,
    /// The item of a `put`; `None` for a `get`.
    item: Option<Item>,
    joined: bool,
    granted: bool,
}

struct Run {
    queue: SharedQueue,
    take: fn(&mut Vec<Item>) -> Item,
    operations: Vec<Operation<Done>>,
    joins: Vec<Operation<Done>>,
    // The model.
    items: Vec<Item>,
    waiting: Vec<Waiting>,
    /// The free room, and the items that are not promised to a `get`.
    room: usize,
    unclaimed: usize,
    putters: VecDeque<usize>,
    getters: VecDeque<usize>,
    unfinished: usize,
    /// How often all items were done.
    finished: usize,
    /// The value of `finished` when each join was first polled.
    joined_at: Vec<usize>,
    shut_down: bool,
    next: u32,
}

impl Run {
    fn new(queue: SharedQueue, take: fn(&mut Vec<Item>) -> Item) -> Self {
        let room = match queue.get().maxsize() {
            0 => usize::MAX,
            maxsize => maxsize,
        };
        Self {
            queue,
            take,
            operations: Vec::new(),
            joins: Vec::new(),
            items: Vec::new(),
            waiting: Vec::new(),
            room,
            unclaimed: 0,
            putters: VecDeque::new(),
            getters: VecDeque::new(),
            unfinished: 0,
            finished: 0,
            joined_at: Vec::new(),
            shut_down: false,
            next: 0,
        }
    }

    fn step(&mut self, (what, which): Step) {
        match what % 16 {
            0..=1 => self.begin(true, which),
            2..=3 => self.begin(false, which),
            4..=7 => self.poll(which, what >= 128),
            8 => self.cancel(which),
            9..=10 => self.try_put(which),
            11..=12 => self.try_get(),
            13 if self.unfinished > 0 => {
                self.queue.get().task_done();
                self.done(1);
            }
            14 => self.join(which, what >= 128),
            15 if which < 10 => self.shut_down(which < 5),
            _ => {}
        }
    }

    fn item(&mut self, which: u8) -> Item {
        self.next += 1;
        (which % 3, self.next)
    }

    fn begin(&mut self, put: bool, which: u8) {
        if self.operations.len() == 8 {
            return;
        }
        let item = self.item(which);
        let id = item.1 as usize;
        self.waiting.push(Waiting {
            id,
            item: put.then_some(item),
            joined: false,
            granted: false,
        });
        let queue = self.queue.clone();
        let future = async move {
            if put {
                Done::Put(queue.get().put(item).await.is_ok())
            } else {
                Done::Got(queue.get().get().await.ok())
            }
        };
        self.operations.push(Operation::new(id, future));
    }

    fn find(&mut self, id: usize) -> &mut Waiting {
        self.waiting.iter_mut().find(|it| it.id == id).unwrap()
    }

    fn poll(&mut self, which: u8, anew: bool) {
        let Some(at) = pick(&self.operations, which) else {
            return;
        };
        let id = self.operations[at].id;
        let poll = self.operations[at].poll(anew);
        let goes_on = self.join_line(id);
        assert_eq!(poll.is_ready(), goes_on);
        let Poll::Ready(done) = poll else { return };
        self.operations.swap_remove(at);
        let Waiting { item, granted, .. } = self.forget(id);
        match item {
            Some(item) => {
                let put = granted && !self.shut_down;
                assert_eq!(done, Done::Put(put));
                if put {
                    self.store(item);
                }
            }
            None => {
                let item = (granted && !self.items.is_empty()).then(|| self.unstore());
                assert_eq!(done, Done::Got(item));
            }
        }
    }

    /// Takes room or an item if it is free, or joins the queue. Returns whether the operation
    /// can proceed.
    fn join_line(&mut self, id: usize) -> bool {
        let (room, unclaimed, shut_down) = (self.room, self.unclaimed, self.shut_down);
        let waiting = self.find(id);
        let is_put = waiting.item.is_some();
        if !waiting.joined {
            waiting.joined = true;
            let free = if is_put { room } else { unclaimed };
            waiting.granted = free > 0;
            match (free > 0, is_put) {
                (true, true) => self.room -= 1,
                (true, false) => self.unclaimed -= 1,
                (false, _) if shut_down => {}
                (false, true) => self.putters.push_back(id),
                (false, false) => self.getters.push_back(id),
            }
        }
        let shut_down = self.shut_down;
        self.find(id).granted || shut_down
    }

    fn forget(&mut self, id: usize) -> Waiting {
        self.putters.retain(|it| *it != id);
        self.getters.retain(|it| *it != id);
        let at = self.waiting.iter().position(|it| it.id == id).unwrap();
        self.waiting.swap_remove(at)
    }

    fn cancel(&mut self, which: u8) {
        let Some(at) = pick(&self.operations, which) else {
            return;
        };
        let operation = self.operations.swap_remove(at);
        let Waiting { item, granted, .. } = self.forget(operation.id);
        operation.cancel();
        match (granted, item) {
            (true, Some(_)) => self.free_room(),
            (true, None) => self.add_unclaimed(),
            (false, _) => {}
        }
    }

    fn free_room(&mut self) {
        match self.putters.pop_front() {
            Some(id) => self.find(id).granted = true,
            None => self.room += 1,
        }
    }

    fn add_unclaimed(&mut self) {
        match self.getters.pop_front() {
            Some(id) => self.find(id).granted = true,
            None => self.unclaimed += 1,
        }
    }

    fn store(&mut self, item: Item) {
        self.items.push(item);
        self.unfinished += 1;
        self.add_unclaimed();
    }

    fn unstore(&mut self) -> Item {
        let item = (self.take)(&mut self.items);
        self.free_room();
        item
    }

    fn try_put(&mut self, which: u8) {
        let item = self.item(which);
        let put = self.queue.get().try_put(item);
        if self.shut_down {
            assert_eq!(put, Err(TryPutError::ShutDown(item)));
        } else if self.room == 0 {
            assert_eq!(put, Err(TryPutError::Full(item)));
        } else {
            assert_eq!(put, Ok(()));
            self.room -= 1;
            self.store(item);
        }
    }

    fn try_get(&mut self) {
        let got = self.queue.get().try_get();
        if self.unclaimed > 0 && !self.items.is_empty() {
            self.unclaimed -= 1;
            assert_eq!(got, Ok(self.unstore()));
        } else if self.shut_down {
            assert_eq!(got, Err(TryGetError::ShutDown));
            self.unclaimed = self.unclaimed.saturating_sub(1);
        } else {
            assert_eq!(got, Err(TryGetError::Empty));
        }
    }

    fn done(&mut self, count: usize) {
        if self.unfinished > 0 {
            self.unfinished -= count.min(self.unfinished);
            self.finished += usize::from(self.unfinished == 0);
        }
    }

    fn join(&mut self, which: u8, anew: bool) {
        if which < 90 && self.joins.len() < 3 {
            let queue = self.queue.clone();
            let future = async move {
                queue.get().join().await;
                Done::Joined
            };
            let mut join = Operation::new(0, future);
            let poll = join.poll(anew);
            assert_eq!(poll.is_ready(), self.unfinished == 0);
            if poll.is_pending() {
                self.joins.push(join);
                self.joined_at.push(self.finished);
            }
        } else if let Some(at) = pick(&self.joins, which) {
            if which < 150 {
                self.joined_at.swap_remove(at);
                self.joins.swap_remove(at).cancel();
                return;
            }
            let poll = self.joins[at].poll(anew);
            assert_eq!(poll.is_ready(), self.joined_at[at] != self.finished);
            if poll.is_ready() {
                self.joined_at.swap_remove(at);
                self.joins.swap_remove(at);
            }
        }
    }

    fn shut_down(&mut self, immediate: bool) {
        self.queue.get().shutdown(immediate);
        self.shut_down = true;
        self.putters.clear();
        self.getters.clear();
        if immediate {
            self.unclaimed = 0;
            let dropped = self.items.drain(..).count();
            if dropped > 0 {
                self.done(dropped);
            }
        }
    }

    fn check(&self) {
        let queue = self.queue.get();
        assert_eq!(queue.len(), self.items.len());
        assert_eq!(queue.is_shut_down(), self.shut_down);
        assert!(queue.maxsize() == 0 || queue.len() <= queue.maxsize());
        for operation in &self.operations {
            let waiting = self
                .waiting
                .iter()
                .find(|it| it.id == operation.id)
                .unwrap();
            operation.check(waiting.granted || self.shut_down);
        }
        for (join, at) in self.joins.iter().zip(&self.joined_at) {
            join.check(*at != self.finished);
        }
        assert!(
            self.putters.is_empty() || self.room == 0,
            "it is free while an operation waits"
        );
        assert!(
            self.getters.is_empty() || self.unclaimed == 0,
            "it is free while an operation waits"
        );
    }
}
