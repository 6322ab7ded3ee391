//! [`Shared`], the results of a map, and [`Waits`], the completion of a job of the map.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;
use std::task::Waker;

use serde::de::DeserializeOwned;

use crate::dispatch::JobKey;
use crate::error::{ErrorKind, JobError};
use crate::frame::Kind;
use crate::frame::chunk::{self, Division};
use crate::job::encoded::Input;
use crate::pool::job::{Completion, FrameContext};

/// What the stream and its jobs share.
pub(super) struct Shared<R> {
    pub(super) results: RefCell<Results<R>>,
    pub(super) is_ordered: bool,
    pub(super) waker: Cell<Option<Waker>>,
    /// The jobs that may have no result yet.
    pub(super) keys: RefCell<VecDeque<JobKey>>,
}

pub(super) struct Results<R> {
    /// In an ordered map: the results from the next one on, `None` for those that have not come.
    /// In an unordered map: the results in the order in which they came.
    pub(super) list: VecDeque<Option<Result<R, JobError>>>,
    /// The number of results that were taken out.
    pub(super) taken: usize,
}

impl<R> Shared<R> {
    /// Stores the result of the input with this index, and wakes the stream if it can return
    /// a result now.
    pub(super) fn put(&self, index: usize, result: Result<R, JobError>) {
        let mut results = self.results.borrow_mut();
        let at = if self.is_ordered {
            let at = index - results.taken;
            if at >= results.list.len() {
                results.list.resize_with(at + 1, || None);
            }
            results.list[at] = Some(result);
            at
        } else {
            results.list.push_back(Some(result));
            0
        };
        drop(results);
        if at == 0
            && let Some(waker) = self.waker.take()
        {
            crate::panics::caught(|| waker.wake());
        }
    }

    pub(super) fn take(&self) -> Option<Result<R, JobError>> {
        let mut results = self.results.borrow_mut();
        results.list.front()?.as_ref()?;
        results.taken += 1;
        results.list.pop_front()?
    }
}

/// The completion of a job of a map: the inputs of the job, by their indices.
pub(super) struct Waits<R> {
    pub(super) shared: Rc<Shared<R>>,
    pub(super) items: Range<usize>,
}

impl<R: DeserializeOwned + 'static> Completion for Waits<R> {
    fn received(self: Box<Self>, kind: Kind, result: Input<'_>, context: &FrameContext) {
        if kind != Kind::ChunkDone {
            self.shared
                .put(self.items.start, context.outcome(kind, result));
            return;
        }
        let mut rest = result.bytes;
        let mut division = Division::new(result.descriptors);
        for index in self.items.clone() {
            let result = match chunk::take_result(&mut rest) {
                Some((Kind::Codec, part)) if part.bytes.is_empty() => {
                    let text = "the results of the chunk are longer than the pool allows";
                    Err(context.error(ErrorKind::Codec(text.to_owned())))
                }
                Some((kind, part)) => context.outcome(kind, division.next(part)),
                None => Err(context.error(ErrorKind::BrokenWorker(None))),
            };
            self.shared.put(index, result);
        }
    }

    fn failed(self: Box<Self>, error: JobError) {
        for index in self.items.clone() {
            self.shared.put(index, Err(error.clone()));
        }
    }

    fn items(&self) -> Option<usize> {
        (self.items.len() > 1).then_some(self.items.len())
    }

    fn part(&self, items: Range<usize>) -> Option<Box<dyn Completion>> {
        let start = self.items.start;
        Some(Box::new(Self {
            shared: Rc::clone(&self.shared),
            items: start + items.start..start + items.end,
        }))
    }

    fn resubmitted(&self, key: JobKey) {
        self.shared.keys.borrow_mut().push_back(key);
    }
}
