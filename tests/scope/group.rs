//! `TaskGroup`, and the ways to wait for several futures: `race!`, `as_completed`,
//! `wait`.

use std::cell::Cell;
use std::future::{Future, pending};
use std::rc::Rc;
use std::time::Duration;

use coreloop::cleanup::{bracket, flush};
use coreloop::scope::{
    MemberError, ReturnWhen, Started, TaskGroup, as_completed, cancel_scope, scope, wait,
};
use coreloop::task::JoinSet;
use coreloop::time::timeout;
use coreloop::{block_on, race, spawn};

use coreloop_test_support::clock::paused;
use coreloop_test_support::on_drop::OnDrop;
use coreloop_test_support::panics::recorded;
use coreloop_test_support::rerun::{is_rerun, rerun};
use coreloop_test_support::trace::{TICK, Trace, ticks};

fn used(trace: &Trace, name: &'static str, count: u32) -> impl Future<Output = ()> + use<> {
    let close = trace.closing(count);
    bracket(async move || name, async |_| pending::<()>().await, close)
}

/// A member that does not fail.
async fn fine<E>(future: impl Future<Output = ()>) -> Result<(), E> {
    future.await;
    Ok(())
}

#[coreloop::test(start_paused = true)]
async fn a_failure_cancels_the_others_and_waits_for_their_cleanups() {
    let trace = Trace::new();
    let mut group = TaskGroup::new();
    let sibling = used(&trace, "a", 3);
    let cancelled = group.spawn(fine(sibling));
    let line = line!() + 1;
    let failed = group.spawn(async {
        ticks(1).await;
        Err::<(), _>("failed")
    });
    let error = group.join().await.unwrap_err();
    trace.note("joined");
    assert_eq!(*error.first(), "failed");
    assert_eq!(error.task().spawned_at().line(), line);
    assert!(error.others().is_empty());
    assert_eq!(error.into_first(), "failed");
    assert!(matches!(cancelled.await, Err(MemberError::Cancelled)));
    assert!(matches!(failed.await, Err(MemberError::Cancelled)));
    trace.assert(&["1 a begin", "4 a end", "4 joined"]);
}

/// trio raised an error that was alone without its group, and regretted that.
/// <https://github.com/python-trio/trio/issues/611>,
/// <https://github.com/python-trio/trio/issues/2301>
#[coreloop::test(start_paused = true)]
async fn of_several_errors_in_a_turn_the_first_is_returned() {
    let mut group = TaskGroup::new();
    for number in [1, 2, 3] {
        drop(group.spawn(async move { Err::<(), _>(number) }));
    }
    let error = group.join().await.unwrap_err();
    assert_eq!(*error.first(), 1);
    assert!(error.to_string().contains("failed: 1"), "{error}");
}

#[coreloop::test(start_paused = true)]
async fn the_handles_of_members_return_their_outputs() {
    let mut group = TaskGroup::<()>::new();
    let handles: Vec<_> = (0..20)
        .map(|number| {
            group.spawn(async move {
                ticks(20 - number).await;
                Ok(number)
            })
        })
        .collect();
    group.join().await.unwrap();
    for (number, handle) in (0..).zip(handles) {
        assert_eq!(handle.await, Ok(number));
    }
}

#[coreloop::test(start_paused = true)]
async fn a_panic_cancels_the_others_and_propagates_from_join() {
    let trace = Trace::new();
    let joining = spawn({
        let trace = trace.clone();
        async move {
            let mut group = TaskGroup::<()>::new();
            let sibling = used(&trace, "a", 2);
            drop(group.spawn(fine(sibling)));
            let panics = group.spawn(async {
                ticks(1).await;
                panic!("in a member");
                #[expect(unreachable_code, reason = "gives the type")]
                Ok(())
            });
            assert!(matches!(panics.await, Err(MemberError::Panicked)));
            drop(group.join().await);
        }
    });
    let error = joining.await.unwrap_err();
    assert_eq!(
        *error.into_panic().downcast::<&str>().unwrap(),
        "in a member"
    );
    trace.assert(&["1 a begin", "3 a end"]);
}

