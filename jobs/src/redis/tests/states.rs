//! Servers that are in a state in which they refuse commands, and streams that others change.

use coreloop_runtime::task::yield_now;
use coreloop_runtime::{block_on, join, spawn};
use std::time::Duration;

use super::{DURABLE, LONG, Started, ask, function, job, lease, lease_one, push, start};
use crate::engine::{Counts, Engine, Failure, Fence, NewJob};

/// A server that has become a replica refuses to write, and ends the reads that block.
#[test]
fn a_worker_continues_when_a_replica_has_become_the_primary() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let (engine, admin) = (server.connect().await, server.connect().await);
        push(&engine, job("send", b"one")).await;
        let one = lease_one(&engine, "send", LONG).await;
        let waits = {
            let engine = engine.clone();
            spawn(async move { lease_one(&engine, "send", LONG).await })
        };
        let reader = engine.reader(&[function("send")], LONG);
        while reader.blocked.get().is_none() {
            yield_now().await;
        }
        ask(&admin, &["REPLICAOF", "127.0.0.1", "1"]).await;
        let keyed = NewJob {
            key: Some("order 17".to_owned()),
            ..job("send", b"two")
        };
        let primary = async {
            // The reader has noticed it.
            while reader.blocked.get().is_some() {
                yield_now().await;
            }
            ask(&admin, &["REPLICAOF", "NO", "ONE"]).await;
        };
        let (id, done, ()) = join!(
            push(&engine, keyed),
            engine.finish(vec![(&one, &[])]),
            primary
        );
        assert_eq!(done.unwrap(), [Fence::Held]);
        assert_eq!(waits.await.unwrap().id, id);
    });
}

#[test]
fn a_worker_waits_while_a_server_loads_its_data() {
    const SLOW: &[&str] = &["--appendonly", "yes", "--key-load-delay", "100"];
    let Some(mut server) = Started::new(DURABLE) else {
        return;
    };
    block_on(async {
        let engine = server.connect().await;
        for _ in 0..20 {
            let jobs = (0..=255).map(|number| job("send", &[number])).collect();
            engine.push(jobs).await.unwrap();
        }
        let leased = lease(&engine, "send", 10, LONG).await;
        server.settings = SLOW;
        let _server = server.restart_until("Server initialized");
        let renewed = engine.renew(leased.iter().collect(), LONG).await.unwrap();
        assert_eq!(renewed, [Fence::Held; 10]);
        let more = lease(&engine, "send", 1, LONG).await;
        assert_eq!(more[0].attempt, 1);
        assert_eq!(engine.counts().await.unwrap().leased, 11);
    });
}

/// The default of Redis: what it has answered is with the kernel, and survives its end.
#[test]
fn a_server_that_is_killed_between_two_syncs_loses_no_job() {
    const EVERY_SECOND: &[&str] = &["--appendonly", "yes", "--appendfsync", "everysec"];
    let Some(server) = Started::new(EVERY_SECOND) else {
        return;
    };
    block_on(async {
        let engine = server.connect().await;
        let jobs = (0..50).map(|number| job("send", &[number])).collect();
        engine.push(jobs).await.unwrap();
        let leased = lease(&engine, "send", 10, LONG).await;
        let results = leased.iter().map(|job| (job, [].as_slice())).collect();
        assert_eq!(engine.finish(results).await.unwrap(), [Fence::Held; 10]);
        let _server = server.restart();
        let rest = lease(&engine, "send", 40, LONG).await;
        assert!(rest.iter().map(|job| job.payload[0]).eq(10..50));
        assert!(engine.warnings().is_empty(), "{:?}", engine.warnings());
    });
}

#[test]
fn a_worker_of_a_server_that_has_lost_its_jobs_gets_new_ones() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let engine = server.connect().await;
        push(&engine, job("send", b"one")).await;
        let one = lease_one(&engine, "send", LONG).await;
        let _server = server.restart();
        let lost = engine.renew(vec![&one], LONG).await.unwrap();
        assert_eq!(lost, [Fence::Taken]);
        let lost = engine.finish(vec![(&one, &[])]).await.unwrap();
        assert_eq!(lost, [Fence::Taken]);
        push(&engine, job("send", b"two")).await;
        assert_eq!(lease_one(&engine, "send", LONG).await.payload, b"two");
        let warnings = engine.warnings();
        let lost = |text: &&String| text.contains("has lost the jobs");
        assert_eq!(warnings.iter().filter(lost).count(), 1, "{warnings:?}");
    });
}

/// The jobs that wait are lost. A job that runs keeps its result, and cannot run again.
#[test]
fn a_stream_that_others_have_trimmed_is_no_hang() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let engine = server.connect().await;
        for number in 0..5 {
            push(&engine, job("send", &[number])).await;
        }
        let leased = lease(&engine, "send", 4, LONG).await;
        let stream = engine.shared.place(&function("send")).streams[0].clone();
        ask(&engine, &["XTRIM", &stream, "MAXLEN", "0"]).await;
        let renewed = engine.renew(leased.iter().collect(), LONG).await.unwrap();
        // The server forgets an entry that is gone when it is claimed.
        assert!(renewed.contains(&Fence::Held) || renewed.contains(&Fence::Taken));
        let failures = [
            Failure::Retry {
                delay: Duration::ZERO,
                error: String::new(),
            },
            Failure::Dead {
                error: String::new(),
            },
            Failure::Unstarted,
        ];
        for (job, failure) in leased.iter().zip(failures) {
            let fence = engine.fail(job, failure).await.unwrap();
            assert_ne!(fence, Fence::Held, "{job:?}");
        }
        engine.finish(vec![(&leased[3], &[])]).await.unwrap();
        assert_eq!(engine.counts().await.unwrap(), Counts::default());
        push(&engine, job("send", b"new")).await;
        assert_eq!(lease_one(&engine, "send", LONG).await.payload, b"new");
    });
}
