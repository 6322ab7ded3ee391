//! `select!`: which branch wins, what happens to the others, and that handlers belong to
//! the function around it.

use std::cell::{Cell, RefCell};
use std::future::{IntoFuture, Ready, pending, poll_fn, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use coreloop::sync::Notify;
use coreloop::task::coop::{has_budget_remaining, poll_proceed};
use coreloop::task::yield_now;
use coreloop::time::{Instant, sleep};
use coreloop::{pin, select};

/// The events of a test, in order.
#[derive(Clone, Default)]
struct Trace(Rc<RefCell<Vec<&'static str>>>);

impl Trace {
    fn note(&self, event: &'static str) {
        self.0.borrow_mut().push(event);
    }

    fn value<T>(&self, event: &'static str, value: T) -> T {
        self.note(event);
        value
    }

    fn taken(&self) -> Vec<&'static str> {
        self.0.take()
    }
}

/// A future that notes when it is polled and dropped, and is never ready.
struct Loser {
    names: [&'static str; 2],
    trace: Trace,
}

impl Loser {
    fn new(names: [&'static str; 2], trace: &Trace) -> Loser {
        Loser {
            names,
            trace: trace.clone(),
        }
    }
}

impl Future for Loser {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        self.trace.note(self.names[0]);
        Poll::Pending
    }
}

impl Drop for Loser {
    fn drop(&mut self) {
        self.trace.note(self.names[1]);
    }
}

#[coreloop::test]
async fn the_first_to_be_ready_wins() {
    let (first, second) = (Notify::new(), Notify::new());
    for round in 0..4 {
        let ready = if round % 2 == 0 { &first } else { &second };
        ready.notify_one();
        let won = select! {
            () = first.notified() => 0,
            () = second.notified() => 1,
        };
        assert_eq!(won, round % 2);
    }
}

#[coreloop::test(start_paused = true)]
async fn a_branch_that_waits_wakes_the_task() {
    let start = Instant::now();
    let won = select! {
        () = sleep(Duration::from_secs(3)) => "late",
        () = sleep(Duration::from_secs(1)) => "early",
        () = pending() => "never",
    };
    assert_eq!((won, start.elapsed().as_secs()), ("early", 1));
}

#[coreloop::test]
async fn handlers_take_every_form() {
    let value = select! { x = ready(1) => x };
    assert_eq!(value, 1);
    let value = select! { x = ready(1) => x, };
    assert_eq!(value, 1);
    let value = select! { x = ready(1) => { x + 1 } };
    assert_eq!(value, 2);
    let value = select! {
        biased;
        x = ready(1), if true => { x + 1 },
        x = ready(1), if true => { x + 2 }
        x = ready(1), if true => x + 3,
        x = ready(1) => if x == 1 { 4 } else { 5 },
        _ = pending::<()>() => async { 7 }.await,
        else => 6
    };
    assert_eq!(value, 2);
    // As a statement, with nothing after it.
    select! {
        () = ready(()) => {}
        () = ready(()) => {}
    }
    let value = select! { else => 3 };
    assert_eq!(value, 3);
    let value = select! { biased; else => { 4 }, };
    assert_eq!(value, 4);
}

#[coreloop::test]
async fn every_kind_of_pattern_is_accepted() {
    struct Pair {
        left: String,
        right: Option<u8>,
    }
    let pair = || {
        ready(Pair {
            left: "left".to_owned(),
            right: Some(1),
        })
    };

    select! {
        Pair { mut left, right: Some(ref number @ 1..=9) } = pair() => {
            left.push('!');
            assert_eq!((left.as_str(), *number), ("left!", 1));
        }
        else => unreachable!(),
    }
    select! {
        Pair { ref mut left, .. } = pair() => left.clear(),
    }
    select! {
        Ok(&number) | Err(number) = ready(Ok::<&u8, u8>(&3)) => assert_eq!(number, 3),
        else => unreachable!(),
    }
    select! {
        [first, .., last] = ready([1, 2, 3]) => assert_eq!((first, last), (1, 3)),
    }
    select! {
        Some("word") = ready(Some("other")) => unreachable!(),
        (1 | 2, u8::MAX) = ready((2, 255)) => {}
        else => unreachable!(),
    }
    // A value that the pattern moves out is moved once.
    let Some(boxed) =
        (select! { Some(boxed) = ready(Some(Box::new(5))) => Some(boxed), else => None })
    else {
        unreachable!()
    };
    assert_eq!(*boxed, 5);
}

#[coreloop::test]
async fn no_match_disables_a_branch_and_drops_its_output() {
    struct Noted(Trace, u8);

    impl Drop for Noted {
        fn drop(&mut self) {
            self.0.note("output dropped");
        }
    }

    let trace = Trace::default();
    let mut polls = 0;
    let value = select! {
        biased;
        Noted(_, 1) = ready(Noted(trace.clone(), 2)) => unreachable!(),
        // Ready in the third poll. The first branch is not polled again, or `Ready` would
        // panic.
        () = poll_fn(|context| {
            polls += 1;
            context.waker().wake_by_ref();
            if polls < 3 { Poll::Pending } else { Poll::Ready(()) }
        }) => trace.value("handler", 7),
    };
    assert_eq!((value, polls), (7, 3));
    assert_eq!(trace.taken(), ["output dropped", "handler"]);
}

#[coreloop::test]
async fn refutable_patterns_end_in_else() {
    let mut streams = (vec![1, 2, 3].into_iter(), vec![4, 5, 6].into_iter());
    let mut values = Vec::new();
    loop {
        select! {
            Some(value) = ready(streams.0.next()) => values.push(value),
            Some(value) = ready(streams.1.next()) => values.push(value),
            else => break,
        }
    }
    values.sort_unstable();
    // A value whose branch lost is dropped with its future. No value comes twice.
    assert!(values.len() >= 3 && values.len() <= 6);
    values.dedup();
    assert!(values.len() >= 3);
}

#[coreloop::test]
#[should_panic(expected = "all branches are disabled and there is no else branch")]
async fn a_select_without_an_enabled_branch_or_else_panics() {
    select! {
        Some(()) = ready(None) => {}
        () = pending(), if false => {}
    }
}

#[coreloop::test]
async fn conditions_come_first_and_once_then_all_futures() {
    let trace = Trace::default();
    let notify = Notify::new();
    notify.notify_one();
    select! {
        biased;
        () = trace.value("future 0", pending()), if trace.value("condition 0", true) => {}
        () = trace.value("future 1", ready(())), if trace.value("condition 1", false) => unreachable!(),
        () = trace.value("future 2", yield_now()), if trace.value("condition 2", true) => {
            trace.note("handler 2");
        }
    }
    assert_eq!(
        trace.taken(),
        [
            "condition 0",
            "condition 1",
            "condition 2",
            "future 0",
            "future 1",
            "future 2",
            "handler 2"
        ]
    );
}

// tokio documents this loop, in which another condition is false in each round.
#[coreloop::test]
async fn biased_polls_the_branches_in_the_order_as_written() {
    let mut count = 0;
    loop {
        select! {
            biased;
            () = async {}, if count < 1 => { count += 1; assert_eq!(count, 1); }
            () = async {}, if count < 2 => { count += 1; assert_eq!(count, 2); }
            () = async {}, if count < 3 => { count += 1; assert_eq!(count, 3); }
            else => break,
        }
    }
    assert_eq!(count, 3);
}

#[coreloop::test]
async fn losers_are_dropped_in_order_before_the_handler() {
    let trace = Trace::default();
    let first = Loser::new(["first polled", "first dropped"], &trace);
    let second = Loser::new(["second polled", "second dropped"], &trace);
    select! {
        biased;
        () = first => {}
        () = ready(()) => trace.note("handler"),
        () = second => {}
    }
    assert_eq!(
        trace.taken(),
        ["first polled", "first dropped", "second dropped", "handler"]
    );
}

#[coreloop::test]
async fn dropping_a_select_drops_all_its_futures_in_order() {
    let trace = Trace::default();
    let first = Loser::new(["first polled", "first dropped"], &trace);
    let second = Loser::new(["second polled", "second dropped"], &trace);
    let task = coreloop::spawn(async move {
        select! {
            biased;
            () = first => {}
            () = second => {}
        }
    });
    yield_now().await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(
        trace.taken(),
        [
            "first polled",
            "second polled",
            "first dropped",
            "second dropped"
        ]
    );
}

#[coreloop::test]
async fn a_handler_may_use_what_its_future_borrowed() {
    async fn append(text: &mut String) {
        text.push('b');
    }
    let mut text = String::from("a");
    select! {
        () = append(&mut text) => text.push('c'),
        () = pending() => text.clear(),
    }
    assert_eq!(text, "abc");

    // If several futures borrow a variable, one handler may still change it.
    let length = select! {
        length = async { text.len() } => { text.push('d'); length }
        length = async { text.capacity() }, if false => length,
    };
    assert_eq!((length, text.as_str()), (3, "abcd"));
}

#[test]
fn return_break_continue_and_question_mark_belong_to_the_function() {
    async fn returns() -> &'static str {
        loop {
            select! {
                () = ready(()) => return "returned",
                () = pending() => {}
            }
        }
    }

    async fn fails(result: Result<u8, String>) -> Result<u8, String> {
        let number = select! {
            result = ready(result) => result?,
        };
        Ok(number + 1)
    }

    async fn condition_fails() -> Result<u8, String> {
        let number = select! {
            number = ready(1), if Err::<bool, _>("condition".to_owned())? => number,
        };
        Ok(number)
    }

    coreloop::block_on(async {
        assert_eq!(returns().await, "returned");
        assert_eq!(fails(Ok(1)).await, Ok(2));
        assert_eq!(fails(Err("lost".to_owned())).await, Err("lost".to_owned()));
        assert_eq!(condition_fails().await, Err("condition".to_owned()));

        let mut rounds = 0;
        let broken = 'outer: loop {
            loop {
                rounds += 1;
                select! {
                    biased;
                    () = ready(()), if rounds < 3 => continue,
                    () = ready(()), if rounds < 5 => break,
                    () = ready(()) => break 'outer rounds,
                }
            }
        };
        assert_eq!(broken, 5);
    });
}

