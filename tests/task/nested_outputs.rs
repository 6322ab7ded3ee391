//! Outputs that own the handles of other tasks, whose outputs own further handles.

use std::cell::{Cell, RefCell};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use coreloop::runtime::UnhandledPanic;
use coreloop::scope::{MemberHandle, TaskGroup};
use coreloop::sync::oneshot;
use coreloop::task::{JoinHandle, JoinSet, RemoteJoinHandle, yield_now};
use coreloop::{Runtime, block_on, spawn};

use coreloop_test_support::deadline::yield_until;
use coreloop_test_support::on_drop::OnDrop;
use coreloop_test_support::panics::{recorded, text_of};
use coreloop_test_support::reports::Reports;

/// Enough links to overflow the stack if each is dropped within the one before.
const LINKS: u32 = if cfg!(miri) { 40 } else { 100_000 };

/// More links than the runtime drops recursively.
const DEEP: u32 = 30;

/// An output that owns the next link of the chain. Its own destructor runs first.
struct Link {
    _first: Option<OnDrop<Box<dyn FnOnce()>>>,
    _next: Option<Box<dyn std::any::Any>>,
}

impl Link {
    fn last() -> Link {
        Link {
            _first: None,
            _next: None,
        }
    }

    fn before(next: impl std::any::Any) -> Link {
        Link {
            _first: None,
            _next: Some(Box::new(next)),
        }
    }

    fn calling(mut self, call: impl FnOnce() + 'static) -> Link {
        self._first = Some(OnDrop::new(Box::new(call)));
        self
    }
}

/// Runs a task that returns `output` until it is finished, and returns its handle.
async fn finished<T: 'static>(output: T) -> JoinHandle<T> {
    let handle = spawn(async move { output });
    yield_until(|| handle.is_finished()).await;
    handle
}

/// Creates a chain of `links` tasks, each of which returned the handle of the one before.
/// `each` makes the output of a task from its number and the link that it owns.
async fn chain(links: u32, each: impl Fn(u32, Link) -> Link) -> JoinHandle<Link> {
    let mut handle = finished(each(0, Link::last())).await;
    for number in 1..links {
        handle = finished(each(number, Link::before(handle))).await;
    }
    handle
}

/// Creates a chain of [`DEEP`] tasks above a task that returned `end`.
async fn above(end: Link) -> JoinHandle<Link> {
    let mut handle = finished(end).await;
    for _ in 0..DEEP {
        handle = finished(Link::before(handle)).await;
    }
    handle
}

fn counting(dropped: &Rc<Cell<u32>>) -> impl Fn(u32, Link) -> Link + use<> {
    let dropped = Rc::clone(dropped);
    move |_, link| {
        let dropped = Rc::clone(&dropped);
        link.calling(move || dropped.set(dropped.get() + 1))
    }
}

#[test]
fn a_long_chain_of_join_handles_is_dropped_without_recursion() {
    let dropped = Rc::new(Cell::new(0));
    block_on(async {
        drop(chain(LINKS, counting(&dropped)).await);
        assert_eq!(
            dropped.get(),
            LINKS,
            "every output was dropped when `drop` returned"
        );
    });
}

#[test]
fn a_long_chain_is_dropped_after_its_runtime() {
    let dropped = Rc::new(Cell::new(0));
    let handle = block_on(chain(LINKS, counting(&dropped)));
    assert_eq!(dropped.get(), 0);
    drop(handle);
    assert_eq!(dropped.get(), LINKS);
}

#[test]
fn a_long_chain_is_dropped_at_the_end_of_a_detached_task() {
    let dropped = Rc::new(Cell::new(0));
    block_on(async {
        let handle = chain(LINKS, counting(&dropped)).await;
        drop(spawn(async move { Link::before(handle) }));
        yield_until(|| dropped.get() == LINKS).await;
    });
}

#[test]
fn a_long_chain_is_dropped_with_a_task_that_the_runtime_ends() {
    let dropped = Rc::new(Cell::new(0));
    let runtime = Runtime::new().unwrap();
    let handle = runtime.block_on(chain(LINKS, counting(&dropped)));
    drop(runtime.spawn(async move { drop(handle) }));
    drop(runtime);
    assert_eq!(dropped.get(), LINKS);
}

#[test]
fn a_long_chain_of_join_sets_is_dropped_without_recursion() {
    let dropped = Rc::new(Cell::new(0));
    block_on(async {
        let each = counting(&dropped);
        let mut set = JoinSet::new();
        let mut link = each(0, Link::last());
        for number in 0..LINKS {
            let member = set.spawn(async move { link });
            yield_until(|| member.is_finished()).await;
            link = Link::before(mem::take(&mut set));
            if number + 1 < LINKS {
                link = each(number, link);
            }
        }
        drop(link);
        assert_eq!(dropped.get(), LINKS);
    });
}

