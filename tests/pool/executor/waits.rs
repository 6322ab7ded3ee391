//! Waiting for several jobs.

use coreloop::pool::wait;
use coreloop::scope::{ReturnWhen, as_completed};

use super::{Gates, Place, hold, in_each_place, panic_if_odd, poll_once, square};

in_each_place! {
    as_completed_takes_handles
    wait_returns_the_handles_that_have_finished
    wait_returns_at_the_first_error
    wait_may_be_dropped_and_called_again
    a_callback_is_a_task_that_awaits_the_handle
}

async fn as_completed_takes_handles(place: Place) {
    let executor = place.executor(2);
    let mut jobs = Vec::new();
    for number in 0..50 {
        jobs.push(executor.submit(square, number).await.unwrap());
    }
    let mut completed = as_completed(jobs);
    let mut squares = Vec::new();
    while let Some(square) = completed.next().await {
        squares.push(square.unwrap());
    }
    squares.sort_unstable();
    assert_eq!(squares, (0..50).map(square).collect::<Vec<_>>());
}

async fn wait_returns_the_handles_that_have_finished(place: Place) {
    let gates = Gates::new();
    let executor = place.executor(2);
    let mut jobs = Vec::new();
    for _ in 0..3 {
        jobs.push(executor.submit(hold, gates.path()).await.unwrap());
    }
    drop(gates.accept().await);
    let done = wait(&mut jobs, ReturnWhen::First).await;
    assert_eq!((done.len(), jobs.len()), (1, 2));
    for job in done {
        assert!(job.is_finished());
        job.await.unwrap();
    }
    let (done, ()) = coreloop::join!(wait(&mut jobs, ReturnWhen::All), async {
        drop(gates.accept().await);
        drop(gates.accept().await);
    });
    assert_eq!((done.len(), jobs.len()), (2, 0));
    for job in done {
        assert!(job.is_started());
        job.await.unwrap();
    }
    assert!(wait(&mut jobs, ReturnWhen::All).await.is_empty());
}

async fn wait_returns_at_the_first_error(place: Place) {
    let gates = Gates::new();
    let executor = place.executor(2);
    let mut jobs = Vec::new();
    for number in [2, 4, 1] {
        jobs.push(executor.submit(panic_if_odd, number).await.unwrap());
    }
    let held = executor.submit(super::hold_as_number, gates.path()).await;
    jobs.push(held.unwrap());
    let done = wait(&mut jobs, ReturnWhen::FirstError).await;
    assert_eq!(jobs.len() + done.len(), 4);
    let mut errors = 0;
    for job in done {
        errors += usize::from(job.await.is_err());
    }
    assert_eq!(errors, 1);
    drop(gates.accept().await);
    let done = wait(&mut jobs, ReturnWhen::FirstError).await;
    assert!(jobs.is_empty() && !done.is_empty());
}

async fn wait_may_be_dropped_and_called_again(place: Place) {
    let gates = Gates::new();
    let executor = place.executor(2);
    let mut jobs = vec![executor.submit(square, 3).await.unwrap()];
    executor.run(square, 1).await.unwrap();
    jobs.push(
        executor
            .submit(super::hold_as_number, gates.path())
            .await
            .unwrap(),
    );
    let held = gates.accept().await;
    {
        let mut all = Box::pin(wait(&mut jobs, ReturnWhen::All));
        assert!(poll_once(&mut all).await.is_none());
    }
    assert_eq!(jobs.len(), 2);
    drop(held);
    let done = wait(&mut jobs, ReturnWhen::All).await;
    let mut numbers = Vec::new();
    for job in done {
        numbers.push(job.await.unwrap());
    }
    assert_eq!(numbers, [9, 0], "the handles are in the order of the list");
}

async fn a_callback_is_a_task_that_awaits_the_handle(place: Place) {
    let executor = place.executor(1);
    let (sender, receiver) = coreloop::sync::oneshot::channel();
    let job = executor.submit(square, 3).await.unwrap();
    coreloop::spawn(async move { sender.send(job.await.unwrap()) });
    assert_eq!(receiver.await.unwrap(), 9);
}
