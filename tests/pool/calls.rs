//! Calls, their handles, their errors, and what a job can read of itself.

use std::cell::Cell;
use std::os::unix::net::UnixListener;
use std::panic::{catch_unwind, resume_unwind};

use coreloop::Runtime;
use coreloop::pool::{self, JobError, Pool, TrySubmitError, WorkerState, job};
use coreloop_test_support::deadline::yield_until;
use coreloop_test_support::folder::Folder;
use futures_lite::future::poll_once;
use rustix::process::{Signal, getpid, kill_process};

use crate::meeting::{Meeting, wait_at};

#[coreloop::job]
fn echo(text: String) -> String {
    text
}

#[coreloop::job]
fn wait(place: String, text: String) -> String {
    wait_at(&place, &text);
    text
}

#[coreloop::job]
fn who() -> (u32, Option<u64>, Option<u32>, bool) {
    let cancelled = job::is_cancelled();
    (std::process::id(), job::id(), job::attempt(), cancelled)
}

#[coreloop::job]
fn die() {
    kill_process(getpid(), Signal::KILL).unwrap();
    loop {
        std::thread::park();
    }
}

/// Dies unless this is the third attempt.
#[coreloop::job]
fn die_twice() -> Option<u32> {
    if job::attempt() != Some(3) {
        die();
    }
    job::attempt()
}

#[coreloop::job(idempotent)]
fn die_always() {
    die();
}

#[coreloop::job]
fn panic_with(text: String) {
    panic!("{text}");
}

#[coreloop::job]
fn catch_a_panic() -> bool {
    catch_unwind(|| panic!("caught")).is_err()
}

#[coreloop::job]
fn panic_without_the_hook() {
    resume_unwind(Box::new("resumed"));
}

#[coreloop::job]
fn panic_with_a_number() {
    std::panic::panic_any(7);
}

#[coreloop::job]
fn report_progress(place: String) -> bool {
    for number in 1..=3_u32 {
        job::progress(&number).unwrap();
    }
    wait_at(&place, "");
    job::progress("a text").is_ok()
}

#[coreloop::job]
#[expect(clippy::too_many_arguments, reason = "as many as there may be")]
fn eight(a: u8, b: u16, c: u32, d: u64, e: i8, f: bool, g: char, h: Option<String>) -> String {
    format!("{a} {b} {c} {d} {e} {f} {g} {h:?}")
}

#[coreloop::job]
async fn nested() -> Result<u64, String> {
    let pool = Pool::builder()
        .workers(2)
        .build()
        .map_err(|error| error.to_string())?;
    let first = pool
        .submit(double, 10)
        .await
        .map_err(|error| error.to_string())?;
    let second = pool
        .run(double, 11)
        .await
        .map_err(|error| error.to_string())?;
    Ok(second + first.await.map_err(|error| error.to_string())?)
}

thread_local! {
    static LEFT_BEHIND: Cell<u32> = const { Cell::new(0) };
}

/// Leaves a task behind, and returns what the last one that has run has stored.
#[coreloop::job]
async fn spawn_a_task(number: u32) -> u32 {
    let found = LEFT_BEHIND.get();
    coreloop::spawn(async move {
        coreloop::task::yield_now().await;
        LEFT_BEHIND.set(number);
    });
    found
}

#[coreloop::job]
async fn panic_later() {
    for _ in 0..3 {
        coreloop::task::yield_now().await;
    }
    panic!("later");
}

#[coreloop::job]
fn double(number: u64) -> u64 {
    number * 2
}

fn not_registered(number: u64) -> u64 {
    number
}

fn generic<T>(value: T) -> T {
    value
}

coreloop::pool::register!(generic::<u8>);

fn pool(workers: u32) -> Pool {
    Pool::builder()
        .workers(coreloop::process::Workers::processes(workers))
        .build()
        .unwrap()
}

/// Returns the error of a job that was expected to fail.
#[track_caller]
fn error<R: std::fmt::Debug>(outcome: Result<R, JobError>) -> JobError {
    outcome.unwrap_err()
}

#[coreloop::test]
async fn a_job_takes_up_to_eight_arguments() {
    let pool = pool(1);
    let arguments = (1, 2, 3, 4, -5, true, 'x', Some("y".to_owned()));
    let text = pool.run(eight, arguments).await.unwrap();
    assert_eq!(text, "1 2 3 4 -5 true x Some(\"y\")");
}

#[coreloop::test]
async fn a_job_knows_its_id_and_its_attempt() {
    let pool = pool(1);
    let (pid, first, attempt, is_cancelled) = pool.run(who, ()).await.unwrap();
    let (same, second, ..) = pool.run(who, ()).await.unwrap();
    assert_eq!(pid, same);
    assert_ne!(pid, std::process::id());
    assert!(first.is_some() && second.is_some() && first != second);
    assert_eq!((attempt, is_cancelled), (Some(1), false));
    assert_eq!(
        (job::id(), job::attempt(), job::is_cancelled()),
        (None, None, false)
    );
    job::progress(&1).unwrap();
}

