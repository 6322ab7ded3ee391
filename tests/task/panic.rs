//! Panics wherever the runtime calls user code. None stops the loop, and each is returned
//! to the code that waits for it, or reported.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::io::{PipeReader, Read, Write, pipe};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use coreloop::io::Async;
use coreloop::runtime::Builder;
use coreloop::scope::scope;
use coreloop::task::{JoinHandle, JoinSet, yield_now};
use coreloop::time::{Sleep, sleep};
use coreloop::{Runtime, block_on, spawn};

use coreloop_test_support::on_drop::OnDrop;
use coreloop_test_support::panics;
use coreloop_test_support::reports::Reports;
use coreloop_test_support::wakers::{Call, calling};

/// The payload of a panic, which panics when it is dropped. The number says how many more
/// payloads follow one another in this way.
struct Bomb(u32);

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.0 > 0 {
            panic_any(Bomb(self.0 - 1));
        }
    }
}

/// Creates a runtime, and a log of the panics that it reports.
fn reporting() -> (Runtime, Reports) {
    let reports = Reports::new();
    (reports.builder().build().unwrap(), reports)
}

fn text(payload: &(dyn std::any::Any + Send)) -> &str {
    payload.downcast_ref::<&str>().copied().unwrap_or("no text")
}

fn panicking(when: Call) -> Waker {
    calling(move |call| assert!(call != when, "the waker panics"))
}

#[test]
fn a_panic_is_returned_by_the_handle_and_does_not_propagate() {
    block_on(async {
        let other = spawn(async {
            yield_now().await;
            "well"
        });
        let number = 5;
        let panicked = spawn(async move { panic!("number {number}") });
        let error = panicked.await.unwrap_err();
        assert!(error.is_panic() && !error.is_cancelled());
        assert!(
            error
                .to_string()
                .ends_with("panicked with message \"number 5\"")
        );
        let payload = error.into_panic();
        assert_eq!(payload.downcast_ref::<String>().unwrap(), "number 5");
        assert_eq!(other.await.unwrap(), "well");
    });
}

#[test]
fn a_panic_of_a_detached_task_does_not_stop_the_loop() {
    let (runtime, reports) = reporting();
    runtime.block_on(async {
        drop(spawn(async { panic!("unseen") }));
        yield_now().await;
    });
    assert_eq!(reports.messages(), ["unseen"]);
}

#[test]
fn a_panicked_future_is_dropped_before_its_handle_is_ready() {
    block_on(async {
        let dropped = Rc::new(Cell::new(false));
        let flag = Rc::clone(&dropped);
        let handle = spawn(async move {
            let _guard = OnDrop::new(move || flag.set(true));
            yield_now().await;
            panic!("with a guard");
        });
        let error: Result<(), _> = handle.await;
        assert!(error.unwrap_err().is_panic());
        assert!(dropped.get());
    });
}

/// A future that owns a guard, which is dropped with it and may panic.
struct Fragile<F: FnOnce()> {
    ready: bool,
    _guard: OnDrop<F>,
}

impl<F: FnOnce() + Unpin> Future for Fragile<F> {
    type Output = Vec<u8>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Vec<u8>> {
        if self.ready {
            Poll::Ready(vec![1, 2, 3])
        } else {
            Poll::Pending
        }
    }
}

fn fragile(ready: bool) -> Fragile<impl FnOnce() + Unpin> {
    Fragile {
        ready,
        _guard: OnDrop::new(|| panic!("in the destructor")),
    }
}

#[test]
fn a_panic_of_a_destructor_after_the_end_is_the_tasks_panic() {
    let (runtime, reports) = reporting();
    runtime.block_on(async {
        let error = spawn(fragile(true)).await.unwrap_err();
        assert_eq!(text(&*error.into_panic()), "in the destructor");
        assert!(reports.take().is_empty());
        drop(spawn(fragile(true)));
        yield_now().await;
    });
    assert_eq!(reports.messages(), ["in the destructor"]);
}

#[test]
fn a_panic_of_a_destructor_in_an_abort_is_the_tasks_panic() {
    block_on(async {
        let handle = spawn(fragile(false));
        yield_now().await;
        handle.abort();
        let error = handle.await.unwrap_err();
        assert!(error.is_panic() && !error.is_cancelled());
        assert_eq!(text(&*error.into_panic()), "in the destructor");
    });
}

#[test]
fn the_first_of_two_panics_is_returned() {
    struct Twice;

    impl Future for Twice {
        type Output = ();

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            panic!("in the poll")
        }
    }

    impl Drop for Twice {
        fn drop(&mut self) {
            panic!("in the destructor");
        }
    }

    block_on(async {
        let error = spawn(Twice).await.unwrap_err();
        assert_eq!(text(&*error.into_panic()), "in the poll");
    });
}

