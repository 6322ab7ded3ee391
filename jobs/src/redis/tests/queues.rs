//! Several functions, queues and calls at once.

use coreloop_runtime::time::timeout;
use coreloop_runtime::{block_on, join};
use std::time::Duration;

use super::{LONG, SHORT, ask, function, job, lease, lease_one, push, start};
use crate::engine::{Engine, Failure, Fence};
use crate::redis::Redis;

#[test]
fn a_worker_reads_no_more_than_it_has_room_for() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let (engine, producer) = (server.connect().await, server.connect().await);
        let names = ["a", "b", "c", "d", "e"];
        let functions = names.map(function);
        let jobs = |count: u8| {
            let of = |name| (0..count).map(move |number| job(name, &[number]));
            names.into_iter().flat_map(of).collect::<Vec<_>>()
        };
        // The first call waits, so that several streams get jobs while it does.
        let (first, _) = join!(engine.lease(&functions, 3, LONG), producer.push(jobs(10)));
        let mut leased = first.unwrap().len() as u64;
        for max in [1, 2, 3, 7] {
            let more = engine.lease(&functions, max, LONG).await.unwrap();
            assert!(more.len() <= max);
            leased += more.len() as u64;
            assert_eq!(engine.counts().await.unwrap().leased, leased);
        }
        while leased < 50 {
            leased += engine.lease(&functions, 9, LONG).await.unwrap().len() as u64;
        }
        assert_eq!(engine.counts().await.unwrap().waiting, 0);
    });
}

#[test]
fn several_calls_wait_at_once() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let (engine, producer) = (server.connect().await, server.connect().await);
        let (a, b) = ([function("a")], [function("b")]);
        let pushes = async {
            for number in 0..3 {
                let jobs = vec![job("a", &[number]), job("b", &[number])];
                producer.push(jobs).await.unwrap();
            }
        };
        let (first, second, third, fourth, ()) = join!(
            engine.lease(&a, 1, LONG),
            engine.lease(&a, 1, LONG),
            engine.lease(&b, 1, LONG),
            engine.lease(&b, 1, Duration::from_secs(60)),
            pushes
        );
        for (name, jobs) in [("a", first), ("a", second), ("b", third), ("b", fourth)] {
            let jobs = jobs.unwrap();
            assert_eq!((jobs.len(), jobs[0].function.name.as_str()), (1, name));
            let results = jobs.iter().map(|job| (job, [].as_slice())).collect();
            assert_eq!(engine.finish(results).await.unwrap(), [Fence::Held]);
        }
        assert_eq!(engine.counts().await.unwrap().waiting, 2);
    });
}

#[test]
fn a_worker_that_no_longer_waits_leaves_jobs_to_others() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let (engine, other) = (server.connect().await, server.connect().await);
        let functions = [function("send")];
        let early = timeout(Duration::from_millis(50), engine.lease(&functions, 1, LONG));
        assert!(early.await.is_err());
        let reader = engine.reader(&functions, LONG);
        // The keeper ends the read that blocks.
        while reader.blocked.get().is_some() {
            coreloop_runtime::task::yield_now().await;
        }
        push(&other, job("send", b"x")).await;
        assert_eq!(lease_one(&other, "send", LONG).await.attempt, 1);
    });
}

