//! `#[coreloop::main]` and `#[coreloop::test]`: every return type, the
//! attributes beside them, and the options.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt::{self, Display};
use std::panic;
use std::process::{ExitCode, Termination};
use std::rc::Rc;
use std::time::Duration;

use coreloop::time::{Instant, sleep};

#[derive(Debug)]
struct Refused;

impl Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("refused")
    }
}

impl Error for Refused {}

#[coreloop::main]
async fn nothing() {
    coreloop::task::yield_now().await;
}

#[coreloop::main]
async fn a_value() -> u32 {
    coreloop::spawn(async { 7 }).await.unwrap()
}

// The box is coerced to `dyn Error` in the tail of the body: that works only
// if the return type is known before the body is checked.
#[coreloop::main]
async fn a_coerced_error() -> Result<(), Box<dyn Error>> {
    coreloop::task::yield_now().await;
    Err(Box::new(Refused))
}

#[coreloop::main]
async fn a_question_mark() -> Result<u16, Box<dyn Error>> {
    let text = coreloop::spawn(async { "not a number" }).await?;
    Ok(text.parse::<u16>()?)
}

#[coreloop::main]
async fn an_exit_code() -> ExitCode {
    ExitCode::from(3)
}

#[coreloop::main]
async fn an_opaque_type() -> impl Iterator<Item = u8> {
    coreloop::task::yield_now().await;
    [1, 2, 3].into_iter()
}

#[coreloop::main]
async fn a_local_type() -> Rc<Cell<u8>> {
    let cell = Rc::new(Cell::new(1));
    let shared = Rc::clone(&cell);
    coreloop::spawn(async move { shared.set(2) }).await.unwrap();
    cell
}

#[coreloop::main]
async fn an_early_return() -> &'static str {
    if a_condition() {
        return "early";
    }
    "late"
}

fn a_condition() -> bool {
    true
}

#[coreloop::main]
async fn no_return() -> ! {
    coreloop::task::yield_now().await;
    panic!("the only way out");
}

#[test]
fn main_returns_what_its_function_returns() {
    nothing();
    assert_eq!(a_value(), 7);
    assert_eq!(a_coerced_error().unwrap_err().to_string(), "refused");
    assert!(
        a_question_mark()
            .unwrap_err()
            .is::<std::num::ParseIntError>()
    );
    assert_eq!(
        format!("{:?}", an_exit_code()),
        format!("{:?}", ExitCode::from(3))
    );
    assert_eq!(an_opaque_type().collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(a_local_type().get(), 2);
    assert_eq!(an_early_return(), "early");
    let panic = panic::catch_unwind(|| -> () { no_return() }).unwrap_err();
    assert_eq!(*panic.downcast::<&str>().unwrap(), "the only way out");
}

mod inner {
    //! Attributes, visibility and where clauses stay on the function.

    /// Documented.
    #[coreloop::main]
    #[must_use]
    pub(super) async fn visible_and_documented() -> u8
    where
        String: Clone,
    {
        #![allow(unused_variables, reason = "an inner attribute belongs to the body")]
        let unused = 0;
        1
    }

    #[coreloop::main]
    #[cfg(not(unix))]
    pub(super) async fn configured() -> &'static str {
        "elsewhere"
    }

    #[coreloop::main]
    #[cfg(unix)]
    pub(super) async fn configured() -> &'static str {
        "unix"
    }
}

#[test]
fn attributes_visibility_and_where_clauses_stay() {
    assert_eq!(inner::visible_and_documented(), 1);
    assert_eq!(
        inner::configured(),
        if cfg!(unix) { "unix" } else { "elsewhere" }
    );
}

mod shadowed {
    //! The expansion neither sees nor hides the names around it.
    #![allow(
        dead_code,
        non_upper_case_globals,
        reason = "these exist to be mistaken for what the expansion names"
    )]

    mod coreloop {}
    mod core {}
    struct Builder;
    struct Runtime;
    const body: u8 = 1;
    const runtime: u8 = 2;

    #[::coreloop::main]
    pub(super) async fn sum() -> u8 {
        body + runtime
    }

    // As in any async fn, the name means the async fn itself.
    #[::coreloop::main]
    pub(super) async fn countdown() -> u8 {
        thread_local!(static LEFT: std::cell::Cell<u8> = const { std::cell::Cell::new(3) });
        match LEFT.get() {
            0 => 0,
            left => {
                LEFT.set(left - 1);
                Box::pin(countdown()).await + 1
            }
        }
    }
}

