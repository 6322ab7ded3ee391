//! What happens to a job from its push to its outcome.

use std::time::Duration;

use coreloop_runtime::time::timeout;
use coreloop_runtime::{block_on, join};

use super::{LONG, function, job, lease, lease_one, push, start};
use crate::engine::{Engine, Failure, Fence, NewJob, Outcome};
use crate::testing::journey;

#[test]
fn jobs_are_leased_finished_and_their_outcomes_read() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let engine = server.connect().await;
        // In the order in which they were pushed.
        assert!(journey(&*engine).await.into_iter().eq(0..10));
    });
}

#[test]
fn thousands_of_jobs_of_several_functions_keep_their_ids() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let (producer, worker) = (server.connect().await, server.connect().await);
        let names = ["a", "a", "b", "c"];
        let jobs: Vec<_> = (0..2000_u32)
            .map(|number| job(names[number as usize % 4], &number.to_be_bytes()))
            .collect();
        let ids = producer.push(jobs).await.unwrap();
        let work = async {
            let functions = [function("a"), function("b"), function("c")];
            let mut count = 0;
            while count < 2000 {
                let jobs = worker.lease(&functions, 300, LONG).await.unwrap();
                let results = jobs
                    .iter()
                    .map(|job| (job, job.payload.as_slice()))
                    .collect();
                let fences = worker.finish(results).await.unwrap();
                assert!(fences.iter().all(|fence| *fence == Fence::Held));
                count += jobs.len();
            }
        };
        let wait = async {
            for (number, id) in (0_u32..).zip(&ids) {
                let outcome = producer.outcome(id).await.unwrap();
                assert_eq!(outcome, Outcome::Done(number.to_be_bytes().to_vec()));
            }
        };
        join!(work, wait);
    });
}

#[test]
fn a_failed_attempt_comes_back_and_a_dead_letter_can_be_put_back() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let engine = server.connect().await;
        let id = push(&engine, job("send", b"x")).await;
        for attempt in 1..=3 {
            let leased = lease_one(&engine, "send", LONG).await;
            assert_eq!((&leased.id, leased.attempt), (&id, attempt));
            assert_eq!(leased.payload, b"x");
            let failure = Failure::Retry {
                delay: Duration::from_millis(20 * u64::from(attempt - 1)),
                error: "no".to_owned(),
            };
            assert_eq!(
                engine.fail(&leased, failure.clone()).await.unwrap(),
                Fence::Held
            );
            assert_eq!(engine.fail(&leased, failure).await.unwrap(), Fence::Taken);
        }
        let leased = lease_one(&engine, "send", LONG).await;
        let failure = Failure::Dead {
            error: "never".to_owned(),
        };
        assert_eq!(
            engine.fail(&leased, failure.clone()).await.unwrap(),
            Fence::Held
        );
        assert_eq!(engine.fail(&leased, failure).await.unwrap(), Fence::Gone);
        let outcome = engine.outcome(&id).await.unwrap();
        assert_eq!(outcome, Outcome::Dead("never".to_owned()));
        let letters = engine.dead(10).await.unwrap();
        assert_eq!(letters.len(), 1);
        assert_eq!((&letters[0].id, letters[0].attempts), (&id, 4));
        assert_eq!(letters[0].error, "never");
        assert_eq!(letters[0].function, function("send"));
        assert!(engine.dead(0).await.unwrap().is_empty());
        assert_eq!(engine.counts().await.unwrap().dead, 1);

        assert!(engine.requeue(&id).await.unwrap());
        assert!(!engine.requeue(&id).await.unwrap());
        let again = lease_one(&engine, "send", LONG).await;
        assert_eq!((&again.id, again.attempt), (&id, 1));
        engine.finish(vec![(&again, b"ok")]).await.unwrap();
        let outcome = engine.outcome(&id).await.unwrap();
        assert_eq!(outcome, Outcome::Done(b"ok".to_vec()));
        assert!(engine.dead(10).await.unwrap().is_empty());
    });
}

