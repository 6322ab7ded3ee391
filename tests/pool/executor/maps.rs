//! Maps.

use std::cell::Cell;
use std::path::PathBuf;

use coreloop::pool::Executor;
use futures_lite::{StreamExt, stream};

use super::{Gates, Place, create, hold, in_each_place, panic_if_odd, square};

in_each_place! {
    map_returns_the_results_in_order
    map_unordered_returns_each_result_once
    an_error_in_the_middle_does_not_end_the_map
    an_endless_input_is_taken_as_far_as_the_window_allows
    the_inputs_may_be_a_stream
    a_function_that_is_not_registered_is_one_error
    dropping_the_map_cancels_its_jobs
    a_map_of_a_closed_executor_returns_errors
    no_inputs_are_no_results
    map_unordered_does_not_wait_for_the_first_job
}

async fn map_returns_the_results_in_order(place: Place) {
    let executor = place.executor(2);
    for (window, chunk) in [(1, 1), (3, 1), (10, 4), (64, 7), (5, 100)] {
        let results = executor.map(square, 0..100).window(window).chunks(chunk);
        let results: Result<Vec<_>, _> = results.collect::<Vec<_>>().await.into_iter().collect();
        let expected: Vec<u64> = (0..100).map(square).collect();
        assert_eq!(results.unwrap(), expected, "{window} {chunk}");
    }
}

async fn map_unordered_returns_each_result_once(place: Place) {
    let executor = place.executor(2);
    for (window, chunk) in [(1, 1), (3, 1), (10, 4), (64, 7), (5, 100)] {
        let results = executor.map_unordered(square, 0..100);
        let results = results.window(window).chunks(chunk);
        let mut results: Vec<u64> = results.map(Result::unwrap).collect().await;
        results.sort_unstable();
        let expected: Vec<u64> = (0..100).map(square).collect();
        assert_eq!(results, expected, "{window} {chunk}");
    }
}

async fn an_error_in_the_middle_does_not_end_the_map(place: Place) {
    let executor = place.executor(2);
    for chunk in [1, 3, 50] {
        let results = executor.map(panic_if_odd, 0..20).chunks(chunk);
        let results: Vec<_> = results.collect().await;
        assert_eq!(results.len(), 20);
        for (number, result) in (0..).zip(results) {
            match result {
                Ok(result) => assert_eq!(result, number),
                Err(error) => assert!(error.is_panic() && number % 2 == 1, "{error}"),
            }
        }
    }
}

async fn an_endless_input_is_taken_as_far_as_the_window_allows(place: Place) {
    let executor = place.executor(2);
    for chunk in [1, 2, 3] {
        let taken = Cell::new(0);
        let inputs = std::iter::from_fn(|| {
            taken.set(taken.get() + 1);
            Some(taken.get())
        });
        let mut results = executor.map(square, inputs).window(5).chunks(chunk);
        for returned in 1..=50 {
            assert!(taken.get() <= returned - 1 + 5);
            let result = results.next().await.unwrap().unwrap();
            assert_eq!(result, returned * returned);
            assert!(taken.get() <= returned + 5, "{taken:?} of {returned}");
        }
        drop(results);
    }
    assert_eq!(executor.run(square, 3).await.unwrap(), 9);
}

async fn the_inputs_may_be_a_stream(place: Place) {
    let executor = place.executor(2);
    for chunk in [1, 4] {
        let inputs = stream::unfold(0, async |number| {
            coreloop::task::yield_now().await;
            (number < 20).then_some((number, number + 1))
        });
        let results = executor.map(square, inputs).chunks(chunk);
        let results: Vec<u64> = results.map(Result::unwrap).collect().await;
        assert_eq!(results, (0..20).map(square).collect::<Vec<_>>());
    }
}

fn unregistered(number: u64) -> u64 {
    number
}

async fn a_function_that_is_not_registered_is_one_error(place: Place) {
    let executor = place.executor(1);
    let mut results = executor.map(unregistered, 0..).chunks(3);
    assert!(
        results
            .next()
            .await
            .unwrap()
            .unwrap_err()
            .is_not_registered()
    );
    assert!(results.next().await.is_none());
    let mut results = executor.map_unordered(unregistered, 0..);
    assert!(
        results
            .next()
            .await
            .unwrap()
            .unwrap_err()
            .is_not_registered()
    );
    assert!(results.next().await.is_none());
}

async fn dropping_the_map_cancels_its_jobs(place: Place) {
    let gates = Gates::new();
    let executor = place.executor(1);
    let running = executor.submit(hold, gates.path()).await.unwrap();
    let held = gates.accept().await;
    let files: Vec<PathBuf> = (0..10)
        .map(|number| gates.folder.path(&number.to_string()))
        .collect();
    for is_ordered in [true, false] {
        let mut results = match is_ordered {
            true => executor.map(create, files.clone()),
            false => executor.map_unordered(create, files.clone()),
        };
        assert!(
            super::poll_once(&mut Box::pin(results.next()))
                .await
                .is_none()
        );
        drop(results);
    }
    drop(held);
    running.await.unwrap();
    executor.run(square, 1).await.unwrap();
    assert!(files.iter().all(|file| !file.exists()));
}

async fn a_map_of_a_closed_executor_returns_errors(place: Place) {
    let executor = place.executor(1);
    executor.close();
    let results: Vec<_> = executor.map(square, 0..5).chunks(2).collect().await;
    assert_eq!(results.len(), 5);
    assert!(
        results
            .into_iter()
            .all(|result| result.unwrap_err().is_shut_down())
    );
}

async fn no_inputs_are_no_results(place: Place) {
    let executor = place.executor(1);
    assert!(
        executor
            .map(square, Vec::<u64>::new())
            .next()
            .await
            .is_none()
    );
    assert!(
        executor
            .map_unordered(square, None::<u64>)
            .next()
            .await
            .is_none()
    );
}

#[coreloop::job]
async fn hold_first(number: u64, path: PathBuf) -> u64 {
    if number == 0 {
        hold(path).await;
    }
    number
}

async fn map_unordered_does_not_wait_for_the_first_job(place: Place) {
    let gates = Gates::new();
    let executor = place.executor(2);
    let inputs = (0..10).map(|number| (number, gates.path()));
    let mut results = executor.map_unordered(hold_first, inputs);
    if place == Place::Inline {
        // The jobs run in order.
        let all = results.map(Result::unwrap).collect::<Vec<_>>();
        let (all, _) = coreloop::join!(all, async { drop(gates.accept().await) });
        assert_eq!(all, (0..10).collect::<Vec<_>>());
        return;
    }
    let mut numbers = Vec::new();
    while numbers.len() < 9 {
        numbers.push(results.next().await.unwrap().unwrap());
    }
    assert!(!numbers.contains(&0));
    drop(gates.accept().await);
    assert_eq!(results.next().await.unwrap().unwrap(), 0);
    assert!(results.next().await.is_none());
}

#[coreloop::test]
async fn a_map_may_borrow_its_inputs() {
    let numbers = [1, 2, 3];
    let executor = Executor::threads(1).unwrap();
    let results = executor.map(square, numbers.iter().copied());
    let results: Vec<u64> = results.map(Result::unwrap).collect().await;
    assert_eq!(results, [1, 4, 9]);
    assert_eq!(numbers.len(), 3);
}
