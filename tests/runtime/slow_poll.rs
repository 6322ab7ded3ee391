//! The warning about slow polls. Most tests do not measure time: with a limit of zero
//! every poll is slow, and with the longest limit none is.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use coreloop::runtime::{Builder, SlowPoll};
use coreloop::spawn;
use coreloop::task::{self, yield_now};

/// Creates a builder with a limit, and the list that its slow polls are added to.
fn watched(limit: Duration) -> (Builder, Arc<Mutex<Vec<SlowPoll>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&seen);
    let builder = Builder::new()
        .slow_poll(limit)
        .on_slow_poll(move |slow| list.lock().unwrap().push(slow.clone()));
    (builder, seen)
}

#[test]
fn each_slow_poll_is_reported_with_its_task() {
    let (builder, seen) = watched(Duration::ZERO);
    let runtime = builder.build().unwrap();
    let root = runtime.block_on(async {
        let task = task::Builder::new().name("slow").spawn(async {
            yield_now().await;
        });
        task.unwrap().await.unwrap();
        task::id()
    });
    let spawned = line!() - 5;
    let seen = seen.lock().unwrap();
    let of_root = seen.iter().filter(|slow| slow.task().id() == root).count();
    assert_eq!(of_root, 2, "one poll spawns the task, another joins it");
    let of_task: Vec<_> = seen
        .iter()
        .filter(|slow| slow.task().name() == Some("slow"))
        .collect();
    assert_eq!(of_task.len(), 2);
    for slow in of_task {
        let place = slow.task().spawned_at();
        assert_eq!(place.file(), file!());
        assert!(
            (spawned - 1..=spawned + 1).contains(&place.line()),
            "{place}"
        );
        let text = slow.to_string();
        assert!(text.starts_with("a poll of task "), "{text}");
        assert!(text.contains("\"slow\" spawned at "), "{text}");
    }
}

#[test]
fn tasks_of_the_runtime_itself_are_not_reported() {
    let (builder, seen) = watched(Duration::ZERO);
    let runtime = builder.build().unwrap();
    let handle = runtime.handle();
    let sent = std::thread::spawn(move || handle.spawn(|| async { 1 }));
    assert_eq!(runtime.block_on(sent.join().unwrap()).unwrap(), 1);
    let seen = seen.lock().unwrap();
    let places: Vec<_> = seen.iter().map(|slow| slow.task().spawned_at()).collect();
    assert!(places.len() >= 2, "the root and the task");
    assert!(
        places.iter().all(|place| place.file() == file!()),
        "{places:?}"
    );
}

#[test]
#[cfg_attr(miri, ignore = "a hundred tasks, to check that nothing is reported")]
fn a_short_poll_is_not_reported() {
    let (builder, seen) = watched(Duration::MAX);
    builder.build().unwrap().block_on(async {
        for _ in 0..100 {
            spawn(yield_now()).await.unwrap();
        }
    });
    assert!(seen.lock().unwrap().is_empty());
}

#[test]
fn a_slow_poll_is_reported_with_its_duration() {
    let (builder, seen) = watched(Duration::from_millis(20));
    builder.build().unwrap().block_on(async {
        std::thread::sleep(Duration::from_millis(20));
    });
    let seen = seen.lock().unwrap();
    assert!(seen[0].elapsed() >= Duration::from_millis(20));
}

#[test]
fn a_hook_that_panics_does_not_stop_the_loop() {
    let runtime = Builder::new()
        .slow_poll(Duration::ZERO)
        .on_slow_poll(|_| panic!("in the hook"))
        .build()
        .unwrap();
    let output = runtime.block_on(async {
        yield_now().await;
        spawn(async { 3 }).await.unwrap()
    });
    assert_eq!(output, 3);
}

#[test]
fn the_limit_may_be_set_before_or_after_the_hook() {
    for first in [true, false] {
        let seen = Arc::new(Mutex::new(0));
        let count = Arc::clone(&seen);
        let hook = move |_: &SlowPoll| *count.lock().unwrap() += 1;
        let builder = if first {
            Builder::new().slow_poll(Duration::ZERO).on_slow_poll(hook)
        } else {
            Builder::new().on_slow_poll(hook).slow_poll(Duration::ZERO)
        };
        builder.build().unwrap().block_on(async {});
        assert_eq!(*seen.lock().unwrap(), 1);
    }
}

#[test]
fn busy_tasks_do_not_starve_timers_while_polls_are_timed() {
    let (builder, _) = watched(Duration::MAX);
    builder.build().unwrap().block_on(async {
        drop(spawn(async {
            loop {
                yield_now().await;
            }
        }));
        coreloop::time::sleep(Duration::from_millis(1)).await;
    });
}

#[cfg(feature = "tracing")]
mod by_tracing {
    use std::io;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use coreloop::runtime::{Builder, UnhandledPanic};
    use tracing_subscriber::fmt::MakeWriter;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Lines {
        type Writer = Lines;

        fn make_writer(&'a self) -> Lines {
            self.clone()
        }
    }

    #[test]
    fn a_slow_poll_and_an_unseen_panic_are_events() {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(lines.clone())
            .with_ansi(false)
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let runtime = Builder::new().slow_poll(Duration::ZERO).build().unwrap();
            runtime.block_on(async {
                drop(coreloop::spawn(async { panic!("unseen") }));
                coreloop::task::yield_now().await;
            });
        });
        let printed = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(
            printed.contains("WARN coreloop: a poll took long"),
            "{printed}"
        );
        assert!(
            printed.contains("ERROR coreloop: a task panicked"),
            "{printed}"
        );
        assert!(printed.contains(file!()), "{printed}");
        assert!(printed.contains("panic=\"unseen\""), "{printed}");
    }

    /// A writer that panics, which no code expects of it.
    struct Broken;

    impl io::Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            panic!("the subscriber is broken")
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Regression: a panic in the warning propagated from the turn, and left the loop
    /// marked as awake, so that no later wake rang the doorbell. A panic in the report
    /// kept the runtime from being shut down.
    #[test]
    fn a_subscriber_that_panics_does_not_stop_the_loop() {
        let subscriber = tracing_subscriber::fmt().with_writer(|| Broken).finish();
        tracing::subscriber::with_default(subscriber, || {
            let runtime = Builder::new()
                .slow_poll(Duration::ZERO)
                .unhandled_panic(UnhandledPanic::ShutdownRuntime)
                .build()
                .unwrap();
            runtime.block_on(coreloop::task::yield_now());
            drop(runtime.spawn(async { panic!("unseen") }));
            let turn = catch_unwind(AssertUnwindSafe(|| runtime.turn(None)));
            let panic = turn.unwrap_err();
            assert_eq!(panic.downcast_ref::<&str>(), Some(&"unseen"));
        });
    }
}