#[coreloop::test(start_paused = true)]
async fn a_supervisor_continues_and_returns_the_errors_that_were_not_joined() {
    let mut group = TaskGroup::supervisor();
    let seen = group.spawn(async { Err::<(), _>("seen") });
    let unseen = group.spawn(async { Err::<(), _>("unseen") });
    drop(group.spawn(async { Err::<(), _>("detached") }));
    let panics = group.spawn(async {
        panic!("in a member");
        #[expect(unreachable_code, reason = "gives the type")]
        Ok(())
    });
    let works = group.spawn(async {
        ticks(3).await;
        Ok(1)
    });
    assert_eq!(seen.await, Err(MemberError::Failed("seen")));
    assert_eq!(panics.await, Err(MemberError::Panicked));
    drop(unseen);
    assert_eq!(works.await, Ok(1));
    let error = group.join().await.unwrap_err();
    assert_eq!(
        (*error.first(), error.others()[0].1),
        ("detached", "unseen")
    );
}

#[coreloop::test(start_paused = true)]
async fn daemons_end_after_the_other_tasks() {
    let trace = Trace::new();
    let mut group = TaskGroup::<()>::new();
    let daemon = used(&trace, "daemon", 1);
    drop(group.spawn_daemon(fine(daemon)));
    drop(group.spawn(fine(ticks(2))));
    group.join().await.unwrap();
    trace.note("joined");
    trace.assert(&["2 daemon begin", "3 daemon end", "3 joined"]);
}

/// <https://github.com/python/cpython/issues/155418>
#[coreloop::test(start_paused = true)]
async fn a_task_spawned_into_a_cancelled_group_is_never_polled() {
    let begun = Rc::new(Cell::new(false));
    let mut group = TaskGroup::<()>::new();
    group.cancel();
    let flag = Rc::clone(&begun);
    let handle = group.spawn(fine(async move { flag.set(true) }));
    assert_eq!(handle.await, Err(MemberError::Cancelled));
    group.join().await.unwrap();
    assert!(!begun.get());
}

#[coreloop::test(start_paused = true)]
async fn a_group_that_is_dropped_ends_before_its_task_finishes() {
    let trace = Trace::new();
    let task = spawn({
        let trace = trace.clone();
        async move {
            let mut group = TaskGroup::<()>::new();
            let member = used(&trace, "member", 3);
            drop(group.spawn(fine(member)));
            pending::<()>().await;
        }
    });
    ticks(1).await;
    assert!(task.abort_and_wait().await.unwrap_err().is_cancelled());
    trace.note("cancelled");
    trace.assert(&["1 member begin", "4 member end", "4 cancelled"]);
}

#[coreloop::test(start_paused = true)]
async fn a_join_that_is_cancelled_aborts_the_group() {
    let trace = Trace::new();
    let result = cancel_scope(async |canceller| {
        let mut group = TaskGroup::<()>::new();
        let member = used(&trace, "member", 3);
        drop(group.spawn(fine(member)));
        drop(spawn(async move {
            ticks(1).await;
            canceller.cancel();
        }));
        drop(group.join().await);
    });
    assert!(result.await.is_err());
    trace.note("cancelled");
    trace.assert(&["1 member begin", "4 member end", "4 cancelled"]);
}

/// <https://github.com/agronholm/anyio/issues/517>,
/// <https://github.com/agronholm/anyio/issues/710>
#[coreloop::test(start_paused = true)]
async fn start_waits_for_the_started_value_and_not_for_the_task() {
    let mut group = TaskGroup::new();
    let server = async |started: Started<u16>| {
        ticks(1).await;
        started.set(8080);
        ticks(1).await;
        Ok(())
    };
    assert_eq!(group.start(server).await, Ok(8080));
    // Members that return or fail without the value.
    assert!(group.start(async |_: Started<()>| Ok(())).await.is_err());
    let error = group.start(async |_: Started<()>| Err("no port")).await;
    assert_eq!(error, Err(MemberError::Cancelled));
    assert_eq!(group.join().await.unwrap_err().into_first(), "no port");

    let mut supervisor = TaskGroup::supervisor();
    let error = supervisor
        .start(async |_: Started<()>| Err("no port"))
        .await;
    assert_eq!(error, Err(MemberError::Failed("no port")));
    supervisor.join().await.unwrap();
}

