//! What tasks with guards or scopes have beside their future.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::engine::cancel::group::CleanupSite;
use crate::engine::cancel::node::CancelNode;
use crate::engine::cancel::queue::CleanupQueue;
use crate::engine::id::Id;
use crate::engine::panics::{self, Foreign};
use crate::engine::report;
use crate::engine::report::cleanup_failure::{CleanupFailure, Hook};
use crate::engine::task::budget::Budget;

/// How cleanups are to be run.
#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) budget: Duration,
    pub(crate) hook: Foreign<Hook>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            budget: Duration::from_secs(5),
            hook: Foreign::default(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

/// The root and the lane of one task.
#[derive(Debug, Default)]
pub(crate) struct CleanupState {
    root: OnceCell<Rc<CancelNode>>,
    pub(crate) queue: CleanupQueue,
}

impl CleanupState {
    pub(crate) fn root(&self) -> &Rc<CancelNode> {
        self.root.get_or_init(CancelNode::root)
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.root.get().is_some_and(|root| root.is_cancelled())
    }
}

/// Those of all tasks of a loop that have one, which the flag `HAS_CLEANUP_STATE` says.
#[derive(Default)]
pub(crate) struct CleanupStates {
    tasks: RefCell<BTreeMap<Id, Rc<CleanupState>>>,
    /// That of a task that is over, kept for its memory.
    spare: Cell<Option<Rc<CleanupState>>>,
    /// What the code that runs belongs to, if not to its task itself.
    current: RefCell<Option<Rc<CancelNode>>>,
    /// Where the code that runs drops guards.
    site: RefCell<Option<CleanupSite>>,
    options: Options,
    /// Collects, during a shutdown, what was abandoned.
    abandoned: RefCell<Option<Vec<CleanupFailure>>>,
}

impl CleanupStates {
    pub(crate) fn new(options: Options) -> CleanupStates {
        CleanupStates {
            options,
            ..CleanupStates::default()
        }
    }

    /// How long a cleanup may take.
    pub(crate) fn budget(&self) -> Duration {
        self.options.budget
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.borrow().is_empty()
    }

    /// That of the task, which is to be flagged `HAS_CLEANUP_STATE`.
    pub(crate) fn of(&self, id: Id) -> Rc<CleanupState> {
        let known = self.tasks.borrow().get(&id).map(Rc::clone);
        known.unwrap_or_else(|| self.make(id))
    }

    #[cold]
    fn make(&self, id: Id) -> Rc<CleanupState> {
        let state = self.spare.take().unwrap_or_default();
        self.tasks.borrow_mut().insert(id, Rc::clone(&state));
        state
    }

    /// The task has ended. Its state is kept for another task, unless something else
    /// still has it, or something is left in its lane.
    pub(crate) fn remove(&self, id: Id) {
        let state = self.tasks.borrow_mut().remove(&id);
        if let Some(mut state) = state
            && let Some(own) = Rc::get_mut(&mut state)
            && own.queue.is_unused()
        {
            // The root may have been cancelled, and scopes of this task be below it.
            own.root.take();
            self.spare.set(Some(state));
        }
    }

    pub(crate) fn replace_current(&self, node: Option<Rc<CancelNode>>) -> Option<Rc<CancelNode>> {
        self.current.replace(node)
    }

    pub(crate) fn current(&self) -> Option<Rc<CancelNode>> {
        self.current.borrow().clone()
    }

    /// Whether the code that runs was cancelled; not known of a task itself.
    pub(crate) fn is_current_cancelled(&self) -> Option<bool> {
        self.current
            .borrow()
            .as_ref()
            .map(|node| node.is_cancelled())
    }

    pub(crate) fn replace_site(&self, site: Option<CleanupSite>) -> Option<CleanupSite> {
        self.site.replace(site)
    }

    /// The group, or the child in it, in which the code that runs drops guards.
    #[inline]
    pub(crate) fn site(&self) -> Option<CleanupSite> {
        self.site.borrow().as_ref().map(CleanupSite::current)
    }

    /// Freezes the code that runs, if it was cancelled just now.
    pub(crate) fn freeze_current(&self, budget: &Budget) {
        if self.is_current_cancelled() == Some(true) {
            budget.freeze();
        }
    }

    /// From now on what is abandoned is kept for the report.
    pub(crate) fn collect(&self) {
        *self.abandoned.borrow_mut() = Some(Vec::new());
    }

    pub(crate) fn collected(&self) -> Vec<CleanupFailure> {
        self.abandoned.take().unwrap_or_default()
    }

    pub(crate) fn report(&self, failure: CleanupFailure) {
        if failure.is_abandoned()
            && let Some(abandoned) = &mut *self.abandoned.borrow_mut()
        {
            abandoned.push(failure);
            return;
        }
        // Both are the user's: a subscriber of `tracing` is too.
        panics::caught(|| match self.options.hook.get() {
            Some(hook) => hook(&failure),
            None => report::report_cleanup_failure(&failure),
        });
    }
}

impl fmt::Debug for CleanupStates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CleanupStates")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
