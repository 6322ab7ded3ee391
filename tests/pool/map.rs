//! `map` and `map_unordered`.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use coreloop::pool::{Pool, job};
use coreloop_test_support::deadline::yield_until;
use futures_lite::StreamExt;
use futures_lite::future::poll_once;

use crate::meeting::{Meeting, wait_at};

#[coreloop::job]
fn square(number: u64) -> u64 {
    number * number
}

#[coreloop::job]
fn add(left: u64, right: u64) -> u64 {
    left + right
}

#[coreloop::job]
fn id_of_the_job(_number: u64) -> u64 {
    job::id().unwrap()
}

#[coreloop::job]
fn wait_if_first(place: String, number: u32) -> u32 {
    if number == 0 {
        wait_at(&place, "");
    }
    number
}

#[coreloop::job]
fn wait(place: String, number: u32) -> u32 {
    wait_at(&place, &number.to_string());
    number
}

#[coreloop::job]
fn fail_on_three(number: u32) -> Result<u32, String> {
    match number {
        3 => Err("three".to_owned()),
        4 => panic!("four"),
        5 => std::process::exit(0),
        _ => Ok(number),
    }
}

#[coreloop::job]
fn bytes(length: usize) -> Vec<u8> {
    vec![0; length]
}

#[coreloop::job]
fn length(text: String) -> usize {
    text.len()
}

#[coreloop::test]
async fn results_come_in_the_order_of_the_inputs() {
    let pool = Pool::builder().workers(2).build().unwrap();
    for chunk in [1, 2, 7, 1_000] {
        for window in [1, 3, 50, 10_000] {
            let map = pool.map(square, 0..100).chunks(chunk).window(window);
            let results: Vec<u64> = map.map(Result::unwrap).collect().await;
            let expected: Vec<u64> = (0..100).map(|number| number * number).collect();
            assert_eq!(results, expected, "chunks of {chunk}, window {window}");
            let map = pool
                .map_unordered(square, 0..100)
                .chunks(chunk)
                .window(window);
            let mut results: Vec<u64> = map.map(Result::unwrap).collect().await;
            results.sort_unstable();
            assert_eq!(results, expected, "chunks of {chunk}, window {window}");
        }
    }
}

#[coreloop::test]
async fn inputs_are_tuples_iterators_and_streams() {
    let pool = Pool::builder().workers(2).build().unwrap();
    let pairs = vec![(1, 2), (3, 4)];
    let sums: Vec<u64> = pool.map(add, pairs).map(Result::unwrap).collect().await;
    assert_eq!(sums, [3, 7]);
    let stream = futures_lite::stream::iter(0..5_u64);
    let squares: Vec<u64> = pool.map(square, stream).map(Result::unwrap).collect().await;
    assert_eq!(squares, [0, 1, 4, 9, 16]);
    let mut none = pool.map(square, std::iter::empty::<u64>());
    assert!(none.next().await.is_none());
    assert!(none.next().await.is_none());
}

#[coreloop::test]
async fn a_stream_that_waits_gets_the_results_of_what_it_gave() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let (sender, receiver) = coreloop::sync::mpsc::unbounded_channel();
    let mut results = pool.map(square, receiver).chunks(100);
    for number in 1..4_u64 {
        sender.send(number).unwrap();
        assert_eq!(results.next().await.unwrap().unwrap(), number * number);
    }
    drop(sender);
    assert!(results.next().await.is_none());
}

#[coreloop::test]
async fn an_endless_iterator_is_taken_only_as_far_as_the_window() {
    let pool = Pool::builder().workers(2).build().unwrap();
    for (chunk, is_ordered) in [(1, true), (1, false), (8, true), (8, false)] {
        let taken = Rc::new(Cell::new(0_u64));
        let count = Rc::clone(&taken);
        let inputs = (0..).inspect(move |_| count.set(count.get() + 1));
        let mut results = match is_ordered {
            true => pool.map(square, inputs),
            false => pool.map_unordered(square, inputs),
        }
        .window(32)
        .chunks(chunk);
        for returned in 0..1_000 {
            results.next().await.unwrap().unwrap();
            assert!(
                taken.get() <= returned + 33,
                "{} taken of {returned}",
                taken.get()
            );
        }
    }
}

