//! What tasks with guards or scopes have beside their future.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::engine::cancel::group::Site;
use crate::engine::cancel::node::Node;
use crate::engine::cancel::queue::Lane;
use crate::engine::panics::{self, Foreign};
use crate::engine::report;
use crate::engine::report::cleanup_failure::{CleanupFailure, Hook};
use crate::engine::task::budget::Budget;
use crate::engine::task::id::Id;

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
pub(crate) struct Upkeep {
    root: OnceCell<Rc<Node>>,
    pub(crate) lane: Lane,
}

impl Upkeep {
    pub(crate) fn root(&self) -> &Rc<Node> {
        self.root.get_or_init(Node::root)
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.root.get().is_some_and(|root| root.is_cancelled())
    }
}

/// Those of all tasks of a loop that have one, which the flag `GUARDED` says.
#[derive(Default)]
pub(crate) struct Upkeeps {
    tasks: RefCell<BTreeMap<Id, Rc<Upkeep>>>,
    /// That of a task that is over, kept for its memory.
    spare: Cell<Option<Rc<Upkeep>>>,
    /// What the code that runs belongs to, if not to its task itself.
    current: RefCell<Option<Rc<Node>>>,
    /// Where the code that runs drops guards.
    site: RefCell<Option<Site>>,
    options: Options,
    /// Collects, during a shutdown, what was abandoned.
    abandoned: RefCell<Option<Vec<CleanupFailure>>>,
}

impl Upkeeps {
    pub(crate) fn new(options: Options) -> Upkeeps {
        Upkeeps {
            options,
            ..Upkeeps::default()
        }
    }

    /// How long a cleanup may take.
    pub(crate) fn budget(&self) -> Duration {
        self.options.budget
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.borrow().is_empty()
    }

    /// That of the task, which is to be flagged `GUARDED`.
    pub(crate) fn of(&self, id: Id) -> Rc<Upkeep> {
        let known = self.tasks.borrow().get(&id).map(Rc::clone);
        known.unwrap_or_else(|| self.make(id))
    }

    #[cold]
    fn make(&self, id: Id) -> Rc<Upkeep> {
        let upkeep = self.spare.take().unwrap_or_default();
        self.tasks.borrow_mut().insert(id, Rc::clone(&upkeep));
        upkeep
    }

    /// The task has ended. Its upkeep is kept for another task, unless something else
    /// still has it, or something is left in its lane.
    pub(crate) fn remove(&self, id: Id) {
        let upkeep = self.tasks.borrow_mut().remove(&id);
        if let Some(mut upkeep) = upkeep
            && let Some(own) = Rc::get_mut(&mut upkeep)
            && own.lane.is_unused()
        {
            // The root may have been cancelled, and scopes of this task be below it.
            own.root.take();
            self.spare.set(Some(upkeep));
        }
    }

    pub(crate) fn replace_current(&self, node: Option<Rc<Node>>) -> Option<Rc<Node>> {
        self.current.replace(node)
    }

    pub(crate) fn current(&self) -> Option<Rc<Node>> {
        self.current.borrow().clone()
    }

    /// Whether the code that runs was cancelled; not known of a task itself.
    pub(crate) fn is_current_cancelled(&self) -> Option<bool> {
        self.current
            .borrow()
            .as_ref()
            .map(|node| node.is_cancelled())
    }

    pub(crate) fn replace_site(&self, site: Option<Site>) -> Option<Site> {
        self.site.replace(site)
    }

    /// The part, or the child in it, in which the code that runs drops guards.
    #[inline]
    pub(crate) fn site(&self) -> Option<Site> {
        self.site.borrow().as_ref().map(Site::current)
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

impl fmt::Debug for Upkeeps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upkeeps")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
