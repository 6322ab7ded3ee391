//! Queues in the manner of Python's `asyncio.Queue`.
//!
//! One [`Queue`] is both ends: any number of tasks [put](Queue::put) items in
//! and [get](Queue::get) them out, by a reference or an [`Rc`]
//! that they share. It can say when everything that was put is also done:
//! whoever has worked on an item calls [`task_done`](Queue::task_done), and
//! [`join`](Queue::join) waits until that has been called for each.
//!
//! [`LifoQueue`] returns the item that was put last, [`PriorityQueue`] the
//! smallest. Each is a `Queue` as well, in that it can be borrowed as one.
//!
//! Requests to put, and requests to get, are served in the order in which they were made, and
//! none that comes later is served before them. Room or an item stays with the future that it
//! was granted to, until that is polled or dropped: see [Futures that a task leaves
//! behind](crate#futures-that-a-task-leaves-behind).
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

mod forms;
mod items;
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
use crate::on_drop::OnDrop;
use crate::slots::Slots;

pub use forms::{LifoQueue, PriorityQueue};

/// A queue that returns items in the order in which they were put.
///
/// See [the module](self).
pub struct Queue<T> {
    items: RefCell<Items<T>>,
    maxsize: usize,
    /// Room for items: free, given to one that waits to put, or used.
    room: Slots,
    /// Items that nobody was promised: who takes one may take an item out.
    stock: Slots,
    /// How often `task_done` is yet to be called.
    unfinished: Cell<usize>,
    /// Told when that is zero.
    finished: Notify,
    shut_down: Cell<bool>,
    /// Stays on its thread, as all of this crate does.
    thread: PhantomData<Rc<()>>,
}

impl<T> Queue<T> {
    /// Makes a queue for at most `maxsize` items; zero means any number.
    #[must_use]
    pub fn new(maxsize: usize) -> Self {
        Self::of(Items::first_in_first_out(), maxsize)
    }

    fn of(items: Items<T>, maxsize: usize) -> Self {
        Self {
            items: RefCell::new(items),
            maxsize,
            room: Slots::new(if maxsize == 0 { usize::MAX } else { maxsize }),
            stock: Slots::new(0),
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
    /// Not cancel safe: the item is dropped if this is, and the place among
    /// those that wait is lost.
    ///
    /// # Errors
    ///
    /// [`PutError`], with the item, if the queue is shut down.
    pub async fn put(&self, item: T) -> Result<(), PutError<T>> {
        match Take::new(&self.room).await {
            Ok(()) if !self.is_shut_down() => {
                self.store(item);
                Ok(())
            }
            _ => Err(PutError(item)),
        }
    }

    /// Puts an item in if there is room now, and nobody waits for it. Python
    /// calls it `put_nowait`.
    ///
    /// # Errors
    ///
    /// [`TryPutError`], with the item, if there is no room, or the queue is
    /// shut down.
    ///
    /// # Panics
    ///
    /// If it is called by the `Ord` of an item of this very queue.
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
    /// Cancel safe: an item leaves the queue only when this returns it. The
    /// place among those that wait is lost.
    ///
    /// # Errors
    ///
    /// [`GetError`] if the queue is empty and shut down.
    pub async fn get(&self) -> Result<T, GetError> {
        Take::new(&self.stock).await.map_err(|_| GetError(()))?;
        self.unstore().ok_or(GetError(()))
    }

    /// Takes an item out if there is one now, and nobody waits for it. Python
    /// calls it `get_nowait`.
    ///
    /// # Errors
    ///
    /// [`TryGetError::Empty`] if there is none, and [`TryGetError::ShutDown`]
    /// if none will be put any more.
    ///
    /// # Panics
    ///
    /// If it is called by the `Ord` of an item of this very queue.
    #[track_caller]
    pub fn try_get(&self) -> Result<T, TryGetError> {
        let item = self.stock.try_take(1).then(|| self.unstore()).flatten();
        item.ok_or(if self.is_shut_down() {
            TryGetError::ShutDown
        } else {
            TryGetError::Empty
        })
    }

    /// Says that an item that was got is also done.
    ///
    /// # Panics
    ///
    /// If it was called for every item that was put already, where Python
    /// raises a `ValueError`.
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
        // Made first: the end may come while there is no budget to see it.
        let finished = self.finished.notified();
        coop::consume_budget().await;
        if self.unfinished.get() > 0 {
            finished.await;
        }
    }

    /// Lets nothing be put in any more.
    ///
    /// Those who wait to put, or to get, fail. What is in the queue can still
    /// be taken out, and after that `get` fails as well. If `immediate`, what
    /// is in the queue is dropped, and counts as done.
    ///
    /// Shutting down again does nothing, except that `immediate` may follow.
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
    ///
    /// # Panics
    ///
    /// If it is called by the `Ord` of an item of this very queue.
    #[track_caller]
    pub fn shutdown(&self, immediate: bool) {
        // Dropped at the end, panic or not.
        let dropped = match immediate {
            true => self.change(Items::take_all),
            false => Vec::new(),
        };
        self.shut_down.set(true);
        let _finish = OnDrop(|| {
            if immediate {
                self.stock.try_take(self.stock.free());
            }
            let unfinished = self.unfinished.get();
            if unfinished > 0 {
                self.set_unfinished(unfinished.saturating_sub(dropped.len()));
            }
        });
        let _getters = OnDrop(|| self.stock.close());
        self.room.close();
    }

    /// Whether it was shut down. There may still be items to get.
    #[must_use]
    pub fn is_shut_down(&self) -> bool {
        self.shut_down.get()
    }

    /// How many items there are. Python calls it `qsize`.
    ///
    /// Those that are promised to tasks that wait in `get` are among them.
    ///
    /// # Panics
    ///
    /// If it is called by the `Ord` of an item of this very queue.
    #[must_use]
    #[track_caller]
    pub fn len(&self) -> usize {
        match self.items.try_borrow() {
            Ok(items) => items.len(),
            Err(_) => being_ordered(),
        }
    }

    /// Whether there is no item.
    ///
    /// # Panics
    ///
    /// If it is called by the `Ord` of an item of this very queue.
    #[must_use]
    #[track_caller]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there are as many items as there may be.
    ///
    /// # Panics
    ///
    /// If it is called by the `Ord` of an item of this very queue.
    #[must_use]
    #[track_caller]
    pub fn is_full(&self) -> bool {
        self.maxsize > 0 && self.len() >= self.maxsize
    }

    /// How many items there may be; zero means any number.
    #[must_use]
    pub fn maxsize(&self) -> usize {
        self.maxsize
    }

    /// Puts an item into room that was taken for it.
    #[track_caller]
    fn store(&self, item: T) {
        let before = self.len();
        // After the `Ord` of items, which may panic, with the item in or not.
        let _account = OnDrop(|| {
            if self.len() > before {
                self.unfinished.set(self.unfinished.get() + 1);
                self.stock.add_one();
            } else {
                self.room.add_one();
            }
        });
        self.change(|items| items.push(item));
    }

    /// Takes the item out that was promised; none if it was dropped by
    /// `shutdown`.
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
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Queue")
            .field("maxsize", &self.maxsize)
            .field("unfinished", &self.unfinished.get())
            .field("shut_down", &self.shut_down.get())
            .finish_non_exhaustive()
    }
}

#[cold]
#[track_caller]
fn being_ordered() -> ! {
    panic!("a queue was used by the `Ord` of its own items; compare what the items hold, no more")
}
