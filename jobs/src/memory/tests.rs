//! The engine in this process, and through requests and answers as another process sends them.

use std::rc::Rc;
use std::time::Duration;

use coreloop_runtime::task::yield_now;
use coreloop_runtime::time::timeout;
use coreloop_runtime::{block_on, runtime, spawn};

use super::remote::{Call, Remote};
use super::served::{Answer, Reply, Request, Served};
use super::*;
use crate::engine::{Engine, Failure, Fence, JobId, Leased, NewJob, Outcome, Pending};
use crate::testing::{self, function, push};

const LEASE: Duration = Duration::from_secs(30);

/// The way to a service in this process. All values are encoded.
#[derive(Clone)]
struct Loopback(Rc<Served>);

impl Call for Loopback {
    fn call(&self, request: Request) -> Pending<'static, Answer> {
        let served = Rc::clone(&self.0);
        let bytes = rmp_serde::to_vec_named(&request).unwrap();
        Box::pin(async move {
            // The request is on its way for a while, and so is the answer.
            yield_now().await;
            let request = rmp_serde::from_slice(&bytes).unwrap();
            let answer = match served.answer(request, usize::MAX) {
                Reply::Now(answer) => answer?,
                Reply::Later(answer) => answer.await?,
            };
            let bytes = rmp_serde::to_vec_named(&answer).unwrap();
            yield_now().await;
            Ok(rmp_serde::from_slice(&bytes).unwrap())
        })
    }

    fn max_request(&self) -> usize {
        usize::MAX
    }
}

/// A client of a queue: in this process, or by way of a service.
async fn client(memory: &Memory, is_remote: bool) -> Rc<dyn Engine> {
    if is_remote {
        let way = Loopback(Rc::new(Served::new(memory.clone())));
        Remote::open(way, "mail").await.unwrap()
    } else {
        memory.open("mail").unwrap()
    }
}

fn job(name: &str) -> NewJob {
    testing::job(name, &[1, 200, 3])
}

/// Leases one job, by one call.
async fn lease_one(engine: &Rc<dyn Engine>, name: &str) -> Leased {
    let functions = [function(name)];
    let mut jobs = engine.lease(&functions, 1, LEASE).await.unwrap();
    assert_eq!(jobs.len(), 1);
    jobs.remove(0)
}

/// Runs a test with both kinds of clients, on a paused clock.
fn with_both<F: Future<Output = ()>>(test: impl Fn(bool) -> F) {
    for is_remote in [false, true] {
        let runtime = runtime::Builder::new().start_paused(true).build().unwrap();
        runtime.block_on(test(is_remote));
    }
}

#[test]
fn jobs_are_leased_finished_and_their_outcomes_read() {
    with_both(async |is_remote| {
        let engine = client(&Memory::new(), is_remote).await;
        // In the order in which they were pushed.
        assert!(testing::journey(&*engine).await.into_iter().eq(0..10));
    });
}

#[test]
fn a_job_is_leased_and_finished_and_its_outcome_is_returned() {
    with_both(async |is_remote| {
        let memory = Memory::new();
        let engine = client(&memory, is_remote).await;
        let id = push(&engine, job("send")).await;
        let waiting = spawn({
            let (engine, id) = (Rc::clone(&engine), id.clone());
            async move { engine.outcome(&id).await }
        });
        let leased = lease_one(&engine, "send").await;
        assert_eq!((&leased.id, leased.attempt), (&id, 1));
        assert_eq!(leased.payload, [1, 200, 3]);
        let fences = engine.finish(vec![(&leased, &[7])]).await.unwrap();
        assert_eq!(fences, [Fence::Held]);
        assert_eq!(waiting.await.unwrap().unwrap(), Outcome::Done(vec![7]));
        let again = engine.finish(vec![(&leased, &[8])]).await.unwrap();
        assert_eq!(again, [Fence::Gone]);
        assert_eq!(engine.outcome(&id).await.unwrap(), Outcome::Done(vec![7]));
        let error = engine.outcome(&JobId("else-1".to_owned())).await;
        assert!(error.is_err());
    });
}