#[coreloop::test]
async fn a_handle_says_where_its_job_is() {
    let pool = pool(1);
    let meeting = Meeting::new();
    let mut running = pool
        .submit(wait, (meeting.place(), "a".into()))
        .await
        .unwrap();
    let waiting = pool.submit(echo, "b".to_owned()).await.unwrap();
    let guest = meeting.guest().await;
    assert_eq!((running.is_started(), running.is_finished()), (true, false));
    assert_eq!(running.worker(), Some(guest.pid));
    assert_eq!(
        (waiting.is_started(), waiting.is_finished()),
        (false, false)
    );
    let metrics = pool.metrics();
    assert_eq!((metrics.running, metrics.queued, metrics.done), (1, 1, 0));
    assert_eq!(metrics.workers.len(), 1);
    assert_eq!(metrics.workers[0].pid, guest.pid);
    assert_eq!(metrics.workers[0].state, WorkerState::Busy);
    guest.release();
    assert_eq!((&mut running).await.unwrap(), "a");
    assert_eq!((running.is_started(), running.is_finished()), (true, true));
    assert_eq!(running.worker(), None);
    yield_until(|| waiting.is_finished()).await;
    assert!(waiting.is_started());
    assert_eq!(waiting.await.unwrap(), "b");
    let metrics = pool.metrics();
    assert_eq!((metrics.running, metrics.queued, metrics.done), (0, 0, 2));
    assert_eq!(metrics.workers[0].state, WorkerState::Idle);
    assert_eq!((metrics.workers[0].done, metrics.workers[0].queued), (2, 0));
}

#[coreloop::test]
async fn a_dropped_handle_leaves_its_job_running() {
    let pool = pool(1);
    let meeting = Meeting::new();
    drop(
        pool.submit(wait, (meeting.place(), "a".into()))
            .await
            .unwrap(),
    );
    drop(
        pool.submit(wait, (meeting.place(), "b".into()))
            .await
            .unwrap(),
    );
    for text in ["a", "b"] {
        let guest = meeting.guest().await;
        assert_eq!(guest.text, text);
        guest.release();
    }
    yield_until(|| pool.metrics().done == 2).await;
}

#[coreloop::test]
async fn the_jobs_with_the_highest_priority_run_first() {
    let pool = Pool::builder().workers(1).prefetch(1).build().unwrap();
    let meeting = Meeting::new();
    let first = pool
        .submit(wait, (meeting.place(), "first".into()))
        .await
        .unwrap();
    let guest = meeting.guest().await;
    let mut handles = vec![first];
    for (priority, text) in [(0, "c"), (-5, "e"), (7, "a"), (0, "d"), (7, "b")] {
        let request = pool.job(wait, (meeting.place(), text.to_owned()));
        handles.push(request.priority(priority).submit().await.unwrap());
    }
    guest.release();
    for expected in ["a", "b", "c", "d", "e"] {
        let guest = meeting.guest().await;
        assert_eq!(guest.text, expected);
        guest.release();
    }
    for handle in handles {
        handle.await.unwrap();
    }
}

#[coreloop::test]
async fn the_progress_of_a_job_is_its_latest_value() {
    let pool = pool(1);
    let meeting = Meeting::new();
    let handle = pool.submit(report_progress, meeting.place()).await.unwrap();
    let mut progress = handle.progress::<u32>();
    let guest = meeting.guest().await;
    let mut last = 0;
    while last != 3 {
        last = progress.changed().await.unwrap().unwrap();
    }
    assert_eq!(progress.latest().unwrap().unwrap(), 3);
    assert_eq!(handle.progress::<u32>().latest().unwrap().unwrap(), 3);
    guest.release();
    // The last value is no number.
    let undecoded = progress.changed().await.unwrap();
    assert!(undecoded.unwrap_err().is_codec());
    assert!(progress.changed().await.is_none());
    assert!(handle.await.unwrap());
}

