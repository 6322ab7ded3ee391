//! Dividing a chunk that ran when its worker ended.

use std::ops::Range;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use super::core::Core;
use super::job::{Completion, Job};
use super::link::Link;
use crate::dispatch::Started;
use crate::frame::{Slot, chunk};

/// A chunk that ran when its worker ended.
pub(super) struct Broken<'a> {
    pub(super) started: &'a Started,
    pub(super) job: Job,
    pub(super) completion: Box<dyn Completion>,
    /// The number of its items.
    pub(super) items: usize,
    /// The number of items that were started.
    pub(super) begun: usize,
}

/// The two parts of a broken chunk.
#[derive(Default)]
pub(super) struct Divided {
    /// The completion of the items that fail.
    pub(super) lost: Option<Box<dyn Completion>>,
    /// The job that takes the place of the chunk in the queue.
    pub(super) rest: Option<Rest>,
}

/// The part of a broken chunk that runs.
pub(super) struct Rest {
    pub(super) job: Job,
    /// Whether the items had started.
    pub(super) is_retry: bool,
}

/// Returns how many items of the chunk in a slot were started.
///
/// The number is input from the worker, and only decides about the items of this chunk.
pub(super) fn begun(link: &Link, slot: Slot, items: usize) -> usize {
    let begun = link.page.position(slot).load(Ordering::Acquire);
    usize::try_from(begun).unwrap_or(items).min(items)
}

impl Broken<'_> {
    /// Divides the chunk.
    ///
    /// The items that had not started become a chunk that runs as if nothing had happened. Of
    /// those that had, all results are lost with the worker. If calls may be repeated, the last
    /// item that had started runs again by itself, so that an item which kills its worker fails
    /// alone, and the items before it become a chunk that runs again.
    pub(super) fn divide(self, core: &Rc<Core>) -> Divided {
        let Self {
            started,
            job,
            completion,
            items,
            begun,
        } = self;
        let last = begun.saturating_sub(1)..begun;
        let part = |range: Range<usize>, has_run: bool| {
            let completion = completion.part(range.clone())?;
            (!range.is_empty()).then(|| Job {
                id: core.new_id(),
                body: chunk::items(&job.body, range.clone()).to_vec().into(),
                attached: job.attached.part(chunk::descriptors(&job.body, range)),
                completion: Some(completion),
                progress: None,
                room: None,
                timer: None,
                has_run: has_run || job.has_run,
                ..job
            })
        };
        if started.may_retry && !last.is_empty() {
            for (range, has_run) in [(0..last.start, true), (begun..items, false)] {
                if let Some(part) = part(range, has_run) {
                    let options = part.options;
                    completion.resubmitted(core.submit(part, options));
                }
            }
            return Divided {
                lost: None,
                rest: part(last, true).map(|job| Rest {
                    job,
                    is_retry: true,
                }),
            };
        }
        Divided {
            lost: completion.part(0..begun),
            rest: part(begun..items, false).map(|job| Rest {
                job,
                is_retry: false,
            }),
        }
    }
}