#[test]
fn a_long_chain_of_remote_join_handles_is_dropped_without_recursion() {
    /// The output of each task.
    struct Remote {
        _next: Option<RemoteJoinHandle<Remote>>,
    }

    // Turn by turn, because a loop with ready tasks takes spawn requests less often.
    let runtime = Runtime::new().unwrap();
    let mut link = Remote { _next: None };
    for _ in 0..LINKS {
        let handle = runtime.handle().spawn(move || async move { link });
        while !handle.is_finished() {
            runtime.turn(Some(Duration::ZERO)).unwrap();
        }
        link = Remote {
            _next: Some(handle),
        };
    }
    let thread = std::thread::spawn(move || drop(link));
    thread.join().unwrap();
}

#[test]
fn a_long_chain_of_member_handles_is_dropped_without_recursion() {
    /// The output of each member.
    struct Member {
        _next: Option<MemberHandle<Member, ()>>,
    }

    block_on(async {
        let mut group = TaskGroup::<()>::new();
        let mut link = Member { _next: None };
        let ended = Rc::new(Cell::new(0));
        for number in 0..LINKS {
            let ended = Rc::clone(&ended);
            let handle = group.spawn(async move {
                let _ended = OnDrop::new(|| ended.set(number + 1));
                Ok(link)
            });
            link = Member {
                _next: Some(handle),
            };
        }
        yield_until(|| ended.get() == LINKS).await;
        yield_now().await;
        drop(link);
    });
}

#[test]
fn a_long_chain_of_handles_and_channels_is_dropped_without_recursion() {
    let dropped = Rc::new(Cell::new(0));
    block_on(async {
        let each = counting(&dropped);
        let mut link = each(0, Link::last());
        for number in 1..LINKS {
            let handle = finished(link).await;
            let (sender, receiver) = oneshot::channel();
            assert!(sender.send(handle).is_ok());
            link = each(number, Link::before(receiver));
        }
        drop(link);
        assert_eq!(dropped.get(), LINKS);
    });
}

#[test]
fn an_output_a_few_levels_deep_is_dropped_before_the_drop_of_its_handle_returns() {
    let trace = Rc::new(RefCell::new(Vec::new()));
    block_on(async {
        let inner = {
            let trace = Rc::clone(&trace);
            finished(OnDrop::new(move || trace.borrow_mut().push("inner output"))).await
        };
        let outer = {
            let trace = Rc::clone(&trace);
            finished(OnDrop::new(move || {
                drop(inner);
                trace.borrow_mut().push("inner handle");
            }))
            .await
        };
        drop(outer);
        assert_eq!(*trace.borrow(), ["inner output", "inner handle"]);
    });
}

#[test]
fn outputs_are_dropped_on_their_thread_and_from_the_first_handle_to_the_last() {
    let order = Rc::new(RefCell::new(Vec::new()));
    block_on(async {
        let each = |number, link: Link| {
            let order = Rc::clone(&order);
            link.calling(move || order.borrow_mut().push(number))
        };
        drop(chain(DEEP, each).await);
        assert!(order.borrow().iter().copied().eq((0..DEEP).rev()));
    });
}

#[test]
fn sibling_handles_deep_in_a_chain_are_dropped_in_order() {
    let order = Rc::new(RefCell::new(Vec::new()));
    block_on(async {
        let mut many = Vec::new();
        for number in 0..4 {
            let order = Rc::clone(&order);
            let push = move || order.borrow_mut().push(number);
            many.push(chain(DEEP, |_, link| link).await);
            many.push(finished(Link::last().calling(push)).await);
        }
        drop(above(Link::before(many)).await);
        assert!(order.borrow().iter().copied().eq(0..4));
    });
}

#[test]
fn the_panic_of_each_destructor_is_reported_once_and_does_not_propagate() {
    let dropped = Rc::new(Cell::new(0));
    let each = |number, link: Link| {
        let dropped = Rc::clone(&dropped);
        link.calling(move || {
            dropped.set(dropped.get() + 1);
            panic!("destructor {number}");
        })
    };
    block_on(async {
        let handle = chain(DEEP, each).await;
        let ((), panics) = recorded(|| drop(handle));
        assert_eq!(dropped.get(), DEEP);
        assert_eq!(panics.len(), DEEP as usize);
        for (panic, number) in panics.iter().zip((0..DEEP).rev()) {
            assert!(panic.ends_with(&format!("destructor {number}")), "{panic}");
        }
    });
}

#[test]
fn destructors_may_panic_while_a_panic_drops_the_chain() {
    let dropped = Rc::new(Cell::new(0));
    let each = |_, link: Link| {
        let dropped = Rc::clone(&dropped);
        link.calling(move || {
            dropped.set(dropped.get() + 1);
            panic!("a destructor");
        })
    };
    block_on(async {
        let handle = chain(DEEP, each).await;
        let (text, panics) = recorded(|| {
            text_of(move || {
                let _handle = handle;
                panic!("the first");
            })
        });
        assert_eq!(text.as_deref(), Some("the first"));
        assert_eq!(dropped.get(), DEEP);
        assert_eq!(panics.len(), DEEP as usize + 1);
    });
}