#[test]
fn a_call_waits_for_a_push_a_delay_and_the_end_of_a_lease() {
    with_both(async |is_remote| {
        let memory = Memory::new();
        let engine = client(&memory, is_remote).await;
        let waiting = spawn({
            let engine = Rc::clone(&engine);
            async move { lease_one(&engine, "send").await }
        });
        yield_now().await;
        push(&engine, job("other")).await;
        let id = push(&engine, job("send")).await;
        assert_eq!(waiting.await.unwrap().id, id);

        // The clock passes when all tasks wait.
        let again = lease_one(&engine, "send").await;
        assert_eq!((again.id, again.attempt), (id, 2));
        let delayed = NewJob {
            delay: LEASE / 2,
            ..job("send")
        };
        let id = push(&engine, delayed).await;
        assert_eq!(lease_one(&engine, "send").await.id, id);
    });
}

#[test]
fn each_of_many_calls_gets_a_job() {
    with_both(async |is_remote| {
        let memory = Memory::new();
        let engine = client(&memory, is_remote).await;
        let calls: Vec<_> = (0..20)
            .map(|number| {
                let engine = Rc::clone(&engine);
                let name = ["even", "odd"][number % 2];
                spawn(async move { (name, lease_one(&engine, name).await) })
            })
            .collect();
        yield_now().await;
        let jobs = (0..20).map(|number| job(["odd", "even"][number % 2]));
        engine.push(jobs.collect()).await.unwrap();
        let all = async {
            for call in calls {
                let (name, leased) = call.await.unwrap();
                assert_eq!((leased.function.name.as_str(), leased.attempt), (name, 1));
            }
        };
        timeout(LEASE / 2, all).await.unwrap();
    });
}

#[test]
fn a_call_that_is_dropped_keeps_no_job() {
    with_both(async |is_remote| {
        let memory = Memory::new();
        let engine = client(&memory, is_remote).await;
        let other = client(&memory, is_remote).await;
        for turns in 0..12 {
            let functions = [function("send")];
            let mut dropped = engine.lease(&functions, 1, LEASE);
            let mut waits = spawn({
                let other = Rc::clone(&other);
                async move { lease_one(&other, "send").await }
            });
            // The call is dropped in each of its turns.
            let mut leased = None;
            for turn in 0..turns {
                if turn == 2 {
                    push(&other, job("send")).await;
                }
                let polled =
                    std::future::poll_fn(|cx| std::task::Poll::Ready(dropped.as_mut().poll(cx)));
                if let std::task::Poll::Ready(jobs) = polled.await {
                    leased = jobs.unwrap().pop();
                    break;
                }
                yield_now().await;
            }
            drop(dropped);
            if turns <= 2 {
                push(&other, job("send")).await;
            }
            if let Some(leased) = leased {
                let fence = engine.fail(&leased, Failure::Unstarted).await.unwrap();
                assert_eq!(fence, Fence::Held);
            }
            // Long before a lease would have ended.
            let got = timeout(LEASE / 3, &mut waits).await.unwrap().unwrap();
            assert_eq!(got.attempt, 1, "{turns}");
            other.finish(vec![(&got, &[])]).await.unwrap();
        }
    });
}

#[test]
fn a_client_that_leaves_has_returned_what_came_for_a_dropped_call() {
    with_both(async |is_remote| {
        let memory = Memory::new();
        let engine = client(&memory, is_remote).await;
        let other = client(&memory, is_remote).await;
        let functions = [function("send")];
        for turns in 0..6 {
            push(&other, job("send")).await;
            let mut call = engine.lease(&functions, 1, LEASE);
            for _ in 0..turns {
                let polled =
                    std::future::poll_fn(|cx| std::task::Poll::Ready(call.as_mut().poll(cx)));
                if let std::task::Poll::Ready(jobs) = polled.await {
                    let fence = engine.fail(&jobs.unwrap()[0], Failure::Unstarted).await;
                    assert_eq!(fence.unwrap(), Fence::Held);
                    break;
                }
                yield_now().await;
            }
            drop(call);
            engine.leave(&functions, LEASE).await.unwrap();
            assert_eq!(engine.counts().await.unwrap().waiting, 1, "{turns}");
            let got = lease_one(&other, "send").await;
            assert_eq!(got.attempt, 1, "{turns}");
            other.finish(vec![(&got, &[])]).await.unwrap();
        }
    });
}

