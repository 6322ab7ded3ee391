//! Generators: what the body sees, what the consumer sees, and every way out.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use coreloop::stream::{Closed, Co, generator, stream, try_stream};
use coreloop::task::coop::has_budget_remaining;
use coreloop::task::{JoinError, consume_budget, yield_now};
use coreloop::{for_await, join, select};
use futures_core::{FusedStream, Stream};
use futures_lite::StreamExt;
use futures_util::stream::FuturesUnordered;

use coreloop_test_support::panics::text;
use coreloop_test_support::waiter::{Waiter, ready};

/// What happened, in order.
#[derive(Clone, Default)]
struct Trace(Rc<RefCell<Vec<String>>>);

impl Trace {
    fn note(&self, what: impl Into<String>) {
        self.0.borrow_mut().push(what.into());
    }

    fn take(&self) -> Vec<String> {
        self.0.take()
    }

    /// Returns a value that notes `what` when it is dropped.
    fn on_drop(&self, what: &'static str) -> OnDrop {
        OnDrop(self.clone(), what)
    }
}

struct OnDrop(Trace, &'static str);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.note(self.1);
    }
}

fn join_message(error: JoinError) -> String {
    text(&*error.into_panic())
}

/// Polls once, without any runtime.
fn poll_once<S: Stream>(stream: Pin<&mut S>) -> Poll<Option<S::Item>> {
    stream.poll_next(&mut Context::from_waker(Waker::noop()))
}

#[coreloop::test]
async fn items_come_in_order_and_the_end_is_final() {
    let mut numbers = pin!(stream(async |mut co| {
        for number in 0..3 {
            yield_now().await;
            co.yield_(number).await?;
        }
        Ok(())
    }));
    assert_eq!(numbers.size_hint(), (0, None));
    for number in 0..3 {
        assert_eq!(numbers.next().await, Some(number));
    }
    assert!(!numbers.is_terminated());
    for _ in 0..3 {
        assert_eq!(numbers.next().await, None);
        assert!(numbers.is_terminated());
    }
    assert_eq!(numbers.size_hint(), (0, Some(0)));
}

#[coreloop::test]
async fn a_body_may_be_a_closure_with_an_async_block_and_borrow() {
    let words = vec![String::from("one"), String::from("two")];
    let borrowed = &words;
    let mut items = pin!(stream(|mut co: Co<&str>| async move {
        for word in borrowed {
            co.yield_(word).await?;
        }
        Ok(())
    }));
    assert_eq!(items.next().await, Some("one"));
    assert_eq!(items.next().await, Some("two"));
    assert_eq!(items.next().await, None);
}

#[test]
fn nothing_runs_before_the_first_poll_nor_between_two() {
    let trace = Trace::default();
    let mut items = pin!(stream(async |mut co| {
        trace.note("started");
        co.yield_(1).await?;
        trace.note("resumed");
        co.yield_(2).await?;
        Ok(())
    }));
    assert!(trace.take().is_empty());
    assert_eq!(poll_once(items.as_mut()), Poll::Ready(Some(1)));
    assert_eq!(trace.take(), ["started"]);
    assert_eq!(poll_once(items.as_mut()), Poll::Ready(Some(2)));
    assert_eq!(trace.take(), ["resumed"]);
    // None of this needs a runtime.
    assert_eq!(poll_once(items.as_mut()), Poll::Ready(None));
}

#[coreloop::test]
async fn each_yield_is_answered_by_its_send() {
    let mut echo = pin!(generator(async |mut co| {
        let mut heard = Vec::new();
        while heard.len() < 3 {
            let answer: String = co.yield_(heard.len()).await?;
            heard.push(answer);
        }
        assert_eq!(heard, ["a", "b", "c"]);
        Ok(())
    }));
    assert_eq!(echo.resume().await, Some(0));
    assert_eq!(echo.send("a".to_owned()).await, Some(1));
    assert_eq!(echo.send("b".to_owned()).await, Some(2));
    assert_eq!(echo.send("c".to_owned()).await, None);
    assert_eq!(echo.send("too late".to_owned()).await, None);
    assert_eq!(echo.resume().await, None);
}

#[coreloop::test]
async fn next_answers_with_the_default_as_python_sends_none() {
    let mut heard = pin!(generator(async |mut co| {
        let mut last = None;
        loop {
            last = co.yield_(last).await?;
        }
    }));
    assert_eq!(heard.next().await, Some(None::<u8>));
    assert_eq!(heard.send(Some(7)).await, Some(Some(7)));
    assert_eq!(heard.next().await, Some(None));
}