#[test]
fn an_unjoined_panic_deep_in_a_chain_is_reported() {
    let reports = Reports::new();
    let runtime = reports.builder().build().unwrap();
    runtime.block_on(async {
        let panicked: JoinHandle<()> = spawn(async { panic!("at the end of the chain") });
        yield_until(|| panicked.is_finished()).await;
        let handle = above(Link::before(panicked)).await;
        assert!(reports.take().is_empty());
        drop(handle);
        assert_eq!(reports.messages(), ["at the end of the chain"]);
    });
}

#[test]
fn a_destructor_deep_in_a_chain_spawns_aborts_and_drops_its_runtime() {
    let runtime = Rc::new(RefCell::new(Some(Runtime::new().unwrap())));
    let ended = Rc::new(Cell::new(0));
    let link = {
        let borrowed = runtime.borrow();
        let (runtime, ended) = (Rc::clone(&runtime), Rc::clone(&ended));
        borrowed.as_ref().unwrap().block_on(async move {
            let own = Rc::new(RefCell::new(None));
            let waits = spawn({
                let on_drop = Rc::clone(&ended);
                async move {
                    let _on_drop = OnDrop::new(move || on_drop.set(on_drop.get() + 1));
                    std::future::pending::<()>().await;
                }
            });
            let (last, spawned) = (Rc::clone(&own), Rc::clone(&ended));
            let misuse = move || {
                let runtime: Option<Runtime> = runtime.take();
                let runtime = runtime.unwrap();
                waits.abort();
                drop(runtime.spawn(async move { spawned.set(spawned.get() + 10) }));
                let handle: Option<JoinHandle<Link>> = last.take();
                drop(handle);
                runtime.block_on(yield_now());
                drop(runtime);
                drop(waits);
            };
            *own.borrow_mut() = Some(chain(DEEP, |_, link| link).await);
            Link::before(above(Link::last().calling(misuse)).await)
        })
    };
    drop(link);
    assert!(runtime.borrow().is_none());
    assert_eq!(ended.get(), 11);
}

#[test]
#[cfg_attr(miri, ignore = "leaks by design")]
fn handles_deep_in_a_chain_may_be_forgotten() {
    let dropped = Rc::new(Cell::new(0));
    block_on(async {
        let forgotten = chain(DEEP, counting(&dropped)).await;
        let forget = move || mem::forget(forgotten);
        drop(above(Link::last().calling(forget)).await);
        assert_eq!(dropped.get(), 0);
        drop(chain(DEEP, counting(&dropped)).await);
        assert_eq!(dropped.get(), DEEP, "a later chain is dropped whole");
    });
}

/// Calls `call` in the destructor of an output that is nested in many others.
fn deep_in_a_chain(call: impl FnOnce() + 'static) {
    drop(block_on(above(Link::last().calling(call))));
}

#[test]
fn a_runtime_that_runs_deep_in_a_chain_drops_its_outputs_at_once() {
    let called = Rc::new(Cell::new(false));
    let inner = Rc::clone(&called);
    deep_in_a_chain(move || {
        let dropped = Rc::new(Cell::new(0));
        block_on(async {
            drop(chain(DEEP, counting(&dropped)).await);
            assert_eq!(dropped.get(), DEEP);
        });
        inner.set(true);
    });
    assert!(called.get());
}

#[test]
fn a_root_that_borrows_is_dropped_before_block_on_returns() {
    let called = Rc::new(Cell::new(false));
    let inner = Rc::clone(&called);
    deep_in_a_chain(move || {
        let reports = Reports::new();
        let policy = UnhandledPanic::ShutdownRuntime;
        let runtime = reports.builder().unhandled_panic(policy).build().unwrap();
        let mut dropped = false;
        let borrows = OnDrop::new(|| dropped = true);
        let text = text_of(|| {
            // The panic takes the place of the output, which is dropped.
            runtime.block_on(async {
                drop(spawn(async { panic!("instead of the output") }));
                yield_now().await;
                borrows
            });
        });
        assert!(dropped);
        assert_eq!(text.as_deref(), Some("instead of the output"));
        assert_eq!(reports.messages(), ["instead of the output"]);
        inner.set(true);
    });
    assert!(called.get());
}

#[test]
fn a_handle_of_another_thread_drops_the_output_when_it_is_dropped() {
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle();
    let dropped = OnDrop::new(|| panic!("the output of another thread's task"));
    let remote = handle.spawn(|| async move { dropped });
    runtime.block_on(yield_until(|| remote.is_finished()));
    let (outcome, panics) = recorded(|| catch_unwind(AssertUnwindSafe(|| drop(remote))));
    assert!(outcome.is_ok(), "the panic propagated");
    assert_eq!(panics.len(), 1);
}