#[coreloop::test]
async fn chunks_stay_full_after_the_first_window() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let ids: Vec<u64> = pool
        .map(id_of_the_job, 0..1_000)
        .chunks(10)
        .window(40)
        .map(Result::unwrap)
        .collect()
        .await;
    assert!(
        ids.chunks(10)
            .all(|chunk| chunk.iter().all(|&id| id == chunk[0]))
    );
    assert_eq!(pool.metrics().done, 100);
}

#[coreloop::test]
async fn an_error_in_the_middle_ends_nothing() {
    let pool = Pool::builder().workers(2).build().unwrap();
    for chunk in [1, 4, 100] {
        let results: Vec<_> = pool.map(fail_on_three, 0..20).chunks(chunk).collect().await;
        assert_eq!(results.len(), 20);
        assert!(results[5].as_ref().unwrap_err().is_broken_worker());
        for (number, result) in (0..).zip(&results) {
            match (number, result) {
                (5, _) => {}
                // They ran in the chunk of the worker that has ended.
                (0..5, Err(error)) if error.is_broken_worker() && chunk > 1 => {}
                (3, result) => assert_eq!(result.as_ref().unwrap(), &Err("three".to_owned())),
                (4, result) => assert!(result.as_ref().unwrap_err().is_panic()),
                (_, result) => assert_eq!(result.as_ref().unwrap(), &Ok(number)),
            }
        }
    }
}

#[coreloop::test]
async fn only_the_call_that_kills_its_worker_fails_if_calls_may_be_repeated() {
    let pool = Pool::builder().workers(2).build().unwrap();
    let map = pool
        .map(fail_on_three, 0..20)
        .chunks(100)
        .idempotent(true)
        .attempts(2);
    let results: Vec<_> = map.collect().await;
    for (number, result) in (0..).zip(&results) {
        match number {
            3 => assert_eq!(result.as_ref().unwrap(), &Err("three".to_owned())),
            4 => assert!(result.as_ref().unwrap_err().is_panic()),
            5 => {
                let error = result.as_ref().unwrap_err();
                assert!(error.is_broken_worker());
                assert_eq!(error.attempts(), 2);
            }
            _ => assert_eq!(result.as_ref().unwrap(), &Ok(number)),
        }
    }
    assert_eq!(results.len(), 20);
}

#[coreloop::test]
async fn a_map_that_is_dropped_cancels_its_jobs() {
    for chunk in [1, 2] {
        let pool = Pool::builder().workers(1).build().unwrap();
        let meeting = Meeting::new();
        let place = meeting.place();
        let inputs = (0..).map(move |number| (place.clone(), number));
        let mut results = pool.map(wait, inputs).chunks(chunk);
        assert!(poll_once(results.next()).await.is_none());
        let guest = meeting.guest().await;
        assert_eq!(guest.text, "0");
        drop(results);
        assert_eq!((pool.metrics().queued, pool.metrics().running), (0, 1));
        guest.release();
        for _ in 1..chunk {
            meeting.guest().await.release();
        }
        yield_until(|| pool.metrics().running == 0).await;
        assert_eq!(pool.run(square, 3).await.unwrap(), 9);
        assert!(poll_once(meeting.guest()).await.is_none());
        pool.close();
        pool.join().await;
    }
}

#[coreloop::test]
async fn a_map_is_dropped_after_any_number_of_polls() {
    let pool = Pool::builder().workers(2).build().unwrap();
    for polls in 0..100 {
        let mut map = pool.map(square, 0..).chunks(1 + polls % 5).window(20);
        let mut left = polls;
        poll_fn(|cx| {
            while left > 0 {
                left -= 1;
                if map.poll_next(cx).is_pending() {
                    return Poll::Pending;
                }
            }
            Poll::Ready(())
        })
        .await;
        drop(map);
        assert_eq!(pool.metrics().queued, 0);
    }
    assert_eq!(pool.run(square, 3).await.unwrap(), 9);
    yield_until(|| pool.metrics().running == 0).await;
    pool.close();
    pool.join().await;
}