#[coreloop::test]
async fn a_result_as_answer_throws_into_the_body() {
    let mut retries = pin!(generator(async |mut co| {
        let mut attempt = 0;
        while let Err::<(), &str>(_why) = co.yield_(attempt).await? {
            attempt += 1;
        }
        Ok(())
    }));
    assert_eq!(retries.resume().await, Some(0));
    assert_eq!(retries.send(Err("busy")).await, Some(1));
    assert_eq!(retries.send(Err("busy")).await, Some(2));
    assert_eq!(retries.send(Ok(())).await, None);
}

#[coreloop::test]
async fn a_send_that_was_polled_and_dropped_has_answered() {
    let mut sums = pin!(generator(async |mut co| {
        let mut sum = 0;
        loop {
            let more: u32 = co.yield_(sum).await?;
            yield_now().await;
            sum += more;
        }
    }));
    assert_eq!(sums.resume().await, Some(0));
    // Never polled, so it has not answered.
    drop(sums.send(100));
    let polled = poll_fn(|context| Poll::Ready(pin!(sums.send(1)).poll(context))).await;
    assert!(polled.is_pending());
    assert_eq!(sums.resume().await, Some(1));
    assert_eq!(sums.send(2).await, Some(3));
}

#[coreloop::test]
async fn a_send_that_finds_the_budget_spent_keeps_its_answer() {
    let mut echo = pin!(generator(async |mut co| {
        let answer = co.yield_(0).await?;
        co.yield_(answer).await?;
        Ok(())
    }));
    assert_eq!(echo.resume().await, Some(0));
    while has_budget_remaining() {
        consume_budget().await;
    }
    assert_eq!(echo.send(7).await, Some(7));
}

#[test]
fn a_wrong_send_or_resume_panics_in_the_caller() {
    let caught = catch_unwind(|| {
        let mut unstarted = pin!(generator(async |mut co| {
            let _: u8 = co.yield_(()).await?;
            Ok(())
        }));
        drop(unstarted.send(1));
    });
    assert!(text(&*caught.unwrap_err()).contains("call `resume` or `next`"));
    let caught = catch_unwind(|| {
        let mut taken = pin!(stream(async |mut co| co.yield_(1).await));
        assert_eq!(poll_once(taken.as_mut()), Poll::Ready(Some(1)));
        drop(taken.resume());
    });
    assert!(text(&*caught.unwrap_err()).contains("call `send`"));
}

#[coreloop::test]
async fn an_error_is_the_last_item() {
    let mut items = pin!(try_stream(async |mut co| {
        co.yield_(1).await.map_err(|_| "closed")?;
        Err("broken")
    }));
    assert_eq!(items.next().await, Some(Ok(1)));
    assert_eq!(items.next().await, Some(Err("broken")));
    assert_eq!(items.next().await, None::<Result<i32, _>>);
    assert!(items.is_terminated());
}

#[coreloop::test]
async fn close_returns_the_result_of_a_body_that_may_fail() {
    let make = |end: Result<(), &'static str>| {
        try_stream(async move |mut co| {
            let closed = co.yield_(1).await;
            assert!(closed.is_err());
            yield_now().await;
            end
        })
    };
    for end in [Ok(()), Err("goodbye failed")] {
        let mut items = pin!(make(end));
        assert_eq!(items.next().await, Some(Ok(1)));
        assert_eq!(items.close().await, end);
        assert_eq!(items.close().await, Ok(()));
    }
    let mut unpolled = pin!(make(Err("never ran")));
    assert_eq!(unpolled.close().await, Ok(()));
}

#[coreloop::test]
async fn close_at_each_yield_lets_the_body_clean_up() {
    for stop in 0..5 {
        let trace = Trace::default();
        let mut items = pin!(stream(async |mut co| {
            let _local = trace.on_drop("local dropped");
            for number in 0..3 {
                if let Err(closed) = co.yield_(number).await {
                    trace.note("closed");
                    yield_now().await;
                    trace.note("awaited");
                    assert_eq!(co.yield_(9).await, Err(closed));
                    return Err(closed);
                }
            }
            trace.note("through");
            Ok(())
        }));
        for number in 0..stop {
            assert_eq!(items.next().await, (number < 3).then_some(number));
        }
        items.close().await;
        let expected: &[&str] = match stop {
            0 => &[],
            1..=3 => &["closed", "awaited", "local dropped"],
            _ => &["through", "local dropped"],
        };
        assert_eq!(trace.take(), expected, "{stop} items");
        assert_eq!(items.next().await, None);
        items.close().await;
        assert!(trace.take().is_empty());
    }
}

