//! Senders that do not keep their channel open.

use std::fmt;

use super::halves::WeakHalf;
use super::{Sender, UnboundedSender};

/// A weak sender of a bounded channel, which does not keep the channel open.
///
/// When all [`Sender`]s are dropped the receiver sees the end, even if there are
/// weak senders.
///
/// # Examples
///
/// ```
/// use coreloop::sync::mpsc;
///
/// let (sender, _receiver) = mpsc::channel(1);
/// let weak = sender.downgrade();
/// weak.upgrade().unwrap().try_send(1).unwrap();
/// drop(sender);
/// assert!(weak.upgrade().is_none());
/// ```
pub struct WeakSender<T> {
    pub(super) half: WeakHalf<T>,
}

impl<T> WeakSender<T> {
    /// Creates a sender, unless all senders were dropped.
    #[must_use]
    pub fn upgrade(&self) -> Option<Sender<T>> {
        self.half.upgrade().map(|half| Sender { half })
    }

    /// Returns the number of senders.
    #[must_use]
    pub fn strong_count(&self) -> usize {
        self.half.strong_count()
    }

    /// Returns the number of weak senders.
    #[must_use]
    pub fn weak_count(&self) -> usize {
        self.half.weak_count()
    }
}

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> Self {
        Self {
            half: self.half.clone(),
        }
    }
}

impl<T> fmt::Debug for WeakSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakSender").finish_non_exhaustive()
    }
}

/// A weak sender of an unbounded channel, which does not keep the channel open.
///
/// When all [`UnboundedSender`]s are dropped the receiver sees the end, even if
/// there are weak senders.
///
/// # Examples
///
/// ```
/// use coreloop::sync::mpsc;
///
/// let (sender, _receiver) = mpsc::unbounded_channel();
/// let weak = sender.downgrade();
/// weak.upgrade().unwrap().send(1).unwrap();
/// drop(sender);
/// assert!(weak.upgrade().is_none());
/// ```
pub struct WeakUnboundedSender<T> {
    pub(super) half: WeakHalf<T>,
}

impl<T> WeakUnboundedSender<T> {
    /// Creates a sender, unless all senders were dropped.
    #[must_use]
    pub fn upgrade(&self) -> Option<UnboundedSender<T>> {
        self.half.upgrade().map(|half| UnboundedSender { half })
    }

    /// Returns the number of senders.
    #[must_use]
    pub fn strong_count(&self) -> usize {
        self.half.strong_count()
    }

    /// Returns the number of weak senders.
    #[must_use]
    pub fn weak_count(&self) -> usize {
        self.half.weak_count()
    }
}

impl<T> Clone for WeakUnboundedSender<T> {
    fn clone(&self) -> Self {
        Self {
            half: self.half.clone(),
        }
    }
}

impl<T> fmt::Debug for WeakUnboundedSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakUnboundedSender")
            .finish_non_exhaustive()
    }
}
