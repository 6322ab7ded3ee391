//! Results, errors, arguments and what a job can ask.

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;

use coreloop::net::UnixStream;
use coreloop::pool::{Executor, Pool, job};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::{Gates, Place, in_each_place, panic_quietly, square};

in_each_place! {
    a_job_returns_its_result
    a_panic_is_an_error_with_its_message
    a_function_that_is_not_registered_is_an_error
    a_value_that_does_not_encode_is_an_error_where_values_are_encoded
    arguments_and_results_that_are_too_long_are_errors_where_values_are_encoded
    a_job_knows_its_id_and_attempt
    progress_goes_to_the_handle
    the_initializer_makes_the_state_of_the_worker
    an_initializer_that_fails_fails_the_jobs
    an_initializer_that_panics_fails_the_jobs
    only_threads_run_closures
    the_worker_of_a_job_is_known_if_it_is_a_process
}

#[coreloop::job]
fn join(left: String, right: String) -> String {
    left + &right
}

#[coreloop::job]
async fn later(number: u64) -> u64 {
    coreloop::time::sleep(std::time::Duration::from_millis(1)).await;
    number + 1
}

#[coreloop::job]
fn fail(text: String) -> Result<u8, String> {
    Err(text)
}

#[coreloop::job]
async fn panic_later(text: String) {
    coreloop::task::yield_now().await;
    panic_quietly(text);
}

#[coreloop::job]
fn nothing() {}

async fn a_job_returns_its_result(place: Place) {
    let executor = place.executor(2);
    assert_eq!(executor.run(square, 12).await.unwrap(), 144);
    assert_eq!(executor.run(square, (12,)).await.unwrap(), 144);
    let (left, right) = ("a".to_owned(), "b".to_owned());
    assert_eq!(executor.run(join, (left, right)).await.unwrap(), "ab");
    assert_eq!(executor.run(later, 1).await.unwrap(), 2);
    let failed = executor.run(fail, "no".to_owned()).await.unwrap();
    assert_eq!(failed, Err("no".to_owned()));
    executor.run(nothing, ()).await.unwrap();
    let other = executor.clone();
    drop(executor);
    let job = other.submit(square, 3).await.unwrap();
    assert_eq!(job.await.unwrap(), 9);
}

async fn a_panic_is_an_error_with_its_message(place: Place) {
    let executor = place.executor(1);
    let job = executor
        .submit(panic_quietly, "as wanted".to_owned())
        .await
        .unwrap();
    let error = job.await.unwrap_err();
    assert!(error.is_panic() && error.has_started(), "{error}");
    assert_eq!(error.panic_message(), Some("as wanted"));
    assert_eq!(error.attempts(), 1);
    assert!(error.job_name().unwrap().ends_with("::panic_quietly"));
    let error = executor
        .run(panic_later, "later".to_owned())
        .await
        .unwrap_err();
    assert_eq!(error.into_panic_message().unwrap(), "later");
    assert_eq!(executor.run(square, 2).await.unwrap(), 4);
}

fn unregistered() {}

async fn a_function_that_is_not_registered_is_an_error(place: Place) {
    let executor = place.executor(1);
    let error = executor.submit(unregistered, ()).await.unwrap_err();
    assert!(error.is_not_registered() && !error.has_started(), "{error}");
    assert!(error.to_string().contains("::unregistered"), "{error}");
    let error = executor.run(|number: u8| number, 1).await.unwrap_err();
    assert!(error.is_not_registered(), "{error}");
}

/// A value that is encoded or decoded only if the number is not the one that fails.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Fragile(u8);

/// The number with which encoding fails, and the one with which decoding fails.
const NOT_ENCODED: u8 = 1;
const NOT_DECODED: u8 = 2;

impl Serialize for Fragile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            NOT_ENCODED => Err(ser::Error::custom("it does not encode")),
            number => number.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Fragile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            NOT_DECODED => Err(de::Error::custom("it does not decode")),
            number => Ok(Self(number)),
        }
    }
}

#[coreloop::job]
fn take_fragile(value: Fragile) -> u8 {
    value.0
}

#[coreloop::job]
fn give_fragile(number: u8) -> Fragile {
    Fragile(number)
}

