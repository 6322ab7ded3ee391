//! `join!`, `try_join!` and `pin!`: waiting for several futures in one task.

use std::cell::{Cell, RefCell};
use std::future::{Ready, pending, poll_fn, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use coreloop::task::{consume_budget, yield_now};
use coreloop::time::{Instant, sleep};
use coreloop::{join, pin, select, try_join};

/// The events of a test, in order.
type Trace = Rc<RefCell<Vec<&'static str>>>;

/// A value that notes when it is dropped.
struct Noted(&'static str, Trace);

impl Drop for Noted {
    fn drop(&mut self) {
        self.1.borrow_mut().push(self.0);
    }
}

async fn wait<T>(seconds: u64, value: T) -> T {
    sleep(Duration::from_secs(seconds)).await;
    value
}

#[coreloop::test(start_paused = true)]
async fn futures_run_concurrently_and_outputs_are_in_their_order() {
    let start = Instant::now();
    let outputs = join!(wait(2, 'a'), wait(1, 'b'), ready("c"), wait(3, 'd'));
    assert_eq!(outputs, ('a', 'b', "c", 'd'));
    assert_eq!(start.elapsed().as_secs(), 3);

    let outputs = try_join!(async { Ok::<_, ()>(wait(2, 1_u8).await) }, async {
        Ok(wait(2, "two").await)
    },);
    assert_eq!(outputs, Ok((1, "two")));
    assert_eq!(start.elapsed().as_secs(), 5);
}

struct Late;

impl IntoFuture for Late {
    type Output = u8;
    type IntoFuture = Ready<u8>;

    fn into_future(self) -> Ready<u8> {
        ready(3)
    }
}

#[coreloop::test]
async fn every_form_is_accepted() {
    let () = join!();
    let () = join!(biased;);
    assert_eq!(join!(ready(1)), (1,));
    assert_eq!(join!(ready(1), ready(2),), (1, 2));
    assert_eq!(join!(biased; ready(1), ready(2)), (1, 2));
    assert_eq!(try_join!(), Ok::<(), ()>(()));
    assert_eq!(try_join!(biased;), Ok::<(), ()>(()));
    assert_eq!(try_join!(ready(Ok::<_, ()>(1))), Ok((1,)));
    assert_eq!(
        try_join!(biased; ready(Ok(1)), ready(Err::<u8, _>("no")),),
        Err("no")
    );

    // A value that becomes a future, a future that is pinned elsewhere, and a task.
    let pinned = async { 4 };
    pin!(pinned);
    let outputs = join!(Late, pinned.as_mut(), coreloop::spawn(async { 5 }));
    assert_eq!((outputs.0, outputs.1, outputs.2.unwrap()), (3, 4, 5));
}

#[coreloop::test]
async fn futures_may_borrow_and_a_question_mark_returns_from_the_function() {
    async fn sum(numbers: &RefCell<Vec<u8>>) -> Result<u8, String> {
        let push = async |number| {
            yield_now().await;
            numbers.borrow_mut().push(number);
            Ok::<_, String>(number)
        };
        let (one, two) = try_join!(push(1), push(2))?;
        try_join!(push(3), async { Err::<(), _>("lost".to_owned()) })?;
        Ok(one + two)
    }
    let numbers = RefCell::default();
    assert_eq!(sum(&numbers).await, Err("lost".to_owned()));
    // In the second poll, the second future is polled first. The third future pushed
    // nothing.
    assert_eq!(numbers.into_inner(), [2, 1]);
}

#[coreloop::test]
async fn the_first_error_in_time_wins_and_drops_the_rest_in_order() {
    let trace = Trace::default();
    let noted = |name| Noted(name, Rc::clone(&trace));
    let (first, second, third) = (noted("first"), noted("second"), noted("third"));
    let result = try_join!(
        async move {
            let _held = first;
            pending::<Result<(), &str>>().await
        },
        async move {
            let _held = second;
            yield_now().await;
            yield_now().await;
            Err::<(), _>("late")
        },
        async move {
            let held = third;
            yield_now().await;
            drop(held);
            Err::<(), _>("early")
        },
    );
    assert_eq!(result, Err("early"));
    assert_eq!(trace.take(), ["third", "first", "second"]);
}

#[coreloop::test]
async fn a_completed_future_is_dropped_while_the_others_wait() {
    let trace = Trace::default();
    let (held, output) = (
        Noted("held", Rc::clone(&trace)),
        Noted("output", Rc::clone(&trace)),
    );
    let task = coreloop::spawn(async move {
        join!(
            async move {
                let _held = held;
                output
            },
            pending::<()>()
        );
    });
    yield_now().await;
    assert_eq!(trace.take(), ["held"]);
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(trace.take(), ["output"]);
}

#[coreloop::test]
async fn a_completed_future_is_not_polled_again() {
    // `Ready` panics in a second poll.
    let (one, ()) = join!(ready(1), async {
        yield_now().await;
        yield_now().await;
    });
    assert_eq!(one, 1);
}

/// Returns the names of the branches that `run` polls, in order. Each branch is ready in
/// its fourth poll.
async fn polled(run: impl AsyncFnOnce(&dyn Fn(char) -> Branch)) -> String {
    let trace = Rc::new(RefCell::new(String::new()));
    let branch = |name| Branch {
        name,
        polls: Cell::new(0),
        trace: Rc::clone(&trace),
    };
    run(&branch).await;
    trace.take()
}

struct Branch {
    name: char,
    polls: Cell<u8>,
    trace: Rc<RefCell<String>>,
}

impl Future for Branch {
    type Output = Result<(), ()>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), ()>> {
        self.trace.borrow_mut().push(self.name);
        self.polls.set(self.polls.get() + 1);
        context.waker().wake_by_ref();
        if self.polls.get() < 4 {
            Poll::Pending
        } else {
            Poll::Ready(Ok(()))
        }
    }
}

#[coreloop::test]
async fn another_branch_is_first_in_each_poll_unless_biased() {
    let order = polled(async |b| _ = join!(b('a'), b('b'), b('c'))).await;
    assert_eq!(order, "abcbcacababc");
    let order = polled(async |b| _ = try_join!(b('a'), b('b'), b('c'))).await;
    assert_eq!(order, "abcbcacababc");
    let order = polled(async |b| _ = join!(biased; b('a'), b('b'), b('c'))).await;
    assert_eq!(order, "abcabcabcabc");
    let order = polled(async |b| _ = try_join!(biased; b('a'), b('b'), b('c'))).await;
    assert_eq!(order, "abcabcabcabc");
}

#[coreloop::test]
async fn a_future_that_spends_the_budget_does_not_starve_the_others() {
    let done = Cell::new(false);
    let greedy = async {
        let mut rounds = 0;
        while !done.get() {
            consume_budget().await;
            rounds += 1;
            assert!(rounds < 100_000, "the other future never runs");
        }
    };
    let modest = async {
        consume_budget().await;
        done.set(true);
    };
    join!(greedy, modest);
}

#[coreloop::test]
async fn joins_and_selects_nest() {
    let value = select! {
        (one, (two,)) = async { join!(ready(1), async { join!(ready(2)) }) } => one + two,
        () = pending() => 0,
    };
    assert_eq!(value, 3);
}

#[test]
fn joins_work_on_another_executor() {
    let mut polls = 0;
    let both = futures_lite::future::block_on(async {
        join!(
            ready(1),
            poll_fn(|context| {
                polls += 1;
                context.waker().wake_by_ref();
                if polls < 3 {
                    Poll::Pending
                } else {
                    Poll::Ready(2)
                }
            })
        )
    });
    assert_eq!(both, (1, 2));
}

#[coreloop::test]
async fn pin_takes_variables_and_declarations() {
    let (first, second) = (async { 1 }, async { 2 });
    pin!(first, second);
    let polled: Pin<&mut _> = first.as_mut();
    assert_eq!(polled.await + second.await, 3);

    let text = String::from("borrowed");
    pin! {
        let third = async { text.len() };
        let fourth = async { text.is_empty() };
    }
    assert_eq!(((&mut third).await, fourth.await), (8, false));
}

#[test]
fn a_pinned_value_is_dropped_at_the_end_of_the_block() {
    let trace = Trace::default();
    {
        let value = Noted("dropped", Rc::clone(&trace));
        pin!(value);
        assert_eq!(value.0, "dropped");
        trace.borrow_mut().push("in the block");
    }
    assert_eq!(trace.take(), ["in the block", "dropped"]);
}

#[test]
fn a_join_takes_no_more_space_than_its_futures_or_outputs() {
    let future = |values: [u64; 32]| async move {
        yield_now().await;
        values[0]
    };
    let (first, second) = (future([1; 32]), future([2; 32]));
    let sizes = size_of_val(&first) + size_of_val(&second);
    let both = async move { join!(first, second) };
    let size = size_of_val(&both);
    // The futures that are moved in, and the places where they are polled.
    assert!(
        size <= 2 * sizes + 96,
        "{size} bytes, and {sizes} of the futures"
    );
    assert_eq!(coreloop::block_on(both), (1, 2));
}
