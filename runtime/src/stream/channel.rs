//! [`Channel`]: a generator that runs in its own task.

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
    /// Spawns a task that runs the generator, and so produces the next item while the
    /// current one is consumed.
    ///
    /// The task is at most one item ahead: while an item is ready, the body waits at its
    /// yield. A cancel scope that the consumer has entered does not apply to the body,
    /// because the body runs in another task.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
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
            poll_fn(|cx| theirs.poll_fill(generator.as_mut(), cx)).await;
            generator.close().await
        });
        Channel {
            link,
            task: Some(task),
        }
    }
}

/// A stream of the items of a generator that runs in its own task, created by
/// [`Gen::into_channel`].
///
/// If the body panics, receiving the next item panics too. Dropping the channel aborts
/// the task, which drops the body at its current `.await`; [`close`](Channel::close) lets
/// the body run to its end.
///
/// `C` is the type that [`Gen::close`] returns.
#[must_use = "dropping it aborts its task"]
pub struct Channel<T, C = ()> {
    link: Rc<Link<T>>,
    /// `None` after the task has finished.
    task: Option<JoinHandle<C>>,
}

/// The state that the task and the channel share.
struct Link<T> {
    item: Cell<Option<T>>,
    full: Cell<bool>,
    closed: Cell<bool>,
    consumer: WakerCell,
    task: WakerCell,
}

impl<T> Default for Link<T> {
    fn default() -> Self {
        Self {
            item: Cell::new(None),
            full: Cell::new(false),
            closed: Cell::new(false),
            consumer: WakerCell::default(),
            task: WakerCell::default(),
        }
    }
}

impl<T> Link<T> {
    /// Passes on items, one at a time, until the channel is closed or the generator has
    /// no more.
    fn poll_fill(
        &self,
        mut items: Pin<&mut impl Stream<Item = T>>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        self.task.keep(cx);
        while !self.closed.get() {
            if self.full.get() {
                return Poll::Pending;
            }
            match items.as_mut().poll_next(cx) {
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
    /// Receives the next item, or returns `None` if the body has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the future takes an item from the channel only when it completes.
    ///
    /// # Panics
    ///
    /// Panics if the body panicked.
    pub fn recv(&mut self) -> impl Future<Output = Option<T>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx))
    }

    /// Makes the yields of the body fail, and waits until the body ends, as
    /// [`Gen::close`] does. An item that is ready but not received is dropped.
    ///
    /// Returns `None` if [`recv`](Channel::recv) has already returned `None`, or if the
    /// runtime aborted the task.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropping the future drops the channel, which aborts the task.
    ///
    /// # Panics
    ///
    /// Panics if the body panicked.
    pub async fn close(mut self) -> Option<C> {
        self.link.closed.set(true);
        self.link.task.wake();
        poll_fn(|cx| self.poll_end(cx)).await
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Option<C>> {
        let Some(task) = &mut self.task else {
            return Poll::Ready(None);
        };
        let Poll::Ready(joined) = Pin::new(task).poll(cx) else {
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

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        if let Some(item) = self.link.take() {
            return Poll::Ready(Some(item));
        }
        self.link.consumer.keep(cx);
        self.poll_end(cx).map(|_| None)
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
            .field("finished", &self.task.is_none())
            .finish_non_exhaustive()
    }
}