/// A future that panics when it is dropped after it was ready, and whose output panics
/// when it is dropped.
struct Both(bool);

impl Future for Both {
    type Output = OnDrop<fn()>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<OnDrop<fn()>> {
        self.0 = true;
        Poll::Ready(OnDrop::new(|| panic!("the output")))
    }
}

impl Drop for Both {
    fn drop(&mut self) {
        assert!(!self.0, "the future");
    }
}

#[test]
fn an_output_that_panics_when_dropped_does_not_stop_the_loop() {
    let (runtime, reports) = reporting();
    runtime.block_on(async {
        // At the end of a detached task.
        drop(spawn(async { OnDrop::new(|| panic!("unwanted")) }));
        yield_now().await;

        // With the handle.
        let handle = spawn(async { OnDrop::new(|| panic!("unwanted")) });
        yield_now().await;
        let ((), panics) = panics::recorded(|| drop(handle));
        assert_eq!(panics.len(), 1);
        assert!(panics[0].ends_with("unwanted"), "{}", panics[0]);

        // Along with the future.
        let error = spawn(Both(false)).await.err().unwrap();
        assert_eq!(text(&*error.into_panic()), "the future");
    });
    // The panic hook has printed these, and no task has panicked.
    assert!(reports.take().is_empty());
}

/// Two destructors that panic at the same time would abort the process.
#[test]
fn handles_are_dropped_together_though_every_output_panics_when_dropped() {
    async fn run(fragile: Vec<JoinHandle<OnDrop<impl FnOnce()>>>) {
        while !fragile.iter().all(JoinHandle::is_finished) {
            yield_now().await;
        }
        drop(fragile);
    }

    let dropped = Rc::new(Cell::new(0));
    let output = || {
        let count = Rc::clone(&dropped);
        OnDrop::new(move || {
            count.set(count.get() + 1);
            panic!("unwanted");
        })
    };
    let ((), panics) = panics::recorded(|| {
        let (runtime, reports) = reporting();
        runtime.block_on(async {
            run((0..3)
                .map(|_| spawn(std::future::ready(output())))
                .collect())
            .await;

            let mut set = JoinSet::new();
            for _ in 0..3 {
                set.spawn(std::future::ready(output()));
            }
            yield_now().await;
            drop(set);

            // A set that is dropped while a panic unwinds.
            let mut set = JoinSet::new();
            set.spawn(std::future::ready(output()));
            set.spawn(std::future::ready(output()));
            yield_now().await;
            let unwound = catch_unwind(AssertUnwindSafe(move || {
                let _set = set;
                panic!("the owner of the set");
            }));
            assert_eq!(text(&*unwound.unwrap_err()), "the owner of the set");
        });
        // Handles that outlive their runtime.
        let handles: Vec<_> = (0..3)
            .map(|_| runtime.spawn(std::future::ready(output())))
            .collect();
        runtime.block_on(yield_now());
        drop(runtime);
        drop(handles);
        assert!(reports.take().is_empty());
    });
    assert_eq!(dropped.get(), 11);
    assert_eq!(panics.len(), 12);
}

#[test]
fn a_handle_is_dropped_though_the_waker_that_it_keeps_panics() {
    block_on(async {
        let armed = Rc::new(Cell::new(false));
        let panics = Rc::clone(&armed);
        let waker = calling(move |call| assert!(call != Call::Drop || !panics.get()));
        let mut handles = [spawn(pending::<()>()), spawn(pending::<()>())];
        for handle in &mut handles {
            let context = &mut Context::from_waker(&waker);
            assert!(Pin::new(handle).poll(context).is_pending());
        }
        drop(waker);
        armed.set(true);
        drop(handles);
    });
}

#[test]
fn futures_that_keep_a_waker_are_dropped_though_it_panics() {
    let runtime = Runtime::new().unwrap();
    let fragile = || {
        let armed = Rc::new(Cell::new(false));
        let panics = Rc::clone(&armed);
        let waker = calling(move |call| assert!(call != Call::Drop || !panics.get()));
        (waker, armed)
    };
    let mut set = JoinSet::new();
    {
        let _guard = runtime.enter();
        set.spawn(pending::<()>());
    }
    let futures: [Pin<Box<dyn Future<Output = ()>>>; 3] = [
        Box::pin(async move { assert!(set.join_next().await.is_none()) }),
        Box::pin({
            let task = runtime.handle().spawn(pending::<()>);
            async move { task.await.unwrap() }
        }),
        Box::pin(scope(async |scope| {
            drop(scope.spawn(pending::<()>()));
        })),
    ];
    for mut future in futures {
        let (waker, armed) = fragile();
        let context = &mut Context::from_waker(&waker);
        assert!(future.as_mut().poll(context).is_pending());
        drop(waker);
        armed.set(true);
        drop(future);
    }
}