/// A job that was given back does not wait behind all jobs that came after it.
#[test]
fn a_job_that_was_not_started_comes_before_a_long_queue() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let (engine, other) = (server.connect().await, server.connect().await);
        let jobs = (0..250).map(|number| job("send", &[number])).collect();
        let ids = engine.push(jobs).await.unwrap();
        let begun = lease(&engine, "send", 2, LONG).await;
        for job in &begun {
            let fence = engine.fail(job, Failure::Unstarted).await.unwrap();
            assert_eq!(fence, Fence::Held);
            let fence = engine.fail(job, Failure::Unstarted).await.unwrap();
            assert_eq!(fence, Fence::Taken);
        }
        let again = lease(&other, "send", 2, SHORT).await;
        assert!(again.iter().map(|job| &job.id).eq(&ids[..2]));
        assert!(again.iter().all(|job| job.attempt == 1));
        let counts = engine.counts().await.unwrap();
        assert_eq!((counts.leased, counts.waiting), (2, 248));
        // Their leases end, and they come back in the same way.
        let mut found = Vec::new();
        while found.len() < 2 {
            let jobs = lease(&engine, "send", 1, LONG).await;
            found.extend(jobs.into_iter().filter(|job| ids[..2].contains(&job.id)));
        }
        assert!(found.iter().all(|job| job.attempt == 2));
        let renewed = engine.renew(found.iter().collect(), LONG).await.unwrap();
        assert_eq!(renewed, [Fence::Held; 2]);
        let results = found.iter().map(|job| (job, [].as_slice())).collect();
        assert_eq!(engine.finish(results).await.unwrap(), [Fence::Held; 2]);
        let stale = again.iter().map(|job| (job, [].as_slice())).collect();
        assert_eq!(other.finish(stale).await.unwrap(), [Fence::Gone; 2]);
    });
}

/// The queue became empty in the meantime, so that all workers block.
#[test]
fn a_job_that_was_not_started_comes_to_a_worker_that_blocks() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let (engine, other) = (server.connect().await, server.connect().await);
        let jobs = (0..150).map(|number| job("send", &[number])).collect();
        let ids = engine.push(jobs).await.unwrap();
        let begun = lease(&engine, "send", 1, LONG).await;
        let place = engine.shared.place(&function("send"));
        // Behind the back of the engines, an administrator takes all others.
        let give_back = engine.fail(&begun[0], Failure::Unstarted).await;
        assert_eq!(give_back.unwrap(), Fence::Held);
        let all = [
            "XREADGROUP",
            "GROUP",
            "workers",
            "admin",
            "STREAMS",
            &place.streams[0],
            ">",
        ];
        ask(&engine, &all).await;
        let reader = other.reader(&[function("send")], LONG);
        reader.is_drained.set(true);
        let found = lease(&other, "send", 1, LONG).await;
        assert_eq!((&found[0].id, found[0].attempt), (&ids[0], 1));
    });
}

#[test]
fn queues_of_one_server_are_apart() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let mail = server.connect().await;
        let other = Redis::connect(&server.url(), "other", false).await.unwrap();
        push(&mail, job("send", b"mail")).await;
        push(&other, job("send", b"other")).await;
        assert_eq!(lease_one(&other, "send", LONG).await.payload, b"other");
        assert_eq!(lease_one(&mail, "send", LONG).await.payload, b"mail");
    });
}

#[test]
fn a_queue_leaves_nothing_behind_but_results() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let engine = server.connect().await;
        push(&engine, job("send", b"x")).await;
        let leased = lease_one(&engine, "send", LONG).await;
        engine.finish(vec![(&leased, &[])]).await.unwrap();
        let result = engine.shared.names.result(&leased.id.0);
        let redis::Value::Int(seconds) = ask(&engine, &["TTL", &result]).await else {
            panic!("a time to live is a number");
        };
        assert!((86_000..=86_400).contains(&seconds), "{seconds}");
        let redis::Value::Array(keys) = ask(&engine, &["KEYS", "*"]).await else {
            panic!("keys are a list");
        };
        // The result, the marker, the set of functions, and the empty stream.
        assert_eq!(keys.len(), 4, "{keys:?}");
    });
}

#[test]
fn a_worker_without_functions_or_room_gets_nothing() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let engine = server.connect().await;
        assert!(engine.lease(&[], 1, LONG).await.is_err());
        let functions = [function("send")];
        assert!(engine.lease(&functions, 0, LONG).await.unwrap().is_empty());
    });
}