#[test]
fn two_queues_of_one_client_do_not_stop_the_calls_of_each_other() {
    let runtime = runtime::Builder::new().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let memory = Memory::new();
        let way = Loopback(Rc::new(Served::new(memory.clone())));
        let one = Remote::open(way.clone(), "one").await.unwrap();
        let other = Remote::open(way, "other").await.unwrap();
        let functions = [function("send")];
        for _ in 0..3 {
            let mut dropped = one.lease(&functions, 1, LEASE);
            let mut waits = other.lease(&functions, 1, LEASE);
            assert!(timeout(LEASE / 9, &mut dropped).await.is_err());
            assert!(timeout(LEASE / 9, &mut waits).await.is_err());
            drop(dropped);
            let left = timeout(LEASE / 9, one.leave(&functions, LEASE)).await;
            left.unwrap().unwrap();
            assert!(timeout(LEASE / 9, &mut waits).await.is_err());
            other.push(vec![job("send")]).await.unwrap();
            let leased = timeout(LEASE / 9, waits).await.unwrap().unwrap();
            other.finish(vec![(&leased[0], &[])]).await.unwrap();
        }
    });
}

#[test]
fn a_call_that_waits_for_a_job_that_was_put_back_is_woken() {
    with_both(async |is_remote| {
        let memory = Memory::new();
        let engine = client(&memory, is_remote).await;
        let id = push(&engine, job("send")).await;
        let leased = lease_one(&engine, "send").await;
        let waiting: Vec<_> = (0..3)
            .map(|number| {
                let (engine, id) = (Rc::clone(&engine), id.clone());
                spawn(async move {
                    let outcome = engine.outcome(&id).await.unwrap();
                    if number > 0 || outcome != Outcome::Dead("never".to_owned()) {
                        return outcome;
                    }
                    assert!(engine.requeue(&id).await.unwrap());
                    engine.outcome(&id).await.unwrap()
                })
            })
            .collect();
        for _ in 0..9 {
            yield_now().await;
        }
        let dead = Failure::Dead {
            error: "never".to_owned(),
        };
        engine.fail(&leased, dead).await.unwrap();
        let again = lease_one(&engine, "send").await;
        for _ in 0..9 {
            yield_now().await;
        }
        engine.finish(vec![(&again, &[7])]).await.unwrap();
        let mut outcomes = Vec::new();
        for task in waiting {
            outcomes.push(timeout(LEASE, task).await.unwrap().unwrap());
        }
        assert_eq!(outcomes[0], Outcome::Done(vec![7]));
    });
}

#[test]
fn a_call_that_was_woken_for_another_job_than_it_takes_wakes_the_next_one() {
    with_both(async |is_remote| {
        let memory = Memory::new();
        let engine = client(&memory, is_remote).await;
        push(&engine, job("older")).await;
        let older = lease_one(&engine, "older").await;
        let wanted = [vec!["older", "newer"], vec!["older"], vec!["newer"]];
        let mut calls: Vec<_> = wanted
            .into_iter()
            .map(|names| {
                let engine = Rc::clone(&engine);
                let functions: Vec<_> = names.into_iter().map(function).collect();
                spawn(async move { engine.lease(&functions, 1, LEASE).await.unwrap() })
            })
            .collect();
        for _ in 0..9 {
            yield_now().await;
        }
        // The first call is woken for the newer job, and then takes the older one.
        let (pushed, failed) = coreloop_runtime::join!(
            engine.push(vec![job("newer")]),
            engine.fail(&older, Failure::Unstarted)
        );
        pushed.unwrap();
        failed.unwrap();
        let first = timeout(LEASE / 2, &mut calls[0]).await.unwrap().unwrap();
        let rest = if first[0].function.name == "older" {
            2
        } else {
            1
        };
        timeout(LEASE / 2, &mut calls[rest]).await.unwrap().unwrap();
    });
}

