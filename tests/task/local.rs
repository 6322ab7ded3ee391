//! `task_local!`: a value that a task sees wherever it is polled or dropped.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use coreloop::cleanup::{defer, flush};
use coreloop::task::{JoinSet, yield_now};
use coreloop::{Runtime, spawn};
use coreloop_test_support::panics::panic_of;

coreloop::task_local! {
    /// A number.
    static NUMBER: u32;
    static NAME: String;
    static NOTES: Rc<RefCell<Vec<u32>>>
}

/// Records the number when it is dropped.
struct Notes(Rc<RefCell<Vec<Option<u32>>>>);

impl Drop for Notes {
    fn drop(&mut self) {
        self.0.borrow_mut().push(NUMBER.try_get().ok());
    }
}

#[coreloop::test]
async fn each_task_has_its_own_value() {
    let mut set = JoinSet::new();
    for number in 0..10 {
        set.spawn(NUMBER.scope(number, async move {
            for _ in 0..3 {
                assert_eq!(NUMBER.get(), number);
                yield_now().await;
            }
            NUMBER.get()
        }));
    }
    let mut numbers = set.join_all().await;
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..10));
    assert!(NUMBER.try_get().is_err(), "the root has none");
}

#[coreloop::test]
async fn a_spawned_task_does_not_inherit() {
    NUMBER
        .scope(1, async {
            let inherited = spawn(async { NUMBER.try_get() }).await.unwrap();
            assert!(inherited.is_err());
            let given = NUMBER.scope(NUMBER.get(), async { NUMBER.get() });
            assert_eq!(spawn(given).await.unwrap(), 1);
        })
        .await;
}

#[coreloop::test]
async fn scopes_nest_and_keys_are_independent() {
    NUMBER
        .scope(1, async {
            NAME.scope("outer".to_owned(), async {
                NUMBER
                    .scope(2, async {
                        yield_now().await;
                        assert_eq!(NUMBER.get(), 2);
                        assert_eq!(NAME.get(), "outer");
                        assert_eq!(NUMBER.sync_scope(3, || NUMBER.get()), 3);
                        assert_eq!(NUMBER.get(), 2);
                    })
                    .await;
                assert_eq!(NUMBER.get(), 1);
            })
            .await;
            assert!(NAME.try_with(String::len).is_err());
        })
        .await;
}

#[test]
fn a_future_sees_the_value_wherever_it_is_dropped() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let noting = || {
        let notes = Notes(Rc::clone(&seen));
        async move {
            let _notes = notes;
            pending::<()>().await;
        }
    };
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        // Aborted before and after the first poll.
        spawn(NUMBER.scope(1, noting())).abort();
        let polled = spawn(NUMBER.scope(2, noting()));
        yield_now().await;
        polled.abort();
        yield_now().await;
        // Dropped unpolled, and polled by hand.
        drop(NUMBER.scope(3, noting()));
        let mut scope = Box::pin(NUMBER.scope(4, noting()));
        poll_fn(|context| Poll::Ready(scope.as_mut().poll(context).is_pending())).await;
        drop(scope);
        // At its end.
        NUMBER
            .scope(5, async { drop(Notes(Rc::clone(&seen))) })
            .await;
        let moved = Notes(Rc::clone(&seen));
        NUMBER
            .scope(6, async move {
                let _moved = &moved;
            })
            .await;
    });
    // Dropped with the runtime.
    drop(runtime.spawn(NUMBER.scope(7, noting())));
    let handle = runtime.spawn(NUMBER.scope(8, noting()));
    runtime.block_on(yield_now());
    drop(runtime);
    drop(handle);
    let mut seen: Vec<_> = seen.take().into_iter().map(Option::unwrap).collect();
    seen.sort_unstable();
    assert!(seen.into_iter().eq(1..=8));
}

#[test]
fn a_panic_ends_the_scope_of_the_value() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    coreloop::block_on(async {
        let notes = Notes(Rc::clone(&seen));
        let panics = spawn(NUMBER.scope(1, async move {
            let _notes = notes;
            yield_now().await;
            panic!("in a scope");
        }));
        assert!(panics.await.unwrap_err().is_panic());
        assert!(NUMBER.try_get().is_err());
    });
    assert_eq!(*seen.borrow(), [Some(1)]);

    panic_of(|| NUMBER.sync_scope(1, || panic!("in a closure")));
    assert!(NUMBER.try_get().is_err());
    NUMBER.sync_scope(2, || {
        panic_of(|| NUMBER.with(|_| panic!("in with")));
        assert_eq!(NUMBER.get(), 2);
    });
}

