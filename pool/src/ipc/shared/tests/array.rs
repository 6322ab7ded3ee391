//! Arrays on the loop that carries their locks, and on other threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use coreloop_runtime::{block_on, spawn};

use super::super::SharedArray;
use super::super::map::Turns;
use super::super::protected::Protected;
use super::pass;
use crate::ipc::broker::error::done;
use crate::ipc::broker::link::call;
use crate::ipc::broker::protocol::Operation;
use crate::ipc::{LockError, Mutex};

/// Sends a handle to this process, where it is decoded as one of another process would be.
fn received(array: &SharedArray<u64>) -> SharedArray<u64> {
    pass(array).unwrap()
}

#[test]
fn values_are_the_same_through_every_handle() {
    block_on(async {
        let array = SharedArray::from_slice(&[1_u64, 2, 3]).unwrap();
        let other = received(&array);
        assert_eq!((array.len(), other.len()), (3, 3));
        let mut guard = array.lock().await.unwrap();
        assert_eq!(*guard, [1, 2, 3]);
        guard[1] = 20;
        let address = guard.as_ptr();
        drop(guard);
        let mut guard = other.lock().await.unwrap();
        assert_eq!(*guard, [1, 20, 3]);
        // It has a mapping of its own.
        assert_ne!(guard.as_ptr(), address);
        assert_eq!(guard.fencing(), 2);
        guard.reverse();
        drop(guard);
        let guard = array.clone().lock().await.unwrap();
        assert_eq!(*guard, [3, 20, 1]);
        assert_eq!(guard.as_ptr(), address);
    });
}

#[test]
fn there_is_one_guard_of_all_handles() {
    block_on(async {
        let array = SharedArray::<u64>::with_len(1).unwrap();
        let others = [array.clone(), received(&array), received(&array)];
        let guard = array.lock().await.unwrap();
        for other in &others {
            assert!(other.try_lock().await.unwrap().is_none());
            let timed = other.lock_timeout(Duration::from_millis(1)).await;
            assert!(timed.unwrap_err().into_guard().unwrap_err().is_timeout());
            let blocked = other.blocking_lock().unwrap_err();
            assert!(blocked.into_guard().unwrap_err().is_deadlock());
        }
        let locked = thread::spawn(move || others[1].blocking_try_lock().unwrap().is_some());
        assert!(
            !coreloop_runtime::task::spawn_blocking(|| locked.join().unwrap())
                .await
                .unwrap()
        );
        drop(guard);
        assert!(array.try_lock().await.unwrap().is_some());
    });
}

#[test]
fn threads_take_turns() {
    const ROUNDS: u64 = 200;
    block_on(async {
        let array = SharedArray::<u64>::with_len(1_000).unwrap();
        let mut threads = Vec::new();
        for at in 0..4 {
            let array = if at % 2 == 0 {
                array.clone()
            } else {
                received(&array)
            };
            threads.push(coreloop_runtime::task::spawn_blocking(move || {
                for _ in 0..ROUNDS {
                    let mut guard = array.blocking_lock().unwrap();
                    let first = guard[0];
                    assert!(guard.iter().all(|value| *value == first));
                    guard.fill(first + 1);
                }
            }));
        }
        for _ in 0..ROUNDS {
            let mut guard = array.lock().await.unwrap();
            for value in &mut *guard {
                *value += 1;
            }
            drop(guard);
            coreloop_runtime::task::yield_now().await;
        }
        for thread in threads {
            thread.await.unwrap();
        }
        assert_eq!(array.lock().await.unwrap()[999], 5 * ROUNDS);
    });
}

#[test]
fn a_panic_poisons_the_array() {
    block_on(async {
        let array = SharedArray::<u8>::with_len(2).unwrap();
        let mut guard = array.lock().await.unwrap();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let mut guard = {
                guard[0] = 1;
                guard
            };
            guard[5] = 1;
        }));
        assert!(panicked.is_err());
        let LockError::Poisoned(poisoned) = array.lock().await.unwrap_err() else {
            panic!("the array is not poisoned");
        };
        let mut guard = poisoned.into_inner();
        assert_eq!(*guard, [1, 0]);
        guard[0] = 0;
        array.clear_poison().await.unwrap();
        drop(guard);
        assert_eq!(*array.lock().await.unwrap(), [0, 0]);
    });
}

#[test]
fn a_forgotten_guard_keeps_the_array() {
    block_on(async {
        let array = SharedArray::<u8>::with_len(1).unwrap();
        std::mem::forget(array.lock().await.unwrap());
        assert!(array.try_lock().await.unwrap().is_none());
        assert!(pass(&array).unwrap().try_lock().await.unwrap().is_none());
        assert!(array.mutex().holder().await.unwrap().is_some());
    });
}