#[coreloop::test]
async fn a_branch_takes_any_value_that_becomes_a_future() {
    struct Late(u8);

    impl IntoFuture for Late {
        type Output = u8;
        type IntoFuture = Ready<u8>;

        fn into_future(self) -> Ready<u8> {
            ready(self.0)
        }
    }

    let boxed: Pin<Box<dyn Future<Output = u8>>> = Box::pin(pending());
    let task = coreloop::spawn(pending::<u8>());
    let value = select! {
        value = Late(4) => value,
        value = boxed => value,
        joined = task => joined.unwrap(),
    };
    assert_eq!(value, 4);
}

#[coreloop::test(start_paused = true)]
async fn one_future_may_be_polled_by_several_selects() {
    let timer = sleep(Duration::from_millis(50));
    pin!(timer);
    let mut rounds = 0;
    loop {
        select! {
            () = &mut timer => break,
            () = sleep(Duration::from_millis(9)) => rounds += 1,
        }
    }
    assert_eq!(rounds, 5);
}

// tokio's example of joining two values.
#[coreloop::test]
async fn two_tasks_are_joined_by_conditions() {
    let (first, second) = (
        coreloop::spawn(async { "first" }),
        coreloop::spawn(async { "second" }),
    );
    pin!(first, second);
    let (mut one, mut two) = (None, None);
    while one.is_none() || two.is_none() {
        select! {
            value = &mut first, if one.is_none() => one = Some(value.unwrap()),
            value = &mut second, if two.is_none() => two = Some(value.unwrap()),
        }
    }
    assert_eq!((one, two), (Some("first"), Some("second")));
}