async fn a_value_that_does_not_encode_is_an_error_where_values_are_encoded(place: Place) {
    let executor = place.executor(1);
    for number in 0..3 {
        let taken = executor.run(take_fragile, Fragile(number)).await;
        let given = executor.run(give_fragile, number).await;
        if number == 0 || !place.is_encoded() {
            assert_eq!(taken.unwrap(), number);
            assert_eq!(given.unwrap(), Fragile(number));
            continue;
        }
        let (taken, given) = (taken.unwrap_err(), given.unwrap_err());
        assert!(taken.is_codec() && given.is_codec(), "{taken}; {given}");
        assert_eq!(taken.has_started(), number == NOT_DECODED);
        assert!(given.has_started());
    }
    assert_eq!(executor.run(square, 2).await.unwrap(), 4);
}

#[coreloop::job]
fn length(text: String) -> usize {
    text.len()
}

#[coreloop::job]
fn repeat(length: usize) -> String {
    "x".repeat(length)
}

async fn arguments_and_results_that_are_too_long_are_errors_where_values_are_encoded(place: Place) {
    let executor = place.build(Executor::builder().max_message(1_000), 1);
    let fits = executor.run(length, "x".repeat(998)).await;
    assert_eq!(fits.unwrap(), 998);
    assert_eq!(executor.run(repeat, 998).await.unwrap().len(), 998);
    let taken = executor.run(length, "x".repeat(999)).await;
    let given = executor.run(repeat, 999).await;
    if place.is_encoded() {
        let (taken, given) = (taken.unwrap_err(), given.unwrap_err());
        assert!(taken.is_codec() && !taken.has_started(), "{taken}");
        assert!(given.is_codec() && given.has_started(), "{given}");
    } else {
        assert_eq!(taken.unwrap(), 999);
        assert_eq!(given.unwrap().len(), 999);
    }
}

#[coreloop::job]
fn identity() -> (Option<u64>, Option<u32>) {
    (job::id(), job::attempt())
}

#[coreloop::job]
async fn identity_later() -> (Option<u64>, Option<u32>) {
    coreloop::task::yield_now().await;
    identity()
}

async fn a_job_knows_its_id_and_attempt(place: Place) {
    let executor = place.executor(1);
    let first = executor.run(identity, ()).await.unwrap();
    let second = executor.run(identity_later, ()).await.unwrap();
    assert_eq!((first.1, second.1), (Some(1), Some(1)));
    assert_ne!(first.0.unwrap(), second.0.unwrap());
    assert_eq!(identity(), (None, None));
}

#[coreloop::job]
async fn report(path: PathBuf) {
    let mut stream = UnixStream::connect(path).await.unwrap();
    for number in [1_u8, 2, 3] {
        job::progress(&number).unwrap();
        // The test has read it.
        let mut byte = [0];
        if stream.read(&mut byte).await.unwrap() == 0 {
            return;
        }
    }
}

async fn progress_goes_to_the_handle(place: Place) {
    let gates = Gates::new();
    let executor = place.executor(1);
    let job = executor.submit(report, gates.path()).await.unwrap();
    let mut progress = job.progress::<u8>();
    let mut stream = gates.accept().await;
    for number in [1, 2, 3] {
        assert_eq!(progress.changed().await.unwrap().unwrap(), number);
        assert_eq!(progress.latest().unwrap().unwrap(), number);
        let mut other = job.progress::<u8>();
        assert_eq!(other.latest().unwrap().unwrap(), number);
        let wrong = job.progress::<String>();
        assert!(wrong.latest().unwrap().unwrap_err().is_codec());
        if number < 3 {
            stream.write_all(b"x").await.unwrap();
        } else {
            let both = coreloop::join!(progress.changed(), async {
                drop(stream);
                job.await.unwrap();
                let _ = other.changed().await;
                other.changed().await
            });
            assert!(both.0.is_none() && both.1.is_none());
            break;
        }
    }
}

#[coreloop::job(initializer)]
fn start_at(number: u32) -> Result<Rc<Cell<u32>>, String> {
    match number {
        0 => Err("no zero".to_owned()),
        number => Ok(Rc::new(Cell::new(number))),
    }
}

#[coreloop::job(initializer)]
async fn start_later(number: u32) -> Rc<Cell<u32>> {
    coreloop::task::yield_now().await;
    Rc::new(Cell::new(number))
}

#[coreloop::job(initializer)]
fn start_with_panic() {
    panic_quietly("no state".to_owned());
}

#[coreloop::job]
async fn next_number() -> u32 {
    coreloop::task::yield_now().await;
    let state = job::worker_state::<Rc<Cell<u32>>>();
    state.set(state.get() + 1);
    state.get()
}

