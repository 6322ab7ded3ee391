//! Servers that end, restart, and come back empty.

use std::time::Duration;

use coreloop_runtime::{block_on, join, spawn};

use super::{DURABLE, LONG, Started, ask, job, lease, lease_one, push, start};
use crate::engine::{Counts, Engine, Fence, NewJob, Outcome};

#[test]
fn a_server_that_is_killed_loses_no_job_that_it_has_confirmed() {
    let Some(server) = Started::new(DURABLE) else {
        return;
    };
    block_on(async {
        let engine = server.connect().await;
        let jobs = (0..100).map(|number| job("send", &[number])).collect();
        let ids = engine.push(jobs).await.unwrap();
        let later = NewJob {
            delay: Duration::from_millis(1),
            ..job("send", b"later")
        };
        push(&engine, later).await;
        let leased = lease(&engine, "send", 10, LONG).await;
        let results = leased[..5]
            .iter()
            .map(|job| (job, [1].as_slice()))
            .collect();
        assert_eq!(engine.finish(results).await.unwrap(), [Fence::Held; 5]);

        let _server = server.restart();
        // The worker has its leases as before, and continues with the same connection.
        let renewed = engine
            .renew(leased[5..].iter().collect(), LONG)
            .await
            .unwrap();
        assert_eq!(renewed, [Fence::Held; 5]);
        let rest = lease(&engine, "send", 91, LONG).await;
        assert!(rest.iter().all(|job| job.attempt == 1));
        for jobs in [&leased[5..], &rest] {
            let results = jobs.iter().map(|job| (job, [1].as_slice())).collect();
            let fences = engine.finish(results).await.unwrap();
            assert!(fences.iter().all(|fence| *fence == Fence::Held));
        }
        for id in &ids {
            let outcome = engine.outcome(id).await.unwrap();
            assert_eq!(outcome, Outcome::Done(vec![1]));
        }
        assert_eq!(engine.counts().await.unwrap(), Counts::default());
        assert!(engine.warnings().is_empty(), "{:?}", engine.warnings());
    });
}

#[test]
fn calls_that_wait_continue_after_a_restart() {
    let Some(server) = Started::new(DURABLE) else {
        return;
    };
    block_on(async {
        let (worker, producer) = (server.connect().await, server.connect().await);
        let id = push(&producer, job("other", b"x")).await;
        let waits = {
            let (worker, id) = (worker.clone(), id.clone());
            spawn(async move {
                let outcome = async { worker.outcome(&id).await.unwrap() };
                join!(lease_one(&worker, "send", LONG), outcome)
            })
        };
        // Both wait, each on a connection of its own.
        while waits_at_server(&producer).await < 2 {}
        let _server = server.restart();
        let other = lease_one(&producer, "other", LONG).await;
        producer.finish(vec![(&other, &[2])]).await.unwrap();
        push(&producer, job("send", b"y")).await;
        let (job, outcome) = waits.await.unwrap();
        assert_eq!((job.payload.as_slice(), job.attempt), (b"y".as_slice(), 1));
        assert_eq!(outcome, Outcome::Done(vec![2]));
    });
}

/// Counts the connections that block or have a subscription.
async fn waits_at_server(engine: &crate::redis::Redis) -> usize {
    let redis::Value::BulkString(list) = ask(engine, &["CLIENT", "LIST"]).await else {
        panic!("no list of connections");
    };
    let list = String::from_utf8_lossy(&list).into_owned();
    let waits = |line: &&str| line.contains(" flags=b ") || line.contains(" sub=1 ");
    list.lines().filter(waits).count()
}

#[test]
fn a_server_that_came_back_empty_is_used_and_reported_once() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let engine = server.connect().await;
        push(&engine, job("send", b"one")).await;
        let lost = lease_one(&engine, "send", LONG).await;
        let warnings = engine.warnings().len();
        for round in 0..3_u8 {
            let producer = server.connect().await;
            let empty_and_push = async {
                ask(&producer, &["FLUSHALL"]).await;
                push(&producer, job("send", &[round])).await;
            };
            let (job, ()) = join!(lease_one(&engine, "send", LONG), empty_and_push);
            assert_eq!(job.payload, [round]);
            let warnings = engine.warnings().split_off(warnings);
            assert_eq!(warnings.len(), 1, "{warnings:?}");
            assert!(warnings[0].contains("lost the group"), "{warnings:?}");
        }
        let done = engine.finish(vec![(&lost, &[])]).await.unwrap();
        assert_eq!(done, [Fence::Taken]);
        assert_eq!(engine.counts().await.unwrap().leased, 1);
    });
}

#[test]
fn a_server_that_has_forgotten_the_scripts_gets_them_again() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let engine = server.connect().await;
        for _ in 0..2 {
            ask(&engine, &["SCRIPT", "FLUSH"]).await;
            let id = push(&engine, job("send", b"x")).await;
            let leased = lease_one(&engine, "send", LONG).await;
            assert_eq!(leased.id, id);
            ask(&engine, &["SCRIPT", "FLUSH"]).await;
            engine.finish(vec![(&leased, &[])]).await.unwrap();
            engine.outcome(&id).await.unwrap();
        }
    });
}

/// The connection of the commands is cut after each push. A key makes the retry safe, which the
/// engine does itself.
#[test]
fn a_producer_whose_connection_fails_stores_a_job_with_a_key_once() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let (engine, killer) = (server.connect().await, server.connect().await);
        let mut ids = std::collections::HashSet::new();
        for round in 0..20 {
            let keyed = NewJob {
                key: Some(format!("order {}", round / 4)),
                ..job("send", b"x")
            };
            let kill = ask(&killer, &["CLIENT", "KILL", "TYPE", "normal"]);
            let (id, _) = join!(push(&engine, keyed), kill);
            ids.insert(id);
        }
        assert_eq!(ids.len(), 5);
        assert_eq!(engine.counts().await.unwrap().waiting, 5);
    });
}

#[test]
fn a_server_that_stays_away_is_an_error_for_all_calls() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let engine = server.connect().await;
        let id = push(&engine, job("send", b"x")).await;
        let leased = lease_one(&engine, "send", LONG).await;
        drop(server);
        let functions = [super::function("send")];
        let (lease, outcome, push, finish) = join!(
            engine.lease(&functions, 1, LONG),
            engine.outcome(&id),
            engine.push(vec![job("send", b"y")]),
            engine.finish(vec![(&leased, &[])])
        );
        let errors = [
            lease.unwrap_err(),
            outcome.unwrap_err(),
            push.unwrap_err(),
            finish.unwrap_err(),
        ];
        for error in errors {
            let text = error.to_string();
            assert!(text.starts_with("Redis: the connection failed: "), "{text}");
        }
    });
}
