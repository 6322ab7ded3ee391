//! What the scheduler keeps for tasks that have dropped a guard, or polled a scope, bracket
//! or shield.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::engine::cancel::group::CleanupSite;
use crate::engine::cancel::node::CancelNode;
use crate::engine::cancel::queue::CleanupQueue;
use crate::engine::id::Id;
use crate::engine::panics::{self, UserValue};
use crate::engine::report;
use crate::engine::report::cleanup_failure::{CleanupFailure, Hook};
use crate::engine::task::budget::Budget;

/// The settings for the cleanups of a loop's tasks.
#[derive(Clone)]
pub(crate) struct Options {
    /// The time limit of each cleanup.
    pub(crate) time_limit: Duration,
    /// The user's hook for failures of cleanups.
    pub(crate) hook: UserValue<Hook>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            time_limit: Duration::from_secs(5),
            hook: UserValue::default(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("time_limit", &self.time_limit)
            .finish_non_exhaustive()
    }
}

/// The root cancel node and the cleanup queue of one task.
#[derive(Debug, Default)]
pub(crate) struct CleanupState {
    /// The node of the task itself, created when it is needed.
    root: OnceCell<Rc<CancelNode>>,
    pub(crate) queue: CleanupQueue,
}

impl CleanupState {
    pub(super) fn root(&self) -> &Rc<CancelNode> {
        self.root.get_or_init(CancelNode::new)
    }

    /// Returns whether the task itself is cancelled.
    pub(super) fn is_cancelled(&self) -> bool {
        self.root.get().is_some_and(|root| root.is_cancelled())
    }
}

/// The states of the loop's tasks that have the flag `HAS_CLEANUP_STATE`, and the node and
/// site of the running code.
#[derive(Default)]
pub(crate) struct CleanupStates {
    tasks: RefCell<BTreeMap<Id, Rc<CleanupState>>>,
    /// The state of a task that has finished, kept to be used again.
    spare: Cell<Option<Rc<CleanupState>>>,
    /// The node of the running code; `None` if it belongs to the task itself.
    current: RefCell<Option<Rc<CancelNode>>>,
    /// The site at which the running code drops guards; `None` if it is in no group.
    site: RefCell<Option<CleanupSite>>,
    options: Options,
    /// The failures of abandoned cleanups, while a shutdown collects them.
    abandoned: RefCell<Option<Vec<CleanupFailure>>>,
}

impl CleanupStates {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }

    /// Returns the time limit of a cleanup.
    pub(crate) fn time_limit(&self) -> Duration {
        self.options.time_limit
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.borrow().is_empty()
    }

    /// Returns the state of a task, and creates it if there is none. The caller has set the
    /// flag `HAS_CLEANUP_STATE` of the task.
    pub(super) fn of(&self, id: Id) -> Rc<CleanupState> {
        let known = self.tasks.borrow().get(&id).map(Rc::clone);
        known.unwrap_or_else(|| self.create(id))
    }

    #[cold]
    fn create(&self, id: Id) -> Rc<CleanupState> {
        let state = self.spare.take().unwrap_or_default();
        self.tasks.borrow_mut().insert(id, Rc::clone(&state));
        state
    }

    /// Removes the state of a task that has finished. The state is kept for another task,
    /// unless there is another reference to it, or something is left in its queue.
    pub(crate) fn remove(&self, id: Id) {
        let state = self.tasks.borrow_mut().remove(&id);
        if let Some(mut state) = state
            && let Some(own) = Rc::get_mut(&mut state)
            && own.queue.is_unused()
        {
            // The root may be cancelled, and may have nodes of scopes below it.
            own.root.take();
            self.spare.set(Some(state));
        }
    }

    /// Sets the node of the running code, and returns the one before.
    pub(super) fn replace_current(&self, node: Option<Rc<CancelNode>>) -> Option<Rc<CancelNode>> {
        self.current.replace(node)
    }

    /// Returns the node of the running code; `None` for a task itself.
    pub(super) fn current(&self) -> Option<Rc<CancelNode>> {
        self.current.borrow().clone()
    }

    /// Returns whether the running code was cancelled; `None` for a task itself.
    pub(super) fn is_current_cancelled(&self) -> Option<bool> {
        self.current
            .borrow()
            .as_ref()
            .map(|node| node.is_cancelled())
    }

    /// Sets the site of the running code, and returns the one before.
    pub(super) fn replace_site(&self, site: Option<CleanupSite>) -> Option<CleanupSite> {
        self.site.replace(site)
    }

    /// Returns the site at which the running code drops guards.
    #[inline]
    pub(super) fn site(&self) -> Option<CleanupSite> {
        self.site.borrow().as_ref().map(CleanupSite::current)
    }

    /// Freezes the running code if its node is cancelled.
    pub(super) fn freeze_current(&self, budget: &Budget) {
        if self.is_current_cancelled() == Some(true) {
            budget.freeze();
        }
    }

    /// Begins to collect the failures of abandoned cleanups, for the report of a shutdown.
    pub(crate) fn collect(&self) {
        *self.abandoned.borrow_mut() = Some(Vec::new());
    }

    /// Returns the failures that were collected, and ends collecting.
    pub(crate) fn collected(&self) -> Vec<CleanupFailure> {
        self.abandoned.take().unwrap_or_default()
    }

    /// Collects the failure of an abandoned cleanup during a shutdown. Otherwise passes the
    /// failure to the hook, or to `report::report_cleanup_failure` if there is none.
    pub(super) fn report(&self, failure: CleanupFailure) {
        if failure.is_abandoned()
            && let Some(abandoned) = &mut *self.abandoned.borrow_mut()
        {
            abandoned.push(failure);
            return;
        }
        // Both run user code: a subscriber of `tracing` is user code too.
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