async fn the_initializer_makes_the_state_of_the_worker(place: Place) {
    for is_async in [false, true] {
        let builder = Executor::builder();
        let executor = match is_async {
            false => place.build(builder.initializer(start_at, 10), 1),
            true => place.build(builder.initializer(start_later, 10), 1),
        };
        for expected in 11..14 {
            assert_eq!(executor.run(next_number, ()).await.unwrap(), expected);
        }
        // The state belongs to the jobs.
        assert!(job::try_worker_state::<Rc<Cell<u32>>>().is_none());
    }
}

async fn an_initializer_that_fails_fails_the_jobs(place: Place) {
    let executor = place.build(Executor::builder().initializer(start_at, 0), 1);
    for _ in 0..3 {
        let error = executor.run(next_number, ()).await.unwrap_err();
        assert!(error.is_initializer() && !error.has_started(), "{error}");
        assert!(error.to_string().contains("no zero"), "{error}");
    }
    executor.close();
    executor.join().await;
}

async fn an_initializer_that_panics_fails_the_jobs(place: Place) {
    let executor = place.build(Executor::builder().initializer(start_with_panic, ()), 1);
    let job = executor.submit(square, 1).await.unwrap();
    let error = job.await.unwrap_err();
    assert!(error.is_initializer(), "{error}");
    let text = "the initializer panicked: no state";
    assert!(error.to_string().contains(text), "{error}");
    let mut results = executor.map(square, 0..2);
    while let Some(result) = futures_lite::StreamExt::next(&mut results).await {
        assert!(result.unwrap_err().is_initializer());
    }
}

async fn only_threads_run_closures(place: Place) {
    let executor = place.executor(1);
    let text = "captured".to_owned();
    let spawned = executor.spawn(move || (text, job::id())).await;
    if place == Place::Threads {
        let (text, id) = spawned.unwrap().await.unwrap();
        assert!(text == "captured" && id.is_some());
        let panics = || std::panic::resume_unwind(Box::new("in a closure"));
        let error = executor
            .spawn::<_, ()>(panics)
            .await
            .unwrap()
            .await
            .unwrap_err();
        assert_eq!(error.panic_message(), Some("in a closure"));
        assert_eq!(error.job_name(), None);
    } else {
        let error = spawned.unwrap_err();
        assert!(error.is_not_registered(), "{error}");
        assert!(error.to_string().contains("closure"), "{error}");
    }
}

async fn the_worker_of_a_job_is_known_if_it_is_a_process(place: Place) {
    let executor = place.executor(1);
    let gates = Gates::new();
    let job = executor.submit(super::hold, gates.path()).await.unwrap();
    let held = gates.accept().await;
    assert!(job.is_started() && !job.is_finished());
    let worker = job.worker();
    assert_eq!(worker.is_some(), place == Place::Processes);
    drop(held);
    let pid = job.await.unwrap();
    assert_eq!(pid, worker.unwrap_or(std::process::id()));
}

#[coreloop::test]
async fn an_executor_is_made_of_a_pool() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let executor = Executor::from(pool.clone());
    assert_eq!(executor.run(square, 5).await.unwrap(), 25);
    assert_eq!(pool.metrics().done, 1);
    executor.close();
    assert!(pool.is_closed());
}

#[coreloop::job]
fn thread_name() -> Option<String> {
    std::thread::current().name().map(str::to_owned)
}

#[coreloop::test]
async fn threads_have_names() {
    let executor = Executor::threads(1).unwrap();
    let name = executor.run(thread_name, ()).await.unwrap();
    assert_eq!(name.as_deref(), Some("job-0"));
    let executor = Executor::builder().name("resize").threads(1).unwrap();
    let name = executor.run(thread_name, ()).await.unwrap();
    assert_eq!(name.as_deref(), Some("resize-0"));
}

#[coreloop::test]
async fn options_that_cannot_work_are_errors() {
    use coreloop::process::Workers;

    fn unregistered_initializer() {}
    let builder = || Executor::builder().initializer(unregistered_initializer, ());
    for error in [
        builder().threads(1).unwrap_err(),
        builder().processes(1).unwrap_err(),
        builder().inline().unwrap_err(),
        Executor::threads(Workers::threads(2)).unwrap_err(),
        Executor::processes(Workers::threads(2)).unwrap_err(),
    ] {
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{error}");
    }
}

#[test]
fn outside_a_runtime_there_is_no_executor() {
    assert!(Executor::threads(1).is_err());
    assert!(Executor::inline().is_err());
}