#[test]
fn the_guard_of_a_closed_array_stays_the_only_one() {
    block_on(async {
        let array = SharedArray::<u8>::with_len(1).unwrap();
        let mut guard = array.lock().await.unwrap();
        let waiting = {
            let array = array.clone();
            spawn(async move { array.lock().await.map(drop) })
        };
        coreloop_runtime::task::yield_now().await;
        array.mutex().close().await.unwrap();
        let error = waiting.await.unwrap().unwrap_err();
        assert!(error.into_guard().unwrap_err().is_closed());
        guard[0] = 7;
        let error = array.try_lock().await.unwrap_err();
        assert!(error.into_guard().unwrap_err().is_closed());
        // A process that does not have the memory yet cannot get it either.
        let error = pass(&array).unwrap().lock().await.unwrap_err();
        assert!(error.into_guard().unwrap_err().is_closed());
        assert_eq!(guard[0], 7);
    });
}

#[test]
fn the_guard_outlives_every_handle_and_the_loop() {
    let runtime = coreloop_runtime::Runtime::new().unwrap();
    let (mut guard, other) = runtime.block_on(async {
        let array = SharedArray::<u64>::with_len(1).unwrap();
        (array.lock().await.unwrap(), received(&array))
    });
    guard[0] = 1;
    drop(runtime);
    guard[0] += 1;
    assert_eq!(guard[0], 2);
    let error = other.blocking_lock().unwrap_err().into_guard().unwrap_err();
    assert!(error.is_disconnected(), "{error}");
}

#[test]
fn a_future_that_is_dropped_gives_the_array_back() {
    block_on(async {
        let array = SharedArray::<u64>::with_len(1).unwrap();
        let other = received(&array);
        for _ in 0..50 {
            let guard = array.lock().await.unwrap();
            let other = other.clone();
            let waiting = spawn(async move { other.lock().await.map(drop) });
            coreloop_runtime::task::yield_now().await;
            drop(guard);
            // It was granted just now.
            waiting.abort();
            drop(waiting.await);
            assert!(array.try_lock().await.unwrap().is_some());
        }
    });
}

#[test]
fn a_changed_handle_is_refused() {
    block_on(async {
        let array = SharedArray::<u64>::with_len(2).unwrap();
        let bytes = postcard::to_stdvec(&array).unwrap();
        // Any serializer will do, and there is no descriptor.
        let decoded: SharedArray<u64> = postcard::from_bytes(&bytes).unwrap();
        assert!(decoded.lock().await.is_ok());
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                let decoded = crate::ipc::decode::<SharedArray<u64>>(&changed, Vec::new());
                assert!(decoded.is_err(), "byte {at}, bit {bit}");
            }
        }
        // The handle of a lock cannot be made a handle of the array.
        let (lock, length, signature): (Mutex, u64, u64) = postcard::from_bytes(&bytes).unwrap();
        let another = Mutex::new().unwrap();
        let forged = postcard::to_stdvec(&(another, length, signature)).unwrap();
        postcard::from_bytes::<SharedArray<u64>>(&forged).unwrap_err();
        drop(lock);
    });
}

#[test]
fn an_array_is_not_of_values_of_another_size() {
    block_on(async {
        let array = SharedArray::<u64>::with_len(2).unwrap();
        let bytes = postcard::to_stdvec(&array).unwrap();
        for error in [
            postcard::from_bytes::<SharedArray<u8>>(&bytes)
                .unwrap()
                .lock()
                .await
                .map(drop)
                .unwrap_err()
                .to_string(),
            postcard::from_bytes::<SharedArray<[u64; 2]>>(&bytes)
                .unwrap()
                .lock()
                .await
                .map(drop)
                .unwrap_err()
                .to_string(),
        ] {
            assert!(error.contains("cannot be used"), "{error}");
        }
        let others: SharedArray<[u32; 2]> = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(*others.lock().await.unwrap(), [[0, 0], [0, 0]]);
    });
}

#[test]
fn the_memory_is_given_only_to_the_family() {
    block_on(async {
        let array = SharedArray::<u64>::with_len(2).unwrap();
        for body in [&b""[..], &[0; 8], &[0; 16], &[0; 17], b"password"] {
            let answer = call(array.mutex().handle(), Operation::MEMORY, body)
                .await
                .unwrap();
            assert!(answer.descriptors.as_ref().unwrap().is_empty());
            let error = done(answer).unwrap_err().to_string();
            assert!(error.contains("another pool or program"), "{error}");
        }
        let lock = Mutex::new().unwrap();
        assert!(Protected::of(&lock).await.is_err());
        Protected::of(array.mutex()).await.unwrap();
    });
}

#[test]
#[should_panic(expected = "the guard is of another lock")]
fn the_guard_of_another_lock_is_no_turn() {
    block_on(async {
        let one = std::sync::Arc::new(Turns::<u8>::create(1, &[]).unwrap());
        let other = Turns::<u8>::create(1, &[]).unwrap();
        let guard = other.lock().lock().await.unwrap();
        let _ = one.turn(guard);
    });
}

#[test]
fn an_array_without_values_or_a_loop_is_an_error() {
    block_on(async {
        let error = SharedArray::<u8>::with_len(0).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        SharedArray::<u8>::from_slice(&[]).unwrap_err();
        SharedArray::<u64>::with_len(usize::MAX / 4).unwrap_err();
    });
    SharedArray::<u8>::with_len(1).unwrap_err();
}