#[test]
fn names_are_hygienic() {
    assert_eq!(shadowed::sum(), 3);
    assert_eq!(shadowed::countdown(), 3);
}

mod renamed {
    //! A crate that re-exports coreloop under another name.
    pub(crate) use coreloop as event_loop;

    #[event_loop::main(crate = "event_loop")]
    pub(super) async fn single() -> u8 {
        1
    }

    #[event_loop::main(
        start_paused = false,
        crate = "crate::main_and_test::renamed::event_loop"
    )]
    pub(super) async fn path() -> u8 {
        2
    }
}

#[test]
fn crate_option_renames_the_crate() {
    assert_eq!((renamed::single(), renamed::path()), (1, 2));
}

mod written_by_macros {
    //! The fragments that `macro_rules!` matched come in invisible delimiters.
    macro_rules! parts {
        (
            $(#[$attribute:meta])*
            $visibility:vis $name:ident -> $output:ty,
            $body:block, $paused:expr, $path:literal
        ) => {
            $(#[$attribute])*
            #[coreloop::main(start_paused = $paused, crate = $path)]
            $visibility async fn $name() -> $output $body
        };
    }

    macro_rules! whole {
        ($function:item) => {
            #[coreloop::main]
            $function
        };
    }

    parts! { #[must_use] pub(super) visible -> Vec<Vec<u8>>, { vec![vec![1]] }, false, "coreloop" }
    parts! { pub(super) another -> u8, { 2 }, true, r"::coreloop" }
    whole! {
        #[must_use]
        pub(super) async fn item() -> impl Fn(u8) -> Vec<Vec<u8>>
        where
            Vec<Vec<u8>>: Clone,
        {
            |number| vec![vec![number]]
        }
    }
}

#[test]
fn a_macro_may_write_the_function() {
    assert_eq!(written_by_macros::visible(), [[1]]);
    assert_eq!(written_by_macros::another(), 2);
    assert_eq!(written_by_macros::item()(3), [[3]]);
}

#[coreloop::main(start_paused = true)]
async fn an_hour_with_a_paused_clock() -> Duration {
    let start = Instant::now();
    sleep(Duration::from_secs(3600)).await;
    start.elapsed()
}

#[test]
fn main_takes_start_paused() {
    assert!(an_hour_with_a_paused_clock() >= Duration::from_secs(3600));
}

#[coreloop::test]
async fn a_test_runs_in_a_runtime() {
    let order = Rc::new(RefCell::new(Vec::new()));
    let shared = Rc::clone(&order);
    let task = coreloop::spawn(async move { shared.borrow_mut().push("task") });
    order.borrow_mut().push("test");
    task.await.unwrap();
    assert_eq!(*order.borrow(), ["test", "task"]);
}

#[coreloop::test]
async fn a_test_may_return_a_result() -> Result<(), Box<dyn Error>> {
    let seven = coreloop::spawn(async { "7" }).await?;
    assert_eq!(seven.parse::<u8>()?, 7);
    Ok(())
}

#[coreloop::test]
async fn a_test_may_return_any_termination() -> impl Termination {
    ExitCode::SUCCESS
}

#[coreloop::test]
#[should_panic(expected = "seen by the harness")]
async fn a_panic_reaches_should_panic() {
    coreloop::task::yield_now().await;
    panic!("seen by the harness");
}

#[should_panic(expected = "whatever the order")]
#[coreloop::test]
async fn attributes_may_come_first() {
    panic!("whatever the order");
}

#[coreloop::test]
#[ignore = "proves that `ignore` is kept: the test fails if it is run"]
async fn an_ignored_test_is_not_run() {
    panic!("an ignored test was run");
}

#[coreloop::test(start_paused = true)]
async fn a_paused_clock_jumps() {
    let start = Instant::now();
    sleep(Duration::from_secs(86_400)).await;
    assert!(start.elapsed() >= Duration::from_secs(86_400));
}

#[coreloop::test(crate = "coreloop")]
async fn a_test_takes_a_crate_path() {}