#[coreloop::test]
async fn a_panic_is_reported_with_its_message_and_place() {
    let pool = pool(1);
    let panicked = error(pool.run(panic_with, "no".to_owned()).await);
    assert!(panicked.is_panic() && panicked.has_started());
    assert!(!panicked.is_broken_worker() && !panicked.is_codec() && !panicked.is_cancelled());
    assert_eq!(panicked.attempts(), 1);
    assert_eq!(panicked.exit_status(), None);
    let name = panicked.job_name().unwrap();
    assert!(name.ends_with("calls::panic_with"), "{name}");
    let pid = panicked.worker_pid().unwrap();
    let text = panicked.to_string();
    assert!(
        text.starts_with(&format!("the job `{name}` panicked: no, at ")),
        "{text}"
    );
    assert!(text.ends_with(&format!("(worker {pid})")), "{text}");
    assert!(panicked.into_panic_message().unwrap().contains("calls.rs:"));

    let long = "é".repeat(100_000);
    let panicked = error(pool.run(panic_with, long.clone()).await);
    assert!(long.starts_with(panicked.panic_message().unwrap()));
    let panicked = error(pool.run(panic_with_a_number, ()).await);
    let message = panicked.panic_message().unwrap();
    assert!(
        message.starts_with("a panic without a message"),
        "{message}"
    );
    // The worker stays.
    assert_eq!(pool.run(who, ()).await.unwrap().0, pid);
}

#[coreloop::test]
async fn a_panic_that_a_job_has_caught_is_not_reported_for_another() {
    let pool = pool(1);
    assert!(pool.run(catch_a_panic, ()).await.unwrap());
    let panicked = error(pool.run(panic_without_the_hook, ()).await);
    assert_eq!(panicked.panic_message(), Some("resumed"));
}

#[coreloop::test]
async fn the_death_of_a_worker_is_reported_with_its_status() {
    use std::os::unix::process::ExitStatusExt;

    let pool = pool(1);
    let broken = error(pool.run(die, ()).await);
    assert!(broken.is_broken_worker() && broken.has_started());
    assert_eq!(broken.attempts(), 1);
    assert_eq!(broken.exit_status().unwrap().signal(), Some(9));
    let text = broken.to_string();
    let pid = broken.worker_pid().unwrap();
    let end = format!(
        "calls::die` has no result, because its worker ended while it ran (worker {pid}, {})",
        broken.exit_status().unwrap()
    );
    assert!(text.ends_with(&end), "{text}");
    assert!(broken.into_panic_message().unwrap_err().is_broken_worker());
    assert_eq!(pool.run(echo, "x".to_owned()).await.unwrap(), "x");
}

#[coreloop::test]
async fn an_idempotent_job_is_started_again_up_to_its_attempts() {
    let pool = pool(2);
    let third = pool.job(die_twice, ()).idempotent(true).run().await;
    assert_eq!(third.unwrap(), Some(3));
    let twice = error(
        pool.job(die_twice, ())
            .idempotent(true)
            .attempts(2)
            .run()
            .await,
    );
    assert!(twice.is_broken_worker());
    assert_eq!(twice.attempts(), 2);
    assert!(twice.to_string().contains(", attempt 2)"), "{twice}");
    assert_eq!(
        error(pool.job(die_twice, ()).attempts(9).run().await).attempts(),
        1
    );
    // The attribute says that the function is idempotent.
    assert_eq!(error(pool.run(die_always, ()).await).attempts(), 3);
    assert_eq!(
        error(pool.job(die_always, ()).idempotent(false).run().await).attempts(),
        1
    );
    // At least one.
    assert_eq!(
        error(pool.job(die_always, ()).attempts(0).run().await).attempts(),
        1
    );
}

#[coreloop::test]
async fn a_function_that_is_not_registered_is_an_error_that_names_it() {
    let pool = pool(1);
    let missing = error(pool.run(not_registered, 1).await);
    assert!(missing.is_not_registered() && !missing.has_started());
    assert_eq!(missing.attempts(), 0);
    assert_eq!(missing.worker_pid(), None);
    assert!(
        missing.to_string().contains("calls::not_registered"),
        "{missing}"
    );
    assert!(error(pool.submit(not_registered, 1).await).is_not_registered());
    let failed = pool.job(not_registered, 1).try_submit().unwrap_err();
    assert!(matches!(failed, TrySubmitError::Failed(error) if error.is_not_registered()));
    // Each instance of a generic function is a function of its own.
    assert_eq!(pool.run(generic::<u8>, 3).await.unwrap(), 3);
    let missing = error(pool.run(generic::<u16>, 3).await);
    assert!(missing.to_string().contains("generic<u16>"), "{missing}");
    let closure = |number: u8| number;
    assert!(error(pool.run(closure, 3).await).is_not_registered());
}

#[coreloop::test]
async fn a_job_may_have_a_pool_of_its_own() {
    let pool = pool(1);
    assert_eq!(pool.run(nested, ()).await.unwrap(), Ok(42));
    assert_eq!(pool.run(nested, ()).await.unwrap(), Ok(42));
}