#[coreloop::test]
async fn selects_nest() {
    let value = select! {
        value = async {
            select! {
                value = ready(1) => value,
                value = pending() => value,
            }
        } => select! {
            more = ready(value) => more + value,
            never = pending() => never,
        },
        never = pending() => never,
    };
    assert_eq!(value, 2);
}

#[coreloop::test]
async fn names_of_the_expansion_are_hygienic() {
    struct Output(u8);
    // Each of these is a name that the macro uses for itself.
    let (future, output, order, branch, enabled, context, poll, matches) = (1, 2, 3, 4, 5, 6, 7, 8);
    let sum = select! {
        Output(extra) = ready(Output(future)), if enabled == 5 => {
            extra + output + order + branch + context + poll + matches
        }
        other = pending(), if branch == 0 => other,
    };
    assert_eq!(sum, 31);
}

/// The crate has another name here, and its own names are taken by other modules.
mod renamed {
    extern crate coreloop as other;

    mod coreloop {}
    mod coreloop_runtime {}
    mod std {}
    mod core {}

    #[test]
    fn the_macros_find_their_crate() {
        let sum = other::block_on(async {
            let third = async { 3 };
            other::pin!(third);
            other::select! {
                one = async { 1 } => {
                    let (two,) = other::join!(async { 2 });
                    let three = other::try_join!(async { Ok::<_, ()>(third.await) });
                    one + two + three.map_or(0, |(three,)| three)
                }
            }
        });
        assert_eq!(sum, 6);
    }
}