/// The test runs in a process of its own, whose output is checked.
#[cfg_attr(miri, ignore = "forgets memory, which Miri reports as leaked")]
#[test]
fn a_group_may_be_forgotten_and_dropped_without_a_runtime() {
    const THIS: &str = "a_group_may_be_forgotten_and_dropped_without_a_runtime";
    if !is_rerun(THIS) {
        let output = rerun(module_path!(), THIS);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{text}");
        assert_eq!(text.matches("was abandoned").count(), 1, "{text}");
        assert!(text.contains(file!()), "{text}");
        return;
    }
    let runtime = paused();
    let [with_tasks, after] = runtime.block_on(async {
        let mut forgotten = TaskGroup::<()>::new();
        drop(forgotten.spawn(pending::<Result<(), ()>>()));
        std::mem::forget(forgotten);
        [(); 2].map(|()| {
            let mut group = TaskGroup::<()>::new();
            drop(group.spawn(pending::<Result<(), ()>>()));
            group
        })
    });
    // The group cannot wait for its task here, which is reported.
    drop(with_tasks);
    assert_eq!(runtime.shutdown(Duration::ZERO).tasks().len(), 2);
    // The task of this group has ended.
    assert!(after.is_empty());
    drop(after);
}

#[coreloop::test(start_paused = true)]
async fn a_race_ends_when_the_losers_have_cleaned_up() {
    let trace = Trace::new();
    let winner = async {
        ticks(1).await;
        "winner"
    };
    let bracketed = async {
        used(&trace, "bracket", 2).await;
        "bracketed"
    };
    let guarded = async {
        let _guard = trace.guard("guard", 3);
        ticks(9).await;
        "guarded"
    };
    assert_eq!(race!(bracketed, winner, guarded), "winner");
    trace.note("done");
    trace.assert(&[
        "1 bracket begin",
        "3 bracket end",
        "3 guard begin",
        "6 guard end",
        "6 done",
    ]);
}

async fn panics() {
    ticks(1).await;
    panic!("in a racer");
}

#[coreloop::test(start_paused = true)]
async fn of_two_ready_futures_the_first_wins_and_a_panic_propagates() {
    assert_eq!(race!(async { 1 }, async { 2 }), 1);
    let task = spawn(async {
        race!(ticks(2), panics());
    });
    assert!(task.await.unwrap_err().is_panic());
}

#[coreloop::test(start_paused = true)]
async fn a_race_that_is_cancelled_closes_all_brackets() {
    let trace = Trace::new();
    let task = spawn({
        let trace = trace.clone();
        async move { race!(used(&trace, "a", 1), used(&trace, "b", 2)) }
    });
    ticks(1).await;
    assert!(task.abort_and_wait().await.unwrap_err().is_cancelled());
    trace.note("cancelled");
    trace.assert(&[
        "1 a begin",
        "1 b begin",
        "2 a end",
        "3 b end",
        "3 cancelled",
    ]);
}

#[coreloop::test(start_paused = true)]
async fn outputs_are_returned_as_their_futures_complete() {
    let numbers = [3, 1, 2];
    let mut outputs = as_completed(numbers.iter().map(async |count| {
        ticks(*count).await;
        count
    }));
    let mut order = Vec::new();
    while let Some(count) = outputs.next().await {
        order.push(*count);
    }
    assert_eq!(order, [1, 2, 3]);
    assert!(outputs.next().await.is_none());
    assert!(
        as_completed::<[std::future::Ready<()>; 0]>([])
            .next()
            .await
            .is_none()
    );
}

#[coreloop::test(start_paused = true)]
async fn as_completed_accepts_further_futures() {
    let work = async |count| {
        ticks(count).await;
        count
    };
    let mut outputs = as_completed([work(3)]);
    assert!(timeout(TICK, outputs.next()).await.is_err());
    outputs.push(work(1));
    assert_eq!(outputs.next().await, Some(1));
    assert_eq!(outputs.next().await, Some(3));
    assert_eq!(outputs.next().await, None);
    for count in 1..100 {
        outputs.push(work(count % 10));
    }
    let mut order = Vec::new();
    while let Some(count) = outputs.next().await {
        order.push(count);
    }
    assert_eq!(order.len(), 99);
    assert!(order.is_sorted());
}