#[coreloop::test]
async fn close_before_the_first_poll_drops_the_body() {
    let trace = Trace::default();
    let held = trace.on_drop("captured dropped");
    let mut items = pin!(stream(async move |mut co| {
        let _held = held;
        unreachable!("the body ran: {:?}", co.yield_(()).await);
    }));
    items.close().await;
    assert_eq!(trace.take(), ["captured dropped"]);
    assert_eq!(items.next().await, None);
}

#[coreloop::test]
async fn close_waits_while_the_body_waits_for_something_else() {
    let trace = Trace::default();
    let gate = Cell::new(false);
    let mut items = pin!(stream(async |mut co| {
        trace.note("waits");
        poll_fn(|_| {
            if gate.get() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        trace.note("continues");
        let answer = co.yield_(1).await;
        trace.note("closed");
        answer
    }));
    assert!(poll_once(items.as_mut()).is_pending());
    {
        let mut closing = pin!(items.close());
        let mut context = Context::from_waker(Waker::noop());
        assert!(closing.as_mut().poll(&mut context).is_pending());
    }
    // The future of the close was dropped, but the generator stays closed.
    assert!(poll_once(items.as_mut()).is_pending());
    gate.set(true);
    items.close().await;
    assert_eq!(trace.take(), ["waits", "continues", "closed"]);
    assert_eq!(items.next().await, None);
}

/// Python raises a `RuntimeError` at "async generator ignored `GeneratorExit`".
#[coreloop::test]
async fn a_body_that_ignores_the_close_does_not_stop_the_loop() {
    let ignored = Cell::new(0);
    let mut items = pin!(stream(async |mut co| {
        loop {
            if co.yield_(0).await.is_err() {
                ignored.set(ignored.get() + 1);
            }
            if ignored.get() == 100 {
                return Ok(());
            }
        }
    }));
    assert_eq!(items.next().await, Some(0));
    let others = Rc::new(Cell::new(0));
    let counted = Rc::clone(&others);
    let other = coreloop::spawn(async move {
        loop {
            counted.set(counted.get() + 1);
            yield_now().await;
        }
    });
    items.close().await;
    assert!(others.get() > 90, "{}", others.get());
    other.abort();
}

#[test]
fn dropping_at_each_yield_drops_the_body_where_it_stands() {
    for stop in 0..4 {
        let trace = Trace::default();
        let mut items = Box::pin(stream(async |mut co| {
            let _first = trace.on_drop("first");
            co.yield_(trace.on_drop("item 1")).await?;
            let _second = trace.on_drop("second");
            co.yield_(trace.on_drop("item 2")).await?;
            trace.note("end");
            Ok(())
        }));
        for _ in 0..stop {
            drop(poll_once(items.as_mut()));
        }
        drop(items);
        let expected: &[&str] = match stop {
            0 => &[],
            1 => &["item 1", "first"],
            2 => &["item 1", "item 2", "second", "first"],
            _ => &["item 1", "item 2", "end", "second", "first"],
        };
        assert_eq!(trace.take(), expected, "{stop} polls");
    }
}

#[coreloop::test]
async fn a_panic_of_the_body_reaches_the_consumer_and_ends_the_generator() {
    let mut items = pin!(stream(async |mut co| {
        co.yield_(1).await?;
        yield_now().await;
        panic!("the body");
    }));
    assert_eq!(items.next().await, Some(1));
    let caught = poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| items.as_mut().poll_next(context)));
        match polled {
            Ok(Poll::Ready(item)) => panic!("no panic but {item:?}"),
            Ok(Poll::Pending) => Poll::Pending,
            Err(panic) => Poll::Ready(panic),
        }
    })
    .await;
    assert_eq!(text(&*caught), "the body");
    assert!(items.is_terminated());
    assert_eq!(items.next().await, None);
    items.close().await;
}

