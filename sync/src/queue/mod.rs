//! Queues in the manner of Python's `asyncio.Queue`.
//!
//! One [`Queue`] is both ends: any number of tasks [put](Queue::put) items in
//! and [get](Queue::get) them out, through a reference or an [`Rc`] that they
//! share. A queue also counts the items that are not done yet: a task that has
//! worked on an item calls [`task_done`](Queue::task_done), and
//! [`join`](Queue::join) waits until that was called for each item.
//!
//! [`LifoQueue`] returns the item that was put last, and [`PriorityQueue`] the
//! smallest item. Each of them can be borrowed as a `Queue`.
//!
//! Requests to put, and requests to get, are served in order, and before later requests. Room
//! or an item stays with the future that it was granted to, until that future is polled or
//! dropped: see [Futures that a task leaves behind](crate#futures-that-a-task-leaves-behind).
//!
//! # Examples
//!
//! ```
//! use std::rc::Rc;
//!
//! use coreloop::sync::Queue;
//!
//! coreloop::block_on(async {
//!     let queue = Rc::new(Queue::new(4));
//!     for _ in 0..2 {
//!         let queue = Rc::clone(&queue);
//!         coreloop::spawn(async move {
//!             while let Ok(page) = queue.get().await {
//!                 println!("fetching {page}");
//!                 queue.task_done();
//!             }
//!         });
//!     }
//!     for page in 1..=10 {
//!         queue.put(page).await.unwrap();
//!     }
//!     queue.join().await;
//!     queue.shutdown(false);
//! });
//! ```

pub mod error;

mod items;
mod ordered;
mod take;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use coreloop_runtime::task::coop;

use self::error::{GetError, PutError, TryGetError, TryPutError};
use self::items::Items;
use self::take::Take;
use crate::Notify;
use crate::capacity::Capacity;
use crate::on_drop::OnDrop;

pub use ordered::{LifoQueue, PriorityQueue};

/// A queue that returns items in the order in which they were put.
///
/// See [the module](self).
pub struct Queue<T> {
    items: RefCell<Items<T>>,
    maxsize: usize,
    /// Room for items: a slot is free, or granted to a waiting `put`, or used.
    room: Capacity,
    /// Items that are not promised to a waiting `get`: a slot permits to remove one item.
    unclaimed: Capacity,
    /// The number of items for which `task_done` was not called yet.
    unfinished: Cell<usize>,
    /// Notified when `unfinished` becomes zero.
    finished: Notify,
    shut_down: Cell<bool>,
    /// Makes the queue `!Send`, like all types of this crate.
    thread: PhantomData<Rc<()>>,
}

impl<T> Queue<T> {
    /// Creates a queue for at most `maxsize` items; zero means any number.
    #[must_use]
    pub fn new(maxsize: usize) -> Self {
        Self::of(Items::first_in_first_out(), maxsize)
    }

    fn of(items: Items<T>, maxsize: usize) -> Self {
        Self {
            items: RefCell::new(items),
            maxsize,
            room: Capacity::new(if maxsize == 0 { usize::MAX } else { maxsize }),
            unclaimed: Capacity::new(0),
            unfinished: Cell::new(0),
            finished: Notify::new(),
            shut_down: Cell::new(false),
            thread: PhantomData,
        }
    }

    /// Puts an item in, and waits for room if there is none.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the item is dropped with the future, and the place in the
    /// order of requests is lost.
    ///
    /// # Errors
    ///
    /// Returns [`PutError`], with the item, if the queue is shut down.
    pub async fn put(&self, item: T) -> Result<(), PutError<T>> {
        match Take::new(&self.room).await {
            Ok(()) if !self.is_shut_down() => {
                self.store(item);
                Ok(())
            }
            _ => Err(PutError(item)),
        }
    }

    /// Puts an item in if there is room now, and no other `put` waits for it. Python
    /// calls it `put_nowait`.
    ///
    /// # Errors
    ///
    /// Returns [`TryPutError`], with the item, if there is no room, or the queue is
    /// shut down.
    ///
    /// # Panics
    ///
    /// Panics if it is called by the `Ord` of an item of the same queue.
    #[track_caller]
    pub fn try_put(&self, item: T) -> Result<(), TryPutError<T>> {
        if self.is_shut_down() {
            return Err(TryPutError::ShutDown(item));
        }
        if !self.room.try_take(1) {
            return Err(TryPutError::Full(item));
        }
        self.store(item);
        Ok(())
    }

    /// Takes an item out, and waits for one if there is none.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: an item leaves the queue only when `get` returns it. The place in
    /// the order of requests is lost.
    ///
    /// # Errors
    ///
    /// Returns [`GetError`] if the queue is empty and shut down.
    pub async fn get(&self) -> Result<T, GetError> {
        Take::new(&self.unclaimed).await.map_err(|_| GetError(()))?;
        self.unstore().ok_or(GetError(()))
    }

    /// Takes an item out if there is one now, and no other `get` waits for it. Python
    /// calls it `get_nowait`.
    ///
    /// # Errors
    ///
    /// Returns [`TryGetError::Empty`] if there is none, and [`TryGetError::ShutDown`]
    /// if there is none and the queue is shut down.
    ///
    /// # Panics
    ///
    /// Panics if it is called by the `Ord` of an item of the same queue.
    #[track_caller]
    pub fn try_get(&self) -> Result<T, TryGetError> {
        let item = self.unclaimed.try_take(1).then(|| self.unstore()).flatten();
        item.ok_or(if self.is_shut_down() {
            TryGetError::ShutDown
        } else {
            TryGetError::Empty
        })
    }