#[coreloop::test]
async fn sixty_four_branches_are_accepted() {
    for ready in 0..64 {
        let at = |index| {
            poll_fn(move |_| {
                if index == ready {
                    Poll::Ready(index)
                } else {
                    Poll::Pending
                }
            })
        };
        let won = select! {
            x = at(0) => x, x = at(1) => x, x = at(2) => x, x = at(3) => x,
            x = at(4) => x, x = at(5) => x, x = at(6) => x, x = at(7) => x,
            x = at(8) => x, x = at(9) => x, x = at(10) => x, x = at(11) => x,
            x = at(12) => x, x = at(13) => x, x = at(14) => x, x = at(15) => x,
            x = at(16) => x, x = at(17) => x, x = at(18) => x, x = at(19) => x,
            x = at(20) => x, x = at(21) => x, x = at(22) => x, x = at(23) => x,
            x = at(24) => x, x = at(25) => x, x = at(26) => x, x = at(27) => x,
            x = at(28) => x, x = at(29) => x, x = at(30) => x, x = at(31) => x,
            x = at(32) => x, x = at(33) => x, x = at(34) => x, x = at(35) => x,
            x = at(36) => x, x = at(37) => x, x = at(38) => x, x = at(39) => x,
            x = at(40) => x, x = at(41) => x, x = at(42) => x, x = at(43) => x,
            x = at(44) => x, x = at(45) => x, x = at(46) => x, x = at(47) => x,
            x = at(48) => x, x = at(49) => x, x = at(50) => x, x = at(51) => x,
            x = at(52) => x, x = at(53) => x, x = at(54) => x, x = at(55) => x,
            x = at(56) => x, x = at(57) => x, x = at(58) => x, x = at(59) => x,
            x = at(60) => x, x = at(61) => x, x = at(62) => x, x = at(63), if true => x,
            else => unreachable!(),
        };
        assert_eq!(won, ready);
    }
}

/// Compares how often each branch won with the mean. If all are equally likely, the
/// result is below 40 in all but one of 10^7 samples, for up to three degrees of freedom.
fn chi_square(wins: &[u32]) -> f64 {
    let mean = f64::from(wins.iter().sum::<u32>()) / wins.len() as f64;
    wins.iter()
        .map(|&won| (f64::from(won) - mean).powi(2) / mean)
        .sum()
}