#[test]
fn a_payload_that_panics_when_dropped_does_not_stop_the_loop() {
    let (runtime, reports) = reporting();
    runtime.block_on(async {
        // The loop promises to drop a payload whose destructor panics with another
        // payload, but no deeper ones, without a leak.
        for depth in [0, 1] {
            drop(spawn(async move { panic_any(Bomb(depth)) }));
            yield_now().await;
            assert_eq!(reports.messages(), ["no text"]);

            let handle = spawn(async move { panic_any(Bomb(depth)) });
            yield_now().await;
            drop(handle);
            assert_eq!(reports.messages(), ["no text"]);

            let handle = spawn(async move {
                let _guard = OnDrop::new(move || {
                    if !std::thread::panicking() {
                        panic_any(Bomb(depth));
                    }
                });
                pending::<()>().await;
            });
            yield_now().await;
            handle.abort();
            drop(handle);
            yield_now().await;
            assert_eq!(reports.messages(), ["no text"]);
        }
    });
}

#[test]
fn a_panic_of_the_root_propagates_from_block_on() {
    let runtime = Runtime::new().unwrap();
    let task = runtime.spawn(async {
        yield_now().await;
        "survived"
    });
    let panic = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async { panic_any(17_u64) });
    }));
    assert_eq!(panic.unwrap_err().downcast_ref::<u64>(), Some(&17));
    assert_eq!(runtime.block_on(task).unwrap(), "survived");
}

#[test]
fn a_panic_of_the_roots_destructor_propagates_from_block_on() {
    let runtime = Runtime::new().unwrap();
    let panic = catch_unwind(AssertUnwindSafe(|| runtime.block_on(fragile(true))));
    assert_eq!(text(&*panic.unwrap_err()), "in the destructor");
    assert_eq!(runtime.block_on(async { 1 }), 1);
}

#[test]
fn a_waker_of_a_join_handle_that_panics_does_not_stop_the_loop() {
    let runtime = Runtime::new().unwrap();
    let mut handle = runtime.spawn(async { 4 });
    let waker = panicking(Call::Wake);
    assert!(
        Pin::new(&mut handle)
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    assert_eq!(runtime.block_on(handle).unwrap(), 4);
}

/// A panic while a waker is cloned propagates to the code that polls; the handle, timer
/// or descriptor still works.
#[test]
fn a_waker_that_panics_when_cloned_is_not_kept() {
    fn poll_panics<F: Future + Unpin>(future: &mut F) {
        let waker = panicking(Call::Clone);
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let _ = Pin::new(future).poll(&mut Context::from_waker(&waker));
        }));
        assert!(polled.is_err());
    }

    let runtime = Builder::new().start_paused(true).build().unwrap();
    let _guard = runtime.enter();
    let mut handle = runtime.spawn(async { 4 });
    poll_panics(&mut handle);
    assert_eq!(runtime.block_on(handle).unwrap(), 4);

    let mut timer = sleep(Duration::from_millis(1));
    poll_panics(&mut timer);
    assert!(
        Pin::new(&mut timer)
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    );
    poll_panics(&mut timer);
    runtime.block_on(timer);

    let (reader, mut writer) = pipe().unwrap();
    let reader = Async::new(reader).unwrap();
    poll_panics(&mut pin!(reader.readable()));
    poll_panics(&mut poll_fn(|context| reader.poll_readable(context)));
    writer.write_all(b"x").unwrap();
    runtime.block_on(reader.readable()).unwrap();
}