/// The combinators of other crates accept it.
#[coreloop::test(start_paused = true)]
async fn as_completed_is_a_stream() {
    let outputs = as_completed([3, 1, 2].map(async |count| {
        ticks(count).await;
        count
    }));
    let order: Vec<_> = futures_lite::StreamExt::collect(outputs).await;
    assert_eq!(order, [1, 2, 3]);
}

#[coreloop::test(start_paused = true)]
async fn dropping_as_completed_drops_the_futures_that_are_left() {
    let trace = Trace::new();
    {
        let futures = [used(&trace, "a", 1), used(&trace, "b", 1)];
        let mut outputs = as_completed(futures);
        assert!(timeout(TICK, outputs.next()).await.is_err());
    }
    flush().await;
    trace.assert(&["1 a begin", "2 a end", "2 b begin", "3 b end"]);
}

#[coreloop::test(start_paused = true)]
async fn wait_returns_the_tasks_that_have_finished() {
    let mut set = JoinSet::new();
    for (count, result) in [(1, Ok(1)), (2, Err(2)), (2, Ok(3)), (4, Ok(4))] {
        set.spawn(async move {
            ticks(count).await;
            result
        });
    }
    let first = wait(&mut set, ReturnWhen::First).await;
    assert_eq!((first.len(), set.len()), (1, 3));
    assert_eq!(*first[0].as_ref().unwrap(), Ok(1));
    let failed = wait(&mut set, ReturnWhen::FirstError).await;
    assert_eq!(*failed[0].as_ref().unwrap(), Err(2));
    set.spawn(async { panic!("in a task") });
    let panicked = wait(&mut set, ReturnWhen::FirstError).await;
    assert!(panicked.last().unwrap().is_err());
    let all = wait(&mut set, ReturnWhen::All).await;
    assert_eq!(*all[0].as_ref().unwrap(), Ok(4));
    assert!(wait(&mut set, ReturnWhen::All).await.is_empty());
}

/// Scopes, races, groups and brackets, each inside another.
#[coreloop::test(start_paused = true)]
async fn scopes_races_and_groups_nest() {
    let trace = Trace::new();
    let task = spawn({
        let trace = trace.clone();
        async move {
            scope(async |scope| {
                let trace = &trace;
                drop(scope.spawn(async move {
                    let _ = cancel_scope(async |_| race!(used(trace, "a", 1), ticks(99))).await;
                }));
                drop(scope.spawn(async move {
                    let mut group = TaskGroup::<()>::new();
                    let member = used(trace, "b", 2);
                    drop(group.spawn(fine(member)));
                    drop(group.join().await);
                }));
                let mut inside = as_completed([used(trace, "c", 3)]);
                inside.next().await;
            })
            .await;
        }
    });
    ticks(1).await;
    assert!(task.abort_and_wait().await.unwrap_err().is_cancelled());
    trace.note("cancelled");
    // The group's member is aborted when the bodies are dropped, after tick 3.
    let events = trace.events();
    let count = |text: &str| events.iter().filter(|event| event.ends_with(text)).count();
    assert_eq!((count("begin"), count("end")), (3, 3), "{events:?}");
    assert_eq!(
        events.last().map(String::as_str),
        Some("6 cancelled"),
        "{events:?}"
    );
}

#[test]
fn an_output_that_panics_when_dropped_does_not_fail_the_group() {
    let ((), panics) = recorded(|| {
        block_on(async {
            let mut group = TaskGroup::<()>::new();
            // Its handle is dropped before the end of the task, and after it.
            drop(group.spawn(async { Ok(OnDrop::new(|| panic!("unwanted"))) }));
            let handle = group.spawn(async { Ok(OnDrop::new(|| panic!("unwanted"))) });
            group.join().await.unwrap();
            drop(handle);
        });
    });
    assert_eq!(panics.len(), 2);
}