/// The item of the poll that panicked is not returned.
#[test]
fn a_panic_beside_a_yield_in_the_same_poll_ends_the_generator() {
    let mut items = pin!(stream(async |mut co| {
        join!(biased; co.yield_(1), async { panic!("beside the yield") }).0
    }));
    let caught = catch_unwind(AssertUnwindSafe(|| poll_once(items.as_mut())));
    assert_eq!(text(&*caught.unwrap_err()), "beside the yield");
    assert_eq!(poll_once(items.as_mut()), Poll::Ready(None));
}

#[test]
fn a_panic_in_a_destructor_of_the_body_ends_the_generator() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a destructor");
        }
    }
    let mut items = pin!(stream(async |mut co| {
        let _bomb = Bomb;
        co.yield_(1).await
    }));
    assert_eq!(poll_once(items.as_mut()), Poll::Ready(Some(1)));
    let caught = catch_unwind(AssertUnwindSafe(|| poll_once(items.as_mut())));
    assert_eq!(text(&*caught.unwrap_err()), "a destructor");
    assert_eq!(poll_once(items.as_mut()), Poll::Ready(None));
}

#[coreloop::test]
async fn a_panic_of_the_consumer_drops_the_generator() {
    let trace = Trace::default();
    let theirs = trace.clone();
    let task = coreloop::spawn(async move {
        for_await!(number in stream(async |mut co| {
            let _local = theirs.on_drop("local");
            co.yield_(1).await
        }) {
            panic!("the consumer of {number}");
        });
    });
    assert_eq!(join_message(task.await.unwrap_err()), "the consumer of 1");
    assert_eq!(trace.take(), ["local"]);
}

/// async-fn-stream #7: an emitter that was moved into a task hangs silently.
#[coreloop::test]
async fn a_yield_moved_into_a_task_panics_there_with_its_place() {
    let (sender, receiver) = futures_channel::oneshot::channel();
    let mut items = pin!(stream(async |mut co: Co<u8>| {
        let task = coreloop::spawn(async move { co.yield_(1).await });
        sender.send(task).unwrap();
        pending().await
    }));
    let mut context = Context::from_waker(Waker::noop());
    assert!(items.as_mut().poll_next(&mut context).is_pending());
    let line = line!() - 6;
    let message = join_message(receiver.await.unwrap().await.unwrap_err());
    assert!(
        message.contains(&format!("{}:{line}:", file!())),
        "{message}"
    );
    assert!(message.contains("a channel"), "{message}");
    // The task's item is withdrawn.
    assert!(items.as_mut().poll_next(&mut context).is_pending());
}

#[coreloop::test]
async fn a_yield_that_outlives_its_generator_panics() {
    let kept = RefCell::new(None);
    let mut items = pin!(stream(async |co: Co<u8>| {
        *kept.borrow_mut() = Some(co);
        Ok(())
    }));
    assert_eq!(items.next().await, None);
    let mut co = kept.take().unwrap();
    let task = coreloop::spawn(async move { co.yield_(1).await });
    assert!(task.await.unwrap_err().is_panic());
}

/// async-stream #106: the item reached the wrong generator, of another type.
#[coreloop::test]
async fn a_yield_awaited_in_an_inner_generator_reaches_its_own_generator() {
    let mut outer = pin!(stream(async |mut outer| {
        let yield_42 = outer.yield_(42_usize);
        let mut inner = pin!(stream(async |mut inner| {
            inner.yield_(Box::new(12345)).await?;
            yield_42.await?;
            inner.yield_(Box::new(54321)).await
        }));
        let mut boxes = Vec::new();
        while let Some(number) = inner.next().await {
            boxes.push(*number);
        }
        assert_eq!(boxes, [12345, 54321]);
        Ok(())
    }));
    assert_eq!(outer.next().await, Some(42));
    assert_eq!(outer.next().await, None);
}

#[coreloop::test]
async fn yields_alternate_between_an_inner_and_an_outer_generator() {
    let mut outer = pin!(stream(async |mut outer| {
        let inner = stream(async |mut inner| {
            for number in 0..3 {
                outer.yield_(format!("from inside {number}")).await?;
                inner.yield_(number).await?;
            }
            Ok(())
        });
        let mut sum = 0;
        for_await!(number in inner {
            sum += number;
        });
        assert_eq!(sum, 3);
        Ok(())
    }));
    for number in 0..3 {
        assert_eq!(outer.next().await.unwrap(), format!("from inside {number}"));
    }
    assert_eq!(outer.next().await, None);
}

