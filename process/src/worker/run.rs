//! The life of a worker, from the first message to its exit code.

use std::any::Any;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::process;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use coreloop_runtime::Runtime;
use coreloop_runtime::runtime::Builder;
use coreloop_runtime::signal::unix::{SignalKind, signal};
use coreloop_runtime::task::{AbortHandle, unconstrained};
use coreloop_runtime::time::Limit;

use super::Worker;
use super::hygiene;
use super::lifeline;
use super::reporter::Reporter;
use super::state::State;
use crate::channel::{Channel, Start, ToMaster, ToWorker};

pub(super) const FAILED: i32 = 1;
const PANICKED: i32 = 101;

/// How the function of a worker ended.
type Outcome = thread::Result<io::Result<()>>;

/// What a master that wants to start says first.
type Beginning = (Start, Vec<OwnedFd>, Channel);

/// Runs `function` in this process, which a master has started, and ends it.
pub(crate) fn run_process<F>(runtime: fn() -> Builder, function: F) -> !
where
    F: AsyncFn(Worker) -> io::Result<()>,
{
    let reporter = Reporter::standard_error();
    let begun = hygiene::take_channel().and_then(begin).and_then(|begun| {
        hygiene::settle(&begun.0)?;
        Ok(begun)
    });
    let outcome = match begun {
        Ok(begun) => run(runtime, &function, begun, true, &reporter),
        Err(error) => {
            reporter.report(format_args!("this process cannot be a worker: {error}"));
            Ok(Err(error))
        }
    };
    process::exit(match outcome {
        Ok(Ok(())) => 0,
        Ok(Err(_)) => FAILED,
        Err(_) => PANICKED,
    })
}

/// Runs `function` on a thread of its own, obeying what comes over `channel`. The
/// thread ends as a worker process would; what it returns is what its function did.
pub(crate) fn spawn_thread<F>(
    name: String,
    runtime: fn() -> Builder,
    function: Arc<F>,
    channel: Channel,
    reporter: Reporter,
) -> io::Result<JoinHandle<io::Result<()>>>
where
    F: AsyncFn(Worker) -> io::Result<()> + Send + Sync + 'static,
{
    thread::Builder::new().name(name).spawn(move || {
        let begun = begin(channel)?;
        hygiene::pin(begun.0.core);
        let outcome = run(runtime, &*function, begun, false, &reporter);
        outcome.unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// Waits for the first message.
fn begin(mut channel: Channel) -> io::Result<Beginning> {
    match channel.receive()? {
        Some((ToWorker::Start(start), sockets)) => Ok((*start, sockets, channel)),
        Some(_) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the master did not begin at the beginning",
        )),
        None => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the master is gone",
        )),
    }
}

/// A loop with the sockets on it, and the task that obeys the master.
fn set_up(
    runtime: fn() -> Builder,
    (start, sockets, channel): Beginning,
    is_process: bool,
    reporter: &Reporter,
) -> io::Result<(Runtime, Rc<State>, AbortHandle)> {
    let runtime = runtime().build()?;
    let entered = runtime.enter();
    let channel = channel.into_async()?;
    let sender = channel.sender()?;
    let state = State::new(start, sockets, sender, is_process, reporter.clone())?;
    let state = Rc::new(state);
    let terminate = match is_process {
        true => Some(signal(SignalKind::terminate())?),
        false => None,
    };
    let obeying = lifeline::obey(Rc::clone(&state), channel, terminate);
    let lifeline = runtime.spawn(obeying).abort_handle();
    drop(entered);
    Ok((runtime, state, lifeline))
}

/// Runs `function` on a new loop, and the tasks that it leaves until they are over
/// or the time to drain is.
fn run<F>(
    runtime: fn() -> Builder,
    function: &F,
    begun: Beginning,
    is_process: bool,
    reporter: &Reporter,
) -> Outcome
where
    F: AsyncFn(Worker) -> io::Result<()>,
{
    let (runtime, state, lifeline) = match set_up(runtime, begun, is_process, reporter) {
        Ok(set_up) => set_up,
        Err(error) => {
            reporter.report(format_args!("a worker cannot begin: {error}"));
            return Ok(Err(error));
        }
    };
    let served = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(serve(function, &state))
    }));
    let failure = match &served {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(panic) => Some(format!("panicked: {}", panic_message(&**panic))),
    };
    if let Some(error) = failure {
        state.say(&ToMaster::Failed { error });
        state.cut_off.cancel();
    }
    finish(runtime, &state, &lifeline);
    served
}

/// The function, until it is over, or its time is.
async fn serve<F>(function: &F, state: &Rc<State>) -> io::Result<()>
where
    F: AsyncFn(Worker) -> io::Result<()>,
{
    let worker = Worker {
        state: Rc::clone(state),
    };
    let mut serving = pin!(function(worker));
    let time_to_drain = async {
        state.drain.cancelled().await;
        Limit::clock(state.left()).await;
        state.reporter.report(format_args!(
            "the time to drain was too short for the function of the worker"
        ));
    };
    // Without a budget: the function, which is polled first, may spend all of it.
    let over = state.cut_off.run_until_cancelled(time_to_drain);
    let mut over = pin!(unconstrained(over));
    poll_fn(|cx| {
        if let Poll::Ready(result) = serving.as_mut().poll(cx) {
            return Poll::Ready(result);
        }
        state.waits();
        over.as_mut().poll(cx).map(|_| Ok(()))
    })
    .await
}

/// Drives the tasks that are left until none is, or their time is over. The master
/// is obeyed, and told that the loop turns, meanwhile.
fn finish(runtime: Runtime, state: &Rc<State>, lifeline: &AbortHandle) {
    state.drain();
    while runtime.metrics().alive_tasks() > u64::from(!lifeline.is_finished()) {
        let left = state.left();
        if left == Duration::ZERO || runtime.turn(Some(left)).is_err() {
            break;
        }
    }
    lifeline.abort();
    let report = runtime.shutdown(state.left());
    if !report.is_clean() && !state.cut_off.is_cancelled() {
        state.reporter.report(format_args!(
            "the time to drain was too short for\n{report}"
        ));
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    if let Some(message) = panic.downcast_ref::<&str>() {
        message
    } else if let Some(message) = panic.downcast_ref::<String>() {
        message
    } else {
        "with what is no text"
    }
}