#[test]
fn the_leases_of_a_client_end_with_it() {
    with_both(async |is_remote| {
        let memory = Memory::new();
        let one = client(&memory, is_remote).await;
        let other = client(&memory, is_remote).await;
        let id = push(&one, job("send")).await;
        lease_one(&one, "send").await;
        drop(one);
        let leased = timeout(LEASE / 2, lease_one(&other, "send")).await.unwrap();
        assert_eq!((leased.id, leased.attempt), (id, 2));
    });
}

#[test]
fn a_renewed_lease_does_not_end_and_a_taken_one_is_noticed() {
    with_both(async |is_remote| {
        let memory = Memory::new();
        let one = client(&memory, is_remote).await;
        let other = client(&memory, is_remote).await;
        push(&one, job("send")).await;
        let mine = [lease_one(&one, "send").await];
        let functions = [function("send")];
        let mut waits = other.lease(&functions, 1, LEASE);
        for _ in 0..10 {
            assert!(timeout(LEASE / 2, &mut waits).await.is_err());
            assert_eq!(
                one.renew(vec![&mine[0]], LEASE).await.unwrap(),
                [Fence::Held]
            );
        }
        let taken = waits.await.unwrap();
        assert_eq!(taken[0].attempt, 2);
        assert_eq!(
            one.renew(vec![&mine[0]], LEASE).await.unwrap(),
            [Fence::Taken]
        );
        let fences = one.finish(vec![(&mine[0], &[1])]).await.unwrap();
        assert_eq!(fences, [Fence::Taken]);
        let fences = other.finish(vec![(&taken[0], &[2])]).await.unwrap();
        assert_eq!(fences, [Fence::Held]);
    });
}

#[test]
fn a_dead_letter_ends_the_wait_for_its_outcome_and_can_be_put_back() {
    with_both(async |is_remote| {
        let memory = Memory::new();
        let engine = client(&memory, is_remote).await;
        let id = push(&engine, job("send")).await;
        let leased = lease_one(&engine, "send").await;
        let error = "no such address".to_owned();
        let failure = Failure::Dead {
            error: error.clone(),
        };
        assert_eq!(engine.fail(&leased, failure).await.unwrap(), Fence::Held);
        assert_eq!(engine.outcome(&id).await.unwrap(), Outcome::Dead(error));
        assert_eq!(engine.counts().await.unwrap().dead, 1);
        assert_eq!(engine.dead(9).await.unwrap()[0].id, id);
        assert!(engine.requeue(&id).await.unwrap());
        assert!(!engine.requeue(&id).await.unwrap());
        let again = lease_one(&engine, "send").await;
        assert_eq!(again.attempt, 1);
        engine.finish(vec![(&again, &[1])]).await.unwrap();
        assert_eq!(engine.outcome(&id).await.unwrap(), Outcome::Done(vec![1]));
    });
}

#[test]
fn a_call_that_waits_for_an_outcome_leaves_nothing_behind() {
    block_on(async {
        let memory = Memory::new();
        let engine = memory.open("mail").unwrap();
        let id = engine.store(vec![job("send")]).unwrap().remove(0);
        for _ in 0..3 {
            let (one, other) = (engine.end(&id), engine.end(&id));
            let both = async { coreloop_runtime::join!(one, other) };
            assert!(timeout(Duration::ZERO, both).await.is_err());
        }
        assert_eq!(engine.waiting_for_outcomes(), 0);
    });
}

#[test]
fn a_queue_needs_a_name_and_a_full_one_says_so() {
    block_on(async {
        let memory = Memory::new().max_jobs(2, 100);
        assert!(memory.open("").unwrap_err().to_string().contains(".name("));
        let engine: Rc<dyn Engine> = memory.open("mail").unwrap();
        engine.push(vec![job("send"), job("send")]).await.unwrap();
        let error = engine.push(vec![job("send")]).await.unwrap_err();
        assert!(
            error.to_string().starts_with("the queue is full"),
            "{error}"
        );
        // Another queue has its own jobs.
        memory
            .open("other")
            .unwrap()
            .store(vec![job("send")])
            .unwrap();
    });
}
