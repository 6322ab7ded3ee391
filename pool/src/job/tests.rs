//! Tests of what a job can ask.

use std::cell::{Cell, RefCell};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use serde::{Serialize, Serializer, ser};

use crate::frame::Ticket;
use crate::page::Page;

use super::context::{Cancel, Context, Flags, Progress, Sink, Stage, enter};
use super::encoded::Encoded;
use super::worker_state::{self, WorkerState};
use super::{attempt, id, is_cancelled, progress, try_worker_state};

/// The values that jobs have reported, with the ids of the jobs.
#[derive(Default)]
struct Reports(RefCell<Vec<(u64, Vec<u8>)>>);

impl Sink for Reports {
    fn send(&self, job: &Context, value: Encoded) -> io::Result<()> {
        self.0.borrow_mut().push((job.id, value.bytes));
        Ok(())
    }
}

fn context(id: u64) -> Context {
    Context {
        id,
        attempt: 1,
        cancel: Cancel::Flags(Arc::default()),
        progress: Progress::Ignored,
    }
}

fn panic_message(run: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
    *payload.downcast::<String>().unwrap()
}

#[test]
fn outside_a_job_nothing_is_known_and_nothing_panics() {
    assert_eq!(id(), None);
    assert_eq!(attempt(), None);
    assert!(!is_cancelled());
    progress(&7).unwrap();
    assert!(try_worker_state::<u8>().is_none());
}

#[test]
fn a_job_knows_its_id_and_attempt() {
    let job = Context {
        attempt: 3,
        ..context(7)
    };
    assert_eq!(enter(job, || (id(), attempt())), (Some(7), Some(3)));
    assert_eq!(id(), None);
}

#[test]
fn a_nested_job_gives_way_to_the_outer_one_even_if_it_panics() {
    enter(context(1), || {
        enter(context(2), || assert_eq!(id(), Some(2)));
        assert_eq!(id(), Some(1));
        let nested = || enter(context(3), || panic!("on purpose"));
        assert!(catch_unwind(AssertUnwindSafe(nested)).is_err());
        assert_eq!(id(), Some(1));
    });
    assert_eq!(id(), None);
}

#[test]
fn a_job_sees_that_its_handle_has_cancelled_it() {
    let flags = Arc::new(Flags::default());
    let job = Context {
        cancel: Cancel::Flags(Arc::clone(&flags)),
        ..context(1)
    };
    enter(job, || {
        assert!(!is_cancelled());
        assert_eq!(flags.cancel(), Some(Stage::Waiting));
        assert!(is_cancelled());
        enter(context(2), || assert!(!is_cancelled()));
    });
    assert!(!is_cancelled());
}

#[test]
fn a_job_that_finishes_after_the_end_of_its_executor_was_shut_down() {
    let (late, early, waiting) = (Flags::default(), Flags::default(), Flags::default());
    assert!(late.start() && early.start());
    early.finish();
    assert_eq!(late.shut_down(), Some(Stage::Running));
    assert_eq!(early.shut_down(), Some(Stage::Finished));
    assert_eq!(waiting.shut_down(), Some(Stage::Waiting));
    late.finish();
    assert!(late.was_shut_down() && waiting.was_shut_down());
    assert!(!early.was_shut_down() && !waiting.start());
}

#[test]
fn a_job_that_was_cancelled_before_it_started_does_not_start() {
    let cancelled = Flags::default();
    assert_eq!(cancelled.cancel(), Some(Stage::Waiting));
    assert_eq!(cancelled.cancel(), None);
    assert!(!cancelled.start() && !cancelled.has_started());
    let started = Flags::default();
    assert!(started.start());
    assert_eq!(started.cancel(), Some(Stage::Running));
    started.finish();
    assert_eq!(started.cancel(), Some(Stage::Finished));
}