#[test]
fn without_a_value_there_is_an_error_or_a_panic() {
    let error = NUMBER.try_get().unwrap_err();
    assert_eq!(error.to_string(), "task-local value not set");
    assert!(NUMBER.try_with(|_| ()).is_err());
    let text = panic_of(|| NUMBER.get());
    assert!(text.contains("without setting it first"), "{text}");
}

#[test]
fn a_scope_inside_with_panics_and_keeps_its_value() {
    NUMBER.sync_scope(1, || {
        NUMBER.with(|number| {
            let text = panic_of(|| NUMBER.sync_scope(2, || ()));
            assert!(text.contains("is borrowed"), "{text}");
            let mut scope = pin!(NUMBER.scope(3, async {}));
            let context = &mut Context::from_waker(Waker::noop());
            let text = panic_of(|| scope.as_mut().poll(context));
            assert!(text.contains("is borrowed"), "{text}");
            assert_eq!(scope.take_value(), Some(3), "the scope still has its value");
            assert_eq!(*number, 1);
            assert_eq!(NUMBER.get(), 1, "reading may nest");
        });
        assert_eq!(NUMBER.get(), 1);
    });
}

#[test]
fn a_future_dropped_inside_with_is_dropped_without_its_value() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let notes = Notes(Rc::clone(&seen));
    let scope = NUMBER.scope(2, async move {
        let _notes = notes;
    });
    NUMBER.sync_scope(1, || NUMBER.with(|_| drop(scope)));
    // The destructor sees the value of the scope around it.
    assert_eq!(*seen.borrow(), [Some(1)]);
}

#[coreloop::test]
async fn the_value_can_be_taken_once() {
    let mut scope = pin!(NOTES.scope(Rc::default(), async {
        NOTES.with(|notes| notes.borrow_mut().push(7));
    }));
    scope.as_mut().await;
    let notes = scope.as_mut().take_value().unwrap();
    assert_eq!(*notes.borrow(), [7]);
    assert!(scope.as_mut().take_value().is_none());
}

#[test]
fn a_completed_scope_panics_when_polled() {
    let mut scope = pin!(NUMBER.scope(1, async {}));
    let context = &mut Context::from_waker(Waker::noop());
    assert!(scope.as_mut().poll(context).is_ready());
    let text = panic_of(|| scope.as_mut().poll(context));
    assert!(text.contains("polled after completion"), "{text}");
    assert!(NUMBER.try_get().is_err());
}

#[test]
fn a_value_may_read_its_key_when_it_is_dropped() {
    struct Looks(Rc<Cell<Option<bool>>>);

    impl Drop for Looks {
        fn drop(&mut self) {
            self.0.set(Some(LOOKS.try_with(|_| ()).is_ok()));
        }
    }

    coreloop::task_local! {
        static LOOKS: Looks;
    }

    let saw = Rc::new(Cell::new(None));
    LOOKS.sync_scope(Looks(Rc::clone(&saw)), || ());
    assert_eq!(saw.take(), Some(false));
    coreloop::block_on(LOOKS.scope(Looks(Rc::clone(&saw)), yield_now()));
    assert_eq!(saw.take(), Some(false));
}

#[test]
fn a_task_may_be_dropped_with_its_thread() {
    thread_local! {
        static LAST: RefCell<Option<Runtime>> = const { RefCell::new(None) };
    }

    std::thread::spawn(|| {
        let runtime = Runtime::new().unwrap();
        drop(runtime.spawn(NUMBER.scope(1, async {
            let _looks = Notes(Rc::default());
            pending::<()>().await;
        })));
        runtime.block_on(yield_now());
        LAST.set(Some(runtime));
    })
    .join()
    .unwrap();
}

/// Miri reports it if the destructor forms a shared reference to the whole future, because
/// that invalidates the references inside.
#[test]
fn a_dropped_future_may_contain_references_to_itself() {
    struct Adds<'a>(&'a mut u32);

    impl Drop for Adds<'_> {
        fn drop(&mut self) {
            *self.0 += NUMBER.get();
        }
    }

    let mut future = Box::pin(NUMBER.scope(1, async {
        let mut number = 1;
        let _adds = Adds(&mut number);
        pending::<()>().await;
    }));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(&mut cx).is_pending());
}

/// The value may have been dropped before a cleanup runs, so no cleanup sees it.
#[coreloop::test]
async fn a_cleanup_does_not_see_the_value() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let notes = Rc::clone(&seen);
    NUMBER
        .scope(1, async move {
            let number = NUMBER.get();
            drop(defer(async move {
                notes.borrow_mut().push((NUMBER.try_get().ok(), number));
            }));
            flush().await;
            assert_eq!(NUMBER.get(), 1);
        })
        .await;
    assert_eq!(*seen.borrow(), [(None, 1)]);
}
