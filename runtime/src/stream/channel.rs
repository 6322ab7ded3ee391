//! A generator in a task of its own.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_core::{FusedStream, Stream};

use crate::engine::task::join::JoinHandle;
use crate::engine::waker_cell::WakerCell;
use crate::stream::ending::Ending;
use crate::stream::generator::Gen;
use crate::task::spawn;

impl<T, F, R> Gen<T, F, R>
where
    T: 'static,
    F: Future + 'static,
    F::Output: Ending<T, Outcome: 'static>,
    R: Default + 'static,
{
    /// Runs the generator in a task of its own, which works on the next item
    /// while this one is consumed.
    ///
    /// The task is one item ahead at most: when one lies ready, the body stands
    /// still at its yield. What it opens around its yields, such as a cancel scope,
    /// it opens in its own task and not in that of its consumer.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::{for_await, stream::stream};
    ///
    /// # coreloop::block_on(async {
    /// let numbers = stream(async |mut co| {
    ///     for number in 1..=3 {
    ///         co.yield_(number).await?;
    ///     }
    ///     Ok(())
    /// });
    /// let mut sum = 0;
    /// for_await!(number in numbers.into_channel() {
    ///     sum += number;
    /// });
    /// assert_eq!(sum, 6);
    /// # })
    /// ```
    #[track_caller]
    pub fn into_channel(self) -> Channel<T, <F::Output as Ending<T>>::Outcome> {
        let link = Rc::new(Link::default());
        let theirs = Rc::clone(&link);
        let task = spawn(async move {
            let mut generator = pin!(self);
            poll_fn(|context| theirs.poll_fill(generator.as_mut(), context)).await;
            generator.close().await
        });
        Channel {
            link,
            task: Some(task),
        }
    }
}

/// The items of a generator that runs in a task of its own, which
/// [`Gen::into_channel`] makes.
///
/// If the body panics, so does who waits for the next item. Dropping it aborts
/// the task, and drops the body where it stands; [`close`](Channel::close) lets
/// it come to its end.
///
/// `C` is what [`Gen::close`] gives.
#[must_use = "dropping it aborts its task"]
pub struct Channel<T, C = ()> {
    link: Rc<Link<T>>,
    /// Until it is over.
    task: Option<JoinHandle<C>>,
}

/// What the task and the channel share.
struct Link<T> {
    item: Cell<Option<T>>,
    full: Cell<bool>,
    closed: Cell<bool>,
    consumer: WakerCell,
    task: WakerCell,
}

impl<T> Default for Link<T> {
    fn default() -> Link<T> {
        Link {
            item: Cell::new(None),
            full: Cell::new(false),
            closed: Cell::new(false),
            consumer: WakerCell::default(),
            task: WakerCell::default(),
        }
    }
}

impl<T> Link<T> {
    /// Leaves items, one at a time, until the consumer wants no more or there
    /// are none.
    fn poll_fill(
        &self,
        mut items: Pin<&mut impl Stream<Item = T>>,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        self.task.keep(context);
        while !self.closed.get() {
            if self.full.get() {
                return Poll::Pending;
            }
            match items.as_mut().poll_next(context) {
                Poll::Ready(Some(item)) => {
                    self.item.set(Some(item));
                    self.full.set(true);
                    self.consumer.wake();
                }
                Poll::Ready(None) => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }

    fn take(&self) -> Option<T> {
        let item = self.item.take()?;
        self.full.set(false);
        self.task.wake();
        Some(item)
    }
}

impl<T, C> Channel<T, C> {
    /// Receives the next item; `None` when the body is over.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: an item leaves the channel only when this is ready.
    ///
    /// # Panics
    ///
    /// If the body panicked.
    pub fn recv(&mut self) -> impl Future<Output = Option<T>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context))
    }

    /// Tells the body that no more items are wanted, and waits for its end, as
    /// [`Gen::close`] does. An item that lies ready is dropped.
    ///
    /// `None` if the body was over and the end was seen as an item, or the
    /// runtime ended the task.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the channel is dropped, and so the task aborted.
    ///
    /// # Panics
    ///
    /// If the body panicked.
    pub async fn close(mut self) -> Option<C> {
        self.link.closed.set(true);
        self.link.task.wake();
        poll_fn(|context| self.poll_end(context)).await
    }

    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Option<C>> {
        let Some(task) = &mut self.task else {
            return Poll::Ready(None);
        };
        let Poll::Ready(joined) = Pin::new(task).poll(context) else {
            return Poll::Pending;
        };
        self.task = None;
        match joined.map_err(crate::engine::task::error::JoinError::try_into_panic) {
            Ok(outcome) => Poll::Ready(Some(outcome)),
            Err(Ok(panic)) => resume_unwind(panic),
            Err(Err(_cancelled)) => Poll::Ready(None),
        }
    }
}

impl<T, C> Stream for Channel<T, C> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        if let Some(item) = self.link.take() {
            return Poll::Ready(Some(item));
        }
        self.link.consumer.keep(context);
        self.poll_end(context).map(|_| None)
    }
}

impl<T, C> FusedStream for Channel<T, C> {
    fn is_terminated(&self) -> bool {
        self.task.is_none() && !self.link.full.get()
    }
}

impl<T, C> Unpin for Channel<T, C> {}

impl<T, C> Drop for Channel<T, C> {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl<T, C> fmt::Debug for Channel<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("full", &self.link.full.get())
            .field("over", &self.task.is_none())
            .finish_non_exhaustive()
    }
}