#[coreloop::test]
async fn ready_branches_win_equally_often_whatever_is_between_them() {
    fastrand::seed(7);
    let rounds = if cfg!(miri) { 300 } else { 30_000 };

    // With a random start and the rest in order, a ready branch that follows a pending
    // one would win twice as often as the other.
    let mut wins = [0; 2];
    for _ in 0..rounds {
        select! {
            () = pending() => unreachable!(),
            () = ready(()) => wins[0] += 1,
            () = ready(()) => wins[1] += 1,
        }
    }
    assert!(chi_square(&wins) < 40.0, "{wins:?}");

    // The same with a disabled branch in between, and between two of four ready branches.
    let mut wins = [0; 4];
    for _ in 0..rounds {
        select! {
            () = ready(()) => wins[0] += 1,
            () = ready(()), if false => unreachable!(),
            () = pending() => unreachable!(),
            () = ready(()) => wins[1] += 1,
            () = ready(()) => wins[2] += 1,
            Some(()) = ready(None) => unreachable!(),
            () = ready(()) => wins[3] += 1,
        }
    }
    assert!(chi_square(&wins) < 40.0, "{wins:?}");
}

#[coreloop::test]
async fn the_order_is_drawn_anew_in_each_poll() {
    fastrand::seed(11);
    let firsts = RefCell::new([0; 3]);
    let polls = Cell::new(0);
    let branch = |index: usize| {
        let (firsts, polls) = (&firsts, &polls);
        poll_fn(move |context| {
            if polls.get() % 3 == 0 {
                firsts.borrow_mut()[index] += 1;
            }
            polls.set(polls.get() + 1);
            context.waker().wake_by_ref();
            if polls.get() > 3_000 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
    };
    select! {
        () = branch(0) => {}
        () = branch(1) => {}
        () = branch(2) => {}
    }
    assert!(chi_square(firsts.borrow().as_slice()) < 40.0, "{firsts:?}");
}

#[coreloop::test]
async fn a_select_without_budget_polls_no_branch() {
    let (mut polls, mut turns) = (0, 0);
    poll_fn(|context| {
        while has_budget_remaining() {
            assert!(poll_proceed(context).is_ready());
        }
        let mut select = Box::pin(async {
            select! {
                () = poll_fn(|_| { polls += 1; Poll::Ready(()) }) => {}
            }
        });
        turns += 1;
        if turns == 1 {
            assert!(select.as_mut().poll(context).is_pending());
        }
        Poll::Ready(())
    })
    .await;
    assert_eq!(polls, 0);

    // The refused task is woken: this loop ends after the other task has run.
    let other = coreloop::spawn(async {});
    let mut operations = 0;
    while !other.is_finished() {
        select! {
            () = coreloop::task::consume_budget() => operations += 1,
            () = pending() => {}
        }
        assert!(operations < 100_000, "the other task never runs");
    }
    assert!(operations >= 128, "{operations}");
}

#[coreloop::test(start_paused = true)]
async fn a_timer_wins_against_a_future_that_spends_the_budget() {
    // A future that never ends and leaves no budget to the branch that is polled after
    // it.
    let greedy = async {
        loop {
            coreloop::task::consume_budget().await;
        }
    };
    select! {
        () = greedy => {}
        () = sleep(Duration::ZERO) => {}
    }
}

#[test]
fn a_select_works_on_another_executor() {
    let value = futures_lite::future::block_on(async {
        select! {
            value = ready(1) => value,
            value = futures_lite::future::yield_now() => { let () = value; 2 }
        }
    });
    assert_eq!(value, 1);
}

#[test]
fn a_select_takes_no_more_space_than_its_futures_and_an_output() {
    async fn select_two(first: [u64; 32], second: [u64; 32]) -> u64 {
        let hold = |values: [u64; 32]| async move {
            yield_now().await;
            values[0]
        };
        select! {
            value = hold(first) => value,
            value = hold(second) => value,
        }
    }
    let future = select_two([1; 32], [2; 32]);
    let size = size_of_val(&future);
    // The arguments, and the two futures that they are moved into.
    assert!(size <= 4 * 256 + 128, "{size} bytes");
    assert!(coreloop::block_on(future) <= 2);
}