#[coreloop::test]
async fn an_ordered_map_waits_for_a_slow_first_result_and_an_unordered_one_does_not() {
    let pool = Pool::builder().workers(2).prefetch(4).build().unwrap();
    let meeting = Meeting::new();
    let inputs = |place: &str| {
        let place = place.to_owned();
        (0..20).map(move |number| (place.clone(), number))
    };
    let mut ordered = pool.map(wait_if_first, inputs(&meeting.place()));
    assert!(poll_once(ordered.next()).await.is_none());
    let guest = meeting.guest().await;
    yield_until(|| pool.metrics().done == 19).await;
    assert!(poll_once(ordered.next()).await.is_none());
    guest.release();
    let results: Vec<u32> = ordered.map(Result::unwrap).collect().await;
    assert_eq!(results, (0..20).collect::<Vec<u32>>());

    let mut unordered = pool.map_unordered(wait_if_first, inputs(&meeting.place()));
    let mut results = Vec::new();
    while results.len() < 19 {
        results.push(unordered.next().await.unwrap().unwrap());
    }
    results.sort_unstable();
    assert_eq!(results, (1..20).collect::<Vec<u32>>());
    meeting.guest().await.release();
    assert_eq!(unordered.next().await.unwrap().unwrap(), 0);
    assert!(unordered.next().await.is_none());
}

#[coreloop::test]
async fn chunks_whose_arguments_or_results_are_long_together_are_divided_or_fail() {
    let pool = Pool::builder()
        .workers(1)
        .max_message(1_000)
        .build()
        .unwrap();
    // The arguments of two are too long for one message.
    for texts in [vec![600; 5], vec![10, 998, 10, 998, 10], vec![499; 7]] {
        let inputs = texts.iter().map(|&length| "x".repeat(length));
        let map = pool.map(length, inputs).chunks(100);
        let lengths: Vec<usize> = map.map(Result::unwrap).collect().await;
        assert_eq!(lengths, texts);
    }
    let mut results = pool.map(bytes, vec![400; 4]).chunks(100);
    for is_ok in [true, true, false, false] {
        match results.next().await.unwrap() {
            Ok(bytes) => assert!(is_ok && bytes.len() == 400),
            Err(error) => assert!(!is_ok && error.is_codec(), "{error}"),
        }
    }
    // The headers of this many results alone are longer than a message may be.
    let tiny = Pool::builder().workers(1).max_message(16).build().unwrap();
    let results: Vec<_> = tiny.map(bytes, vec![20; 50]).chunks(100).collect().await;
    assert_eq!(results.len(), 50);
    assert!(
        results
            .iter()
            .all(|result| result.as_ref().unwrap_err().is_codec())
    );
    // All by the same worker.
    assert_eq!(tiny.metrics().workers[0].done, tiny.metrics().done);
}

#[coreloop::test]
async fn a_map_of_a_closed_pool_has_errors() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let mut before = pool.map(square, 1..4);
    assert!(poll_once(before.next()).await.is_none());
    pool.close();
    let after: Vec<_> = pool.map(square, 1..4).collect().await;
    assert_eq!(after.len(), 3);
    assert!(
        after
            .iter()
            .all(|result| result.as_ref().unwrap_err().is_shut_down())
    );
    let before: Vec<u64> = before.map(Result::unwrap).collect().await;
    assert_eq!(before, [1, 4, 9]);
    let mut missing = pool.map(|number: u8| number, 0..3_u8);
    assert!(
        missing
            .next()
            .await
            .unwrap()
            .unwrap_err()
            .is_not_registered()
    );
    assert!(missing.next().await.is_none());
}