/// genawaiter hangs here: `FuturesUnordered` polls a child only if the child was woken.
#[coreloop::test]
async fn a_yield_may_wait_in_a_set_that_has_its_own_wakers() {
    let mut items = pin!(stream(async |mut co| {
        let yields: FuturesUnordered<_> = [async {
            for number in 0..40 {
                co.yield_(number).await?;
                if number % 3 == 0 {
                    yield_now().await;
                }
            }
            Ok::<(), Closed>(())
        }]
        .into_iter()
        .collect();
        let ended: Vec<_> = yields.collect().await;
        assert_eq!(ended, [Ok(())]);
        Ok(())
    }));
    for number in 0..40 {
        assert_eq!(items.next().await, Some(number));
    }
    assert_eq!(items.next().await, None);
}

#[coreloop::test]
async fn close_wakes_a_yield_in_a_set() {
    let mut items = pin!(stream(async |mut co| {
        let yields: FuturesUnordered<_> = [co.yield_(1)].into_iter().collect();
        let ended: Vec<_> = yields.collect().await;
        assert!(ended[0].is_err());
        Ok(())
    }));
    assert_eq!(items.next().await, Some(1));
    items.close().await;
}

#[coreloop::test]
async fn a_yield_works_in_select_and_join() {
    let mut items = pin!(stream(async |mut co| {
        let mut ticks = 0;
        for number in 0..3 {
            let (answer, ()) = join!(co.yield_(number), async {
                for _ in 0..3 {
                    yield_now().await;
                    ticks += 1;
                }
            });
            answer?;
        }
        assert_eq!(ticks, 9);
        select! {
            answer = co.yield_(3) => answer,
            () = pending() => unreachable!(),
        }
    }));
    let mut seen = Vec::new();
    while let Some(number) = items.next().await {
        seen.push(number);
    }
    assert_eq!(seen, [0, 1, 2, 3]);
}

#[coreloop::test]
async fn a_yield_dropped_before_its_item_is_seen_withdraws_the_item() {
    let trace = Trace::default();
    let mut items = pin!(stream(async |mut co| {
        select! {
            biased;
            _ = co.yield_((1, trace.on_drop("withdrawn"))) => unreachable!(),
            () = std::future::ready(()) => {}
        }
        assert_eq!(trace.take(), ["withdrawn"]);
        co.yield_((2, trace.on_drop("given"))).await
    }));
    let item = items.next().await.unwrap();
    assert_eq!((item.0, trace.take().len()), (2, 0));
    drop(item);
    assert_eq!(trace.take(), ["given"]);
    assert!(items.next().await.is_none());
}

#[coreloop::test]
async fn a_yield_dropped_after_its_item_was_seen_loses_only_the_answer() {
    let mut items = pin!(generator(async |mut co| {
        let mut polls = 0;
        select! {
            biased;
            () = poll_fn(|_| { polls += 1; if polls == 2 { Poll::Ready(()) } else { Poll::Pending } }) => {}
            _ = co.yield_("seen") => unreachable!(),
        }
        let answer: u32 = co.yield_("next").await?;
        assert_eq!(answer, 2);
        Ok(())
    }));
    assert_eq!(items.resume().await, Some("seen"));
    assert_eq!(items.send(1).await, Some("next"));
    assert_eq!(items.send(2).await, None);
}

#[coreloop::test]
async fn a_yield_that_was_leaked_is_replaced_by_the_next() {
    let mut items = pin!(stream(async |mut co| {
        let mut leaked = ManuallyDrop::new(co.yield_("leaked"));
        let leaked = &mut *leaked;
        let polled = poll_fn(|context| Poll::Ready(Pin::new(&mut *leaked).poll(context))).await;
        assert!(polled.is_pending());
        co.yield_("next").await?;
        co.yield_("last").await
    }));
    assert_eq!(items.next().await, Some("next"));
    assert_eq!(items.next().await, Some("last"));
    assert_eq!(items.next().await, None);
}

#[coreloop::test]
async fn a_yield_polled_again_in_the_same_poll_stays_one_item() {
    let mut items = pin!(stream(async |mut co| {
        {
            let mut twice = pin!(co.yield_(1));
            poll_fn(|context| {
                if twice.as_mut().poll(context).is_ready() {
                    return Poll::Ready(());
                }
                twice.as_mut().poll(context).map(|_| ())
            })
            .await;
        }
        co.yield_(2).await
    }));
    assert_eq!(items.next().await, Some(1));
    assert_eq!(items.next().await, Some(2));
    assert_eq!(items.next().await, None);
}