#[coreloop::test]
async fn two_pools_run_side_by_side() {
    let (one, other) = (pool(1), pool(1));
    let meeting = Meeting::new();
    let first = one
        .submit(wait, (meeting.place(), "a".into()))
        .await
        .unwrap();
    let second = other
        .submit(wait, (meeting.place(), "b".into()))
        .await
        .unwrap();
    let guests = [meeting.guest().await, meeting.guest().await];
    assert_ne!(guests[0].pid, guests[1].pid);
    drop(one);
    assert!(error(first.await).is_shut_down());
    guests.into_iter().for_each(crate::meeting::Guest::release);
    assert_eq!(second.await.unwrap(), "b");
}

#[coreloop::test]
async fn five_thousand_queued_jobs_all_run() {
    let pool = Pool::builder().workers(2).queue(10_000).build().unwrap();
    let mut handles = Vec::new();
    for number in 0..5_000_u64 {
        handles.push(pool.submit(double, number).await.unwrap());
    }
    for (number, handle) in (0..).zip(handles) {
        assert_eq!(handle.await.unwrap(), number * 2);
    }
    assert_eq!(pool.metrics().done, 5_000);
}

#[coreloop::test]
async fn workers_run_what_they_have_while_the_loop_is_blocked() {
    let folder = Folder::new();
    let path = folder.path("listener");
    let listener = UnixListener::bind(&path).unwrap();
    let pool = Pool::builder().workers(1).prefetch(64).build().unwrap();
    let mut handles = Vec::new();
    for number in 0..63_u64 {
        handles.push(pool.submit(double, number).await.unwrap());
    }
    let place = path.to_str().unwrap().to_owned();
    let last = pool.submit(wait, (place, "x".into())).await.unwrap();
    yield_until(|| last.worker().is_some()).await;
    // This blocks the loop until the last job runs.
    let (guest, _) = listener.accept().unwrap();
    assert!(!last.is_finished());
    drop(guest);
    assert_eq!(last.await.unwrap(), "x");
    for (number, handle) in (0..).zip(handles) {
        assert_eq!(handle.await.unwrap(), number * 2);
    }
}

#[coreloop::test]
async fn async_jobs_share_a_runtime_that_survives_a_panic() {
    let pool = pool(1);
    assert_eq!(pool.run(spawn_a_task, 1).await.unwrap(), 0);
    let panicked = error(pool.run(panic_later, ()).await);
    assert!(panicked.panic_message().unwrap().starts_with("later, at "));
    // The task that the first job has left behind has run since.
    assert_eq!(pool.run(spawn_a_task, 2).await.unwrap(), 1);
}

#[test]
fn a_pool_is_used_between_two_calls_of_block_on() {
    let runtime = Runtime::new().unwrap();
    let pool = runtime.block_on(async { pool(1) });
    // Outside the runtime.
    let handle = pool.job(double, 4).try_submit().unwrap();
    let limited = pool.job(double, 5).timeout(std::time::Duration::MAX);
    let limited = limited.try_submit().unwrap();
    assert_eq!(runtime.block_on(handle).unwrap(), 8);
    assert_eq!(runtime.block_on(limited).unwrap(), 10);
    assert!(
        pool::active_children()
            .iter()
            .any(|child| child.name.contains("pool worker"))
    );
    drop(pool);
}

#[test]
fn the_jobs_of_a_pool_fail_when_its_runtime_has_ended() {
    let runtime = Runtime::new().unwrap();
    let (pool, running, waiting) = runtime.block_on(async {
        let meeting = Meeting::new();
        let pool = pool(1);
        let running = pool
            .submit(wait, (meeting.place(), "a".into()))
            .await
            .unwrap();
        let waiting = pool.submit(double, 1).await.unwrap();
        drop(meeting.guest().await);
        (pool, running, waiting)
    });
    drop(runtime);
    let other = Runtime::new().unwrap();
    other.block_on(async {
        let _ = error(waiting.await.map(drop));
        assert!(error(running.await).is_shut_down());
        assert!(pool.is_closed());
        assert!(error(pool.run(double, 1).await).is_shut_down());
        assert!(error(pool.submit(double, 1).await).is_shut_down());
        assert!(error(pool.ready().await).is_shut_down());
        pool.join().await;
        pool.shutdown(std::time::Duration::MAX).await;
        // Another pool works.
        assert_eq!(self::pool(1).run(double, 1).await.unwrap(), 2);
    });
}

#[test]
fn the_jobs_of_a_pool_fail_if_its_runtime_ends_before_a_worker_is_ready() {
    let runtime = Runtime::new().unwrap();
    let guard = runtime.enter();
    let pool = pool(1);
    let handle = pool.job(double, 1).try_submit().unwrap();
    drop(guard);
    drop(runtime);
    let outcome = coreloop::block_on(poll_once(handle));
    assert!(error(outcome.unwrap()).is_shut_down());
}