    /// Marks one item, which a task got from the queue, as done.
    ///
    /// # Panics
    ///
    /// Panics if it was already called for every item that was put. Python raises a
    /// `ValueError` then.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::sync::Queue;
    ///
    /// coreloop::block_on(async {
    ///     let queue = Queue::new(0);
    ///     queue.put("item").await.unwrap();
    ///     queue.get().await.unwrap();
    ///     queue.task_done();
    ///     queue.join().await;
    /// });
    /// ```
    #[track_caller]
    pub fn task_done(&self) {
        let Some(left) = self.unfinished.get().checked_sub(1) else {
            panic!("task_done was called more often than items were put; call it once for each");
        };
        self.set_unfinished(left);
    }

    /// Waits until [`task_done`](Self::task_done) was called for every item.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    pub async fn join(&self) {
        // Created first, because the notification may come while the budget is spent.
        let finished = self.finished.notified();
        coop::consume_budget().await;
        if self.unfinished.get() > 0 {
            finished.await;
        }
    }

    /// Shuts the queue down: from now on no item can be put in.
    ///
    /// Calls of `put` and `get` that wait fail. The items in the queue can still be
    /// taken out, and after that `get` fails as well. If `immediate` is true, the
    /// items in the queue are dropped, and count as done.
    ///
    /// A second call has no effect, except that it may be `immediate` when the first
    /// was not.
    ///
    /// # Panics
    ///
    /// Panics if it is called by the `Ord` of an item of the same queue.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::sync::Queue;
    ///
    /// coreloop::block_on(async {
    ///     let queue = Queue::new(0);
    ///     queue.put("last").await.unwrap();
    ///     queue.shutdown(false);
    ///     assert_eq!(queue.put("late").await.unwrap_err().0, "late");
    ///     assert_eq!(queue.get().await, Ok("last"));
    ///     assert!(queue.get().await.is_err());
    /// });
    /// ```
    #[track_caller]
    pub fn shutdown(&self, immediate: bool) {
        // Dropped at the end, even if a waker panics.
        let dropped = match immediate {
            true => self.change(Items::take_all),
            false => Vec::new(),
        };
        self.shut_down.set(true);
        let _finish = OnDrop(|| {
            if immediate {
                self.unclaimed.try_take(self.unclaimed.free());
            }
            let unfinished = self.unfinished.get();
            if unfinished > 0 {
                self.set_unfinished(unfinished.saturating_sub(dropped.len()));
            }
        });
        let _getters = OnDrop(|| self.unclaimed.close());
        self.room.close();
    }

    /// Returns whether the queue was shut down. There may still be items to get.
    #[must_use]
    pub fn is_shut_down(&self) -> bool {
        self.shut_down.get()
    }

    /// Returns the number of items. Python calls it `qsize`.
    ///
    /// It includes items that are promised to tasks that wait in `get`.
    ///
    /// # Panics
    ///
    /// Panics if it is called by the `Ord` of an item of the same queue.
    #[must_use]
    #[track_caller]
    pub fn len(&self) -> usize {
        match self.items.try_borrow() {
            Ok(items) => items.len(),
            Err(_) => being_ordered(),
        }
    }

    /// Returns whether there is no item.
    ///
    /// # Panics
    ///
    /// Panics if it is called by the `Ord` of an item of the same queue.
    #[must_use]
    #[track_caller]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether the queue has its maximum number of items.
    ///
    /// # Panics
    ///
    /// Panics if it is called by the `Ord` of an item of the same queue.
    #[must_use]
    #[track_caller]
    pub fn is_full(&self) -> bool {
        self.maxsize > 0 && self.len() >= self.maxsize
    }

    /// Returns the maximum number of items; zero means any number.
    #[must_use]
    pub fn maxsize(&self) -> usize {
        self.maxsize
    }

    /// Puts an item in. The caller took room for it.
    #[track_caller]
    fn store(&self, item: T) {
        let before = self.len();
        // Runs after the `Ord` of the items, which may panic before or after the item is in.
        let _account = OnDrop(|| {
            if self.len() > before {
                self.unfinished.set(self.unfinished.get() + 1);
                self.unclaimed.add_one();
            } else {
                self.room.add_one();
            }
        });
        self.change(|items| items.push(item));
    }

    /// Takes out an item that was promised to the caller. Returns `None` if `shutdown`
    /// dropped it.
    #[track_caller]
    fn unstore(&self) -> Option<T> {
        let before = self.len();
        let _account = OnDrop(|| {
            if self.len() < before {
                self.room.add_one();
            }
        });
        self.change(Items::pop)
    }

    fn set_unfinished(&self, left: usize) {
        self.unfinished.set(left);
        if left == 0 {
            self.finished.notify_waiters();
        }
    }

    #[track_caller]
    fn change<R>(&self, change: impl FnOnce(&mut Items<T>) -> R) -> R {
        match self.items.try_borrow_mut() {
            Ok(mut items) => change(&mut items),
            Err(_) => being_ordered(),
        }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("maxsize", &self.maxsize)
            .field("unfinished", &self.unfinished.get())
            .field("shut_down", &self.shut_down.get())
            .finish_non_exhaustive()
    }
}

#[cold]
#[track_caller]
fn being_ordered() -> ! {
    panic!("a queue was used by the `Ord` of its own items; compare only what the items hold")
}