#[test]
fn a_job_in_a_worker_sees_that_the_master_has_cancelled_this_send() {
    let (page, _descriptor) = Page::create().unwrap();
    let page = Rc::new(page);
    let (earlier, ticket) = (Ticket::new(4, 7), Ticket::new(5, 7));
    let job = Context {
        cancel: Cancel::Word {
            page: Rc::clone(&page),
            ticket,
        },
        ..context(1)
    };
    let word = page.word(7);
    word.queue(5);
    assert!(word.start(5));
    enter(job, || {
        assert!(!word.ask_cancel(earlier.sequence()));
        assert!(!is_cancelled());
        assert!(word.ask_cancel(ticket.sequence()));
        assert!(is_cancelled());
    });
    assert!(!is_cancelled());
}

#[test]
fn progress_is_encoded_and_sent_with_the_job() {
    let reports = Rc::new(Reports::default());
    let job = Context {
        progress: Progress::Local(Rc::clone(&reports) as Rc<dyn Sink>),
        ..context(9)
    };
    enter(job, || progress("ab").unwrap());
    assert_eq!(*reports.0.borrow(), [(9, vec![2, b'a', b'b'])]);
}

/// A value that cannot be encoded, and that asks for the job while it is encoded.
struct Unencodable<'a>(&'a Cell<Option<u64>>);

impl Serialize for Unencodable<'_> {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        self.0.set(id());
        Err(ser::Error::custom("on purpose"))
    }
}

#[test]
fn progress_that_cannot_be_encoded_is_an_error() {
    let reports = Rc::new(Reports::default());
    let job = Context {
        progress: Progress::Local(Rc::clone(&reports) as Rc<dyn Sink>),
        ..context(5)
    };
    let seen = Cell::new(None);
    let error = enter(job, || progress(&Unencodable(&seen)).unwrap_err());
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert_eq!(seen.get(), Some(5));
    assert!(reports.0.borrow().is_empty());
}

/// A sink that reports progress itself when it is dropped.
struct ReportsAtItsEnd;

impl Sink for ReportsAtItsEnd {
    fn send(&self, _: &Context, _: Encoded) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for ReportsAtItsEnd {
    fn drop(&mut self) {
        assert_eq!(id(), None);
        progress(&1).unwrap();
    }
}

#[test]
fn a_context_is_dropped_outside_its_job() {
    let job = Context {
        progress: Progress::Shared(Arc::new(ReportsAtItsEnd)),
        ..context(5)
    };
    enter(job, || assert_eq!(id(), Some(5)));
}

#[test]
fn jobs_of_a_worker_share_its_state() {
    worker_state::with(Some(WorkerState::new(RefCell::new(1))), || {
        *super::worker_state::<RefCell<i32>>().borrow_mut() += 1;
        assert_eq!(*super::worker_state::<RefCell<i32>>().borrow(), 2);
        worker_state::with(None, || {
            assert!(try_worker_state::<RefCell<i32>>().is_none());
        });
        assert!(try_worker_state::<RefCell<i32>>().is_some());
        assert!(try_worker_state::<String>().is_none());
    });
    assert!(try_worker_state::<RefCell<i32>>().is_none());
}

#[test]
fn the_panic_of_a_missing_state_names_the_types() {
    let missing = panic_message(|| drop(super::worker_state::<String>()));
    assert!(missing.contains("`alloc::string::String`"), "{missing}");
    worker_state::with(Some(WorkerState::new(1_u8)), || {
        let other = panic_message(|| drop(super::worker_state::<String>()));
        assert_eq!(
            other,
            "the worker's state is a `u8`, not a `alloc::string::String`"
        );
    });
}

#[test]
fn an_installed_state_stays_until_it_is_cleared() {
    let state = Rc::new(());
    WorkerState::new(Rc::clone(&state)).install();
    assert_eq!(Rc::strong_count(&state), 2);
    assert!(Rc::ptr_eq(super::worker_state::<Rc<()>>().as_ref(), &state));
    worker_state::clear();
    assert_eq!(Rc::strong_count(&state), 1);
    assert!(try_worker_state::<Rc<()>>().is_none());
}