#[test]
fn timers_are_woken_though_a_waker_of_one_panics() {
    let runtime = Builder::new().start_paused(true).build().unwrap();
    let _guard = runtime.enter();
    let duration = Duration::from_millis(1);
    let mut timers: Vec<_> = (0..3).map(|_| sleep(duration)).collect();
    for timer in &mut timers {
        let waker = panicking(Call::Wake);
        assert!(
            Pin::new(timer)
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
    }
    runtime.block_on(sleep(duration));
    assert!(timers.iter().all(Sleep::is_elapsed));
}

#[test]
fn readers_are_woken_though_a_waker_of_one_panics() {
    block_on(async {
        let mut pipes: Vec<_> = (0..3)
            .map(|_| {
                let (reader, writer) = pipe().unwrap();
                (Async::new(reader).unwrap(), writer)
            })
            .collect();
        let reads: Vec<_> = pipes
            .iter_mut()
            .map(|(reader, writer)| {
                for _ in 0..2 {
                    let waker = panicking(Call::Wake);
                    let mut context = Context::from_waker(&waker);
                    assert!(reader.poll_readable(&mut context).is_pending());
                }
                let mut byte = [0];
                let mut read = Box::pin(
                    reader.read_with(move |mut reader: &PipeReader| reader.read_exact(&mut byte)),
                );
                assert!(
                    read.as_mut()
                        .poll(&mut Context::from_waker(Waker::noop()))
                        .is_pending()
                );
                writer.write_all(b"x").unwrap();
                read
            })
            .collect();
        for read in reads {
            read.await.unwrap();
        }
    });
}

/// A waker drops a source, and with it a waker whose destructor panics: the other events
/// of that turn are not lost.
#[test]
fn readers_are_woken_though_a_waker_panics_when_dropped() {
    for ends in [false, true] {
        let runtime = Runtime::new().unwrap();
        let guard = runtime.enter();
        let slot: Rc<RefCell<Vec<Async<PipeReader>>>> = Rc::default();
        let mut writers = Vec::new();
        let woken = Rc::new(Cell::new(0));
        for _ in 0..3 {
            let (reader, writer) = pipe().unwrap();
            let reader = Async::new(reader).unwrap();
            let (own, count) = (Rc::clone(&slot), Rc::clone(&woken));
            let waker = calling(move |call| {
                if call == Call::Wake {
                    count.set(count.get() + 1);
                    own.borrow_mut().pop();
                }
            });
            let mut context = Context::from_waker(&waker);
            assert!(reader.poll_readable(&mut context).is_pending());
            let armed = Rc::new(Cell::new(false));
            let panics = Rc::clone(&armed);
            let waker = calling(move |call| assert!(call != Call::Drop || !panics.get()));
            let mut context = Context::from_waker(&waker);
            assert!(reader.poll_writable(&mut context).is_pending());
            drop(waker);
            armed.set(true);
            slot.borrow_mut().push(reader);
            writers.push(writer);
        }
        drop(guard);
        for writer in &mut writers {
            writer.write_all(b"x").unwrap();
        }
        // Each waker drops the last source in the list, which may be its own or
        // another's.
        if !ends {
            runtime.turn(Some(Duration::ZERO)).unwrap();
        }
        drop(runtime);
        assert!(woken.get() >= 2, "{} were woken", woken.get());
        let rest = slot.take();
        assert!(catch_unwind(AssertUnwindSafe(|| drop(rest))).is_ok());
    }
}

/// No later turn could wake the other waiters of a runtime that ends, so all are woken at
/// once.
#[test]
fn the_end_of_the_runtime_wakes_all_though_a_waker_panics() {
    let runtime = Runtime::new().unwrap();
    let guard = runtime.enter();
    let pipes: Vec<_> = (0..3)
        .map(|_| {
            let (reader, writer) = pipe().unwrap();
            (Async::new(reader).unwrap(), writer)
        })
        .collect();
    drop(guard);
    let woken = Rc::new(Cell::new(0));
    for (reader, _) in &pipes {
        let count = Rc::clone(&woken);
        let waker = calling(move |call| {
            if call == Call::Wake {
                count.set(count.get() + 1);
                panic!("the waker panics");
            }
        });
        let mut context = Context::from_waker(&waker);
        assert!(reader.poll_readable(&mut context).is_pending());
    }
    drop(runtime);
    assert_eq!(woken.get(), 3);
}

#[test]
fn a_runtime_is_dropped_while_unwinding() {
    // The panic hook prints a backtrace for each panic, which takes Miri seven seconds.
    let tasks = if cfg!(miri) { 1 } else { 3 };
    let dropped = Rc::new(RefCell::new(0));
    let reports = Reports::new();
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let runtime = reports.builder().build().unwrap();
        for _ in 0..tasks {
            let dropped = Rc::clone(&dropped);
            drop(runtime.spawn(async move {
                let _guard = OnDrop::new(move || {
                    *dropped.borrow_mut() += 1;
                    panic!("while unwinding");
                });
                pending::<()>().await;
            }));
        }
        runtime.block_on(async {
            yield_now().await;
            panic!("the root");
        });
    }));
    assert_eq!(text(&*unwound.unwrap_err()), "the root");
    assert_eq!(*dropped.borrow(), tasks);
    assert_eq!(reports.messages(), vec!["while unwinding"; tasks]);
}

#[test]
fn a_panic_at_the_end_of_the_runtime_is_returned_by_the_handle() {
    let runtime = Runtime::new().unwrap();
    let handle = runtime.spawn(fragile(false));
    runtime.block_on(async { yield_now().await });
    drop(runtime);
    let error = block_on(handle).unwrap_err();
    assert_eq!(text(&*error.into_panic()), "in the destructor");
}
