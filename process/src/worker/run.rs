//! Runs a worker, from the first message of the master to the exit code.

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
use super::master_link;
use super::process_setup;
use super::reporter::Reporter;
use super::shared::WorkerShared;
use crate::channel::{Channel, Start, ToMaster, ToWorker, short_error};
use crate::sys;

pub(super) const FAILED: i32 = 1;
const PANICKED: i32 = 101;

/// The outcome of a worker's function: its result, or its panic.
type FunctionResult = thread::Result<io::Result<()>>;

/// The first message of the master: how to start, and the sockets; with the channel.
type FirstMessage = (Start, Vec<OwnedFd>, Channel);

/// Runs `function` in this process, which a master has started, and ends the process. Before,
/// calls `prepare`, which can refuse.
pub(crate) fn run_process<F>(
    runtime: fn() -> Builder,
    prepare: impl FnOnce() -> io::Result<()>,
    function: F,
) -> !
where
    F: AsyncFn(Worker) -> io::Result<()>,
{
    let reporter = Reporter::standard_error();
    let begun = process_setup::take_channel()
        .and_then(begin)
        .and_then(|begun| {
            process_setup::prepare(&begun.0)?;
            prepare()?;
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

/// Runs `function` as a worker on a new thread, which obeys the messages from `channel`.
/// The thread ends when a worker process would, and returns the function's result.
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
        if let Some(core) = begun.0.core {
            sys::pin_thread(core);
        }
        let outcome = run(runtime, &*function, begun, false, &reporter);
        outcome.unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// Waits for the first message of the master.
fn begin(mut channel: Channel) -> io::Result<FirstMessage> {
    match channel.receive()? {
        Some((ToWorker::Start(start), sockets)) => Ok((*start, sockets, channel)),
        Some(_) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the first message of the master is not `Start`",
        )),
        None => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the master is gone",
        )),
    }
}

/// Creates the loop, puts the sockets on it, and spawns the task that obeys the master.
fn set_up(
    runtime: fn() -> Builder,
    (start, sockets, channel): FirstMessage,
    is_process: bool,
    reporter: &Reporter,
) -> io::Result<(Runtime, Rc<WorkerShared>, AbortHandle)> {
    let runtime = runtime().build()?;
    let entered = runtime.enter();
    let channel = channel.into_async()?;
    let sender = channel.sender()?;
    let shared = WorkerShared::new(start, sockets, sender, is_process, reporter.clone())?;
    let shared = Rc::new(shared);
    let terminate = match is_process {
        true => Some(signal(SignalKind::terminate())?),
        false => None,
    };
    let obeying = master_link::run(Rc::clone(&shared), channel, terminate);
    let master_link = runtime.spawn(obeying).abort_handle();
    drop(entered);
    Ok((runtime, shared, master_link))
}

/// Runs `function` on a new loop, and then the tasks that it leaves, until they have
/// finished or the time to drain has passed.
fn run<F>(
    runtime: fn() -> Builder,
    function: &F,
    begun: FirstMessage,
    is_process: bool,
    reporter: &Reporter,
) -> FunctionResult
where
    F: AsyncFn(Worker) -> io::Result<()>,
{
    let (runtime, shared, master_link) = match set_up(runtime, begun, is_process, reporter) {
        Ok(set_up) => set_up,
        Err(error) => {
            reporter.report(format_args!("a worker cannot begin: {error}"));
            return Ok(Err(error));
        }
    };
    let served = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(serve(function, &shared))
    }));
    let failure = match &served {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(panic) => Some(format!("panicked: {}", panic_message(&**panic))),
    };
    if let Some(error) = failure.map(short_error) {
        shared.send(&ToMaster::Failed { error });
        shared.cut_off.cancel();
    }
    finish(runtime, &shared, &master_link);
    served
}

/// Runs the function until it has finished, or the time to drain has passed.
async fn serve<F>(function: &F, shared: &Rc<WorkerShared>) -> io::Result<()>
where
    F: AsyncFn(Worker) -> io::Result<()>,
{
    let worker = Worker {
        shared: Rc::clone(shared),
    };
    let mut serving = pin!(function(worker));
    let time_to_drain = async {
        shared.drain.cancelled().await;
        Limit::clock(shared.left()).await;
        shared.reporter.report(format_args!(
            "the time to drain was too short for the function of the worker"
        ));
    };
    // Unconstrained, because the function is polled first and may spend the whole budget.
    let time_is_up = shared.cut_off.run_until_cancelled(time_to_drain);
    let mut time_is_up = pin!(unconstrained(time_is_up));
    poll_fn(|cx| {
        if let Poll::Ready(result) = serving.as_mut().poll(cx) {
            return Poll::Ready(result);
        }
        shared.function_waits();
        time_is_up.as_mut().poll(cx).map(|_| Ok(()))
    })
    .await
}

/// Runs the tasks that are left, until all have finished or the time to drain has passed.
/// The master link runs meanwhile.
fn finish(runtime: Runtime, shared: &Rc<WorkerShared>, master_link: &AbortHandle) {
    shared.drain();
    while runtime.metrics().alive_tasks() > u64::from(!master_link.is_finished()) {
        let left = shared.left();
        if left == Duration::ZERO || runtime.turn(Some(left)).is_err() {
            break;
        }
    }
    master_link.abort();
    let metrics = runtime.metrics();
    let report = runtime.shutdown(shared.left());
    shared.reporting.send_last(shared, &metrics);
    if !report.is_clean() && !shared.cut_off.is_cancelled() {
        shared.reporter.report(format_args!(
            "the time to drain was too short for\n{report}"
        ));
    }
}

pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    if let Some(message) = panic.downcast_ref::<&str>() {
        message
    } else if let Some(message) = panic.downcast_ref::<String>() {
        message
    } else {
        "the message is not text"
    }
}