#[test]
fn a_delayed_job_waits_and_is_stored_once() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let engine = server.connect().await;
        let delayed = |delay| NewJob {
            key: Some("later".to_owned()),
            delay,
            ..job("send", b"later")
        };
        let id = push(&engine, delayed(LONG)).await;
        assert_eq!(push(&engine, delayed(LONG)).await, id);
        let soon = NewJob {
            delay: Duration::from_millis(50),
            ..job("send", b"soon")
        };
        push(&engine, soon).await;
        push(&engine, job("send", b"now")).await;
        assert_eq!(lease_one(&engine, "send", LONG).await.payload, b"now");
        let soon = lease_one(&engine, "send", LONG).await;
        assert_eq!(
            (soon.payload.as_slice(), soon.attempt),
            (b"soon".as_slice(), 1)
        );
        let counts = engine.counts().await.unwrap();
        assert_eq!((counts.delayed, counts.waiting), (1, 0));
    });
}

#[test]
fn a_worker_that_waits_gets_a_job_that_another_process_has_delayed() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let (producer, worker) = (server.connect().await, server.connect().await);
        let soon = NewJob {
            delay: Duration::from_millis(50),
            ..job("send", b"soon")
        };
        let (job, _) = join!(lease_one(&worker, "send", LONG), push(&producer, soon));
        assert_eq!(job.payload, b"soon");
    });
}

#[test]
fn a_cancelled_lease_loses_no_job() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let engine = server.connect().await;
        let functions = [function("send")];
        for round in 0..20_u8 {
            let limit = Duration::from_millis(u64::from(round));
            let waits = timeout(limit, engine.lease(&functions, 1, LONG));
            let (early, _) = join!(waits, push(&engine, job("send", &[round])));
            let job = match early {
                Ok(jobs) => jobs.unwrap().remove(0),
                Err(_) => lease_one(&engine, "send", LONG).await,
            };
            assert_eq!((job.payload, job.attempt), (vec![round], 1));
        }
    });
}

#[test]
fn a_cancelled_wait_for_an_outcome_leaves_the_others() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let engine = server.connect().await;
        let id = push(&engine, job("send", b"x")).await;
        for _ in 0..10 {
            let limit = Duration::from_millis(1);
            assert!(timeout(limit, engine.outcome(&id)).await.is_err());
        }
        let finish = async {
            let leased = lease_one(&engine, "send", LONG).await;
            engine.finish(vec![(&leased, &[1])]).await.unwrap();
        };
        let (first, second, ()) = join!(engine.outcome(&id), engine.outcome(&id), finish);
        assert_eq!(first.unwrap(), Outcome::Done(vec![1]));
        assert_eq!(second.unwrap(), Outcome::Done(vec![1]));
    });
}

#[test]
fn an_empty_and_a_large_payload_arrive_unchanged() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let engine = server.connect().await;
        let large: Vec<u8> = (0..=250).cycle().take(3 << 20).collect();
        let jobs = vec![
            job("send", b""),
            job("send", &large),
            job("send", b"\r\n\0"),
        ];
        engine.push(jobs).await.unwrap();
        let jobs = lease(&engine, "send", 3, LONG).await;
        assert!(jobs[0].payload.is_empty());
        assert!(jobs[1].payload == large);
        assert_eq!(jobs[2].payload, b"\r\n\0");
        let results = jobs
            .iter()
            .map(|job| (job, job.payload.as_slice()))
            .collect();
        engine.finish(results).await.unwrap();
        let outcome = engine.outcome(&jobs[1].id).await.unwrap();
        assert!(outcome == Outcome::Done(large));
        let outcome = engine.outcome(&jobs[0].id).await.unwrap();
        assert_eq!(outcome, Outcome::Done(Vec::new()));
    });
}

#[test]
fn a_worker_gets_only_jobs_of_versions_that_it_has() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let engine = server.connect().await;
        let mut newer = job("send", b"2");
        newer.function.version = 2;
        engine.push(vec![newer, job("send", b"1")]).await.unwrap();
        assert_eq!(lease_one(&engine, "send", LONG).await.payload, b"1");
        let counts = engine.counts().await.unwrap();
        assert_eq!((counts.waiting, counts.leased), (1, 1));
    });
}
