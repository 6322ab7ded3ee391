//! The counts of `Runtime::metrics`.

use std::future::pending;
use std::io::{Read as _, Write as _};
use std::time::Duration;

use coreloop::io::Async;
use coreloop::runtime::{Builder, Runtime, metrics};
use coreloop::task::{consume_budget, yield_now};
use coreloop::{spawn, time};
use coreloop_test_support::skip::skipped;

#[test]
fn a_new_runtime_has_done_nothing() {
    let metrics = Runtime::new().unwrap().metrics();
    assert_eq!(metrics.alive_tasks(), 0);
    assert_eq!(metrics.spawned_tasks(), 0);
    assert_eq!(metrics.polls(), 0);
    assert_eq!(metrics.ready_tasks(), 0);
    assert_eq!(metrics.parks(), 0);
    assert_eq!(metrics.registered_fds(), 0);
    assert_eq!(metrics.io_events(), 0);
}

#[test]
fn tasks_are_counted_from_spawn_to_end() {
    let runtime = Runtime::new().unwrap();
    let pending = runtime.spawn(pending::<()>());
    drop(runtime.spawn(async {}));
    let before = runtime.metrics();
    assert_eq!((before.spawned_tasks(), before.alive_tasks()), (2, 2));
    assert_eq!(before.ready_tasks(), 2);
    assert_eq!(before.local_schedules(), 2);

    runtime.turn(Some(Duration::ZERO)).unwrap();
    let after = runtime.metrics();
    assert_eq!((after.spawned_tasks(), after.alive_tasks()), (2, 1));
    assert_eq!((after.polls(), after.ready_tasks()), (2, 0));

    pending.abort();
    runtime.turn(Some(Duration::ZERO)).unwrap();
    let end = runtime.metrics();
    assert_eq!(end.alive_tasks(), 0);
    assert_eq!(
        end.remote_schedules(),
        1,
        "the abort came from outside a turn"
    );
}

#[test]
fn tasks_are_counted_across_blocks_of_ids() {
    let runtime = Runtime::new().unwrap();
    let tasks = if cfg!(miri) { 10 } else { (1 << 16) + 10 };
    runtime.block_on(async {
        for _ in 0..tasks {
            drop(spawn(async {}));
        }
    });
    assert_eq!(runtime.metrics().spawned_tasks(), tasks + 1);
}

#[test]
fn each_wake_is_one_poll() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        for _ in 0..10 {
            yield_now().await;
        }
    });
    assert_eq!(runtime.metrics().polls(), 11);
}

#[test]
fn the_poll_that_runs_is_counted() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        for polls in 1..200 {
            assert_eq!(metrics().polls(), polls);
            yield_now().await;
        }
    });
}

#[test]
fn a_loop_counts_the_same_when_its_polls_are_timed() {
    let runtime = Builder::new().slow_poll(Duration::MAX).build().unwrap();
    runtime.block_on(async {
        for _ in 0..10 {
            yield_now().await;
        }
    });
    assert_eq!(runtime.metrics().polls(), 11);
}

#[test]
fn a_task_that_spent_its_budget_is_counted() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        for _ in 0..300 {
            consume_budget().await;
        }
    });
    assert_eq!(runtime.metrics().budget_forced_yields(), 2);
}

#[test]
fn waits_are_counted() {
    // With a paused clock, a wait is a jump to the next timer.
    let runtime = Builder::new().start_paused(true).build().unwrap();
    runtime.block_on(async {
        time::sleep(Duration::from_millis(1)).await;
    });
    let metrics = runtime.metrics();
    assert_eq!(metrics.parks(), 1);
    assert_eq!(metrics.noops(), 0);
}

/// Regression: a poll of the kernel that does not wait was counted as a wait in vain.
#[test]
fn a_turn_that_does_not_wait_is_not_counted_as_a_wait() {
    let runtime = Runtime::new().unwrap();
    for _ in 0..3 {
        runtime.turn(Some(Duration::ZERO)).unwrap();
    }
    let before = runtime.metrics();
    assert_eq!((before.parks(), before.noops()), (0, 0));
    runtime.turn(Some(Duration::from_nanos(1))).unwrap();
    let after = runtime.metrics();
    assert_eq!((after.parks(), after.noops()), (1, 1));
}

#[test]
fn descriptors_and_their_events_are_counted() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let reader = Async::new(reader).unwrap();
        let task = spawn(async move {
            let mut byte = [0];
            reader.read_with(|mut pipe| pipe.read(&mut byte)).await
        });
        yield_now().await;
        assert_eq!(metrics().registered_fds(), 1, "there was nothing to read");
        assert_eq!(metrics().deregistered_fds(), 0);
        writer.write_all(b"x").unwrap();
        assert_eq!(task.await.unwrap().unwrap(), 1);
    });
    let metrics = runtime.metrics();
    assert_eq!(metrics.registered_fds(), 1);
    assert_eq!(metrics.deregistered_fds(), 1);
    assert!(metrics.io_events() >= 1);
}

#[test]
#[should_panic(expected = "runtime::metrics called outside a coreloop runtime")]
fn metrics_outside_a_runtime_panics() {
    let _ = metrics();
}

#[cfg(all(target_os = "linux", not(miri)))]
#[test]
fn busy_duration_grows_while_the_thread_computes() {
    // The counts are zero or missing if the kernel was built without them.
    let counts = std::fs::read_to_string("/proc/thread-self/schedstat");
    if !counts.is_ok_and(|counts| !counts.starts_with("0 0 0")) {
        skipped("this kernel does not count the time of threads");
        return;
    }
    let runtime = Runtime::new().unwrap();
    let before = runtime.metrics().busy_duration();
    // Until the count grows, rather than for a fixed time, because the kernel counts in
    // ticks.
    let mut sum = 0_u64;
    while runtime.metrics().busy_duration() <= before {
        for number in 0..100_000 {
            sum = std::hint::black_box(sum.wrapping_add(number));
        }
    }
}