/// A generator has only one `&mut`, so the second poll can only be tried through a
/// `RefCell`, which refuses it.
#[coreloop::test]
async fn a_generator_cannot_be_polled_from_inside_itself() {
    type Items = Pin<Box<dyn Stream<Item = bool>>>;
    let shared: Rc<RefCell<Option<Items>>> = Rc::default();
    let inside = Rc::clone(&shared);
    let items = stream(async move |mut co| {
        let refused = inside.try_borrow_mut().is_err();
        co.yield_(refused).await
    });
    *shared.borrow_mut() = Some(Box::pin(items));
    let item = poll_fn(|context| {
        let mut items = shared.borrow_mut();
        items.as_mut().unwrap().as_mut().poll_next(context)
    })
    .await;
    assert_eq!(item, Some(true));
    shared.take();
}

#[coreloop::test]
async fn a_generator_may_move_between_tasks() {
    let mut items = Box::pin(stream(async |mut co| {
        for number in 0..4 {
            yield_now().await;
            co.yield_(number).await?;
        }
        Ok(())
    }));
    for expected in 0..4 {
        let task = coreloop::spawn(async move {
            let item = items.next().await;
            (item, items)
        });
        let (item, back) = task.await.unwrap();
        assert_eq!(item, Some(expected));
        items = back;
    }
    assert_eq!(items.next().await, None);
}

struct Tree(u32, Vec<Tree>);

fn walk(tree: &Tree) -> Pin<Box<dyn Stream<Item = u32> + '_>> {
    Box::pin(stream(async |mut co| {
        co.yield_(tree.0).await?;
        for branch in &tree.1 {
            for_await!(number in walk(branch) {
                co.yield_(number).await?;
            });
        }
        Ok(())
    }))
}

#[coreloop::test]
async fn a_generator_may_contain_itself() {
    let leaf = |number| Tree(number, Vec::new());
    let tree = Tree(1, vec![Tree(2, vec![leaf(3), leaf(4)]), leaf(5)]);
    let numbers: Vec<_> = walk(&tree).collect().await;
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
}

#[test]
fn the_waker_of_the_last_poll_is_woken() {
    let gate: Rc<RefCell<(bool, Option<Waker>)>> = Rc::default();
    let inside = Rc::clone(&gate);
    let mut items = Box::pin(stream(async move |mut co| {
        poll_fn(|context| {
            let mut gate = inside.borrow_mut();
            if gate.0 {
                return Poll::Ready(());
            }
            gate.1 = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
        co.yield_(1).await
    }));
    let mut first = Waiter::new(poll_fn(|context| items.as_mut().poll_next(context)));
    assert!(first.poll().is_pending());
    assert!(first.poll_afresh().is_pending());
    let opened = {
        let mut gate = gate.borrow_mut();
        gate.0 = true;
        gate.1.take()
    };
    opened.unwrap().wake();
    assert!(first.is_woken());
    assert_eq!(ready(first.poll_afresh()), Some(1));
    // The generator does not keep the consumer's waker, which the next poll provides
    // again.
    assert_eq!(first.wakers(), 0);
    assert_eq!(ready(first.poll_afresh()), None);
}

#[coreloop::test]
#[cfg_attr(miri, ignore = "hundreds of items, in safe code")]
async fn an_endless_generator_lets_others_run() {
    let others = Rc::new(Cell::new(0));
    let counted = Rc::clone(&others);
    let other = coreloop::spawn(async move {
        loop {
            counted.set(counted.get() + 1);
            yield_now().await;
        }
    });
    let mut numbers = pin!(stream(async |mut co| {
        for number in 0.. {
            co.yield_(number).await?;
        }
        Ok(())
    }));
    // A poll yields 128 items, one for each unit of the budget.
    let polls = if cfg!(miri) { 4 } else { 100 };
    while numbers.next().await.unwrap() < 128 * polls {}
    let turns = others.get();
    assert!((polls - 1..=polls).contains(&turns), "{turns}");

    // Short generators spend the budget, too.
    let before = others.get();
    for _ in 0..300 {
        assert_eq!(
            pin!(stream(async |mut co| co.yield_(1).await)).next().await,
            Some(1)
        );
    }
    assert!(others.get() > before, "{before}");
    other.abort();
}
