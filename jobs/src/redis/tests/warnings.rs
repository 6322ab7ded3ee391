//! What a client reports of its server after it has connected.

use coreloop_runtime::{block_on, select};

use super::{DURABLE, FORGETS, LONG, Started, ask, function, job, lease_one, push, start};
use crate::engine::Engine;

#[test]
fn a_server_that_was_restarted_without_its_jobs_is_reported_once() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let engine = server.connect().await;
        push(&engine, job("send", b"lost")).await;
        let before = engine.warnings().len();
        let mut server = server;
        for _ in 0..2 {
            server = server.restart();
            assert_eq!(engine.counts().await.unwrap(), Default::default());
            let warnings = engine.warnings().split_off(before);
            assert_eq!(warnings.len(), 1, "{warnings:?}");
            assert!(
                warnings[0].contains("was restarted and has lost"),
                "{warnings:?}"
            );
        }
        // The queue is used as before.
        push(&engine, job("send", b"x")).await;
        assert_eq!(lease_one(&engine, "send", LONG).await.payload, b"x");
    });
}

#[test]
fn a_server_that_was_restarted_with_other_settings_is_reported() {
    let Some(mut server) = Started::new(DURABLE) else {
        return;
    };
    block_on(async {
        let engine = server.connect().await;
        assert!(engine.warnings().is_empty(), "{:?}", engine.warnings());
        server.settings = FORGETS;
        let _server = server.restart();
        engine.counts().await.unwrap();
        let warnings = engine.warnings();
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].contains("has lost the jobs"), "{warnings:?}");
        assert!(warnings[1].contains("nothing on disk"), "{warnings:?}");
    });
}

#[test]
fn settings_that_are_changed_later_are_reported() {
    let Some(server) = Started::new(DURABLE) else {
        return;
    };
    block_on(async {
        let engine = server.connect().await;
        assert!(engine.warnings().is_empty(), "{:?}", engine.warnings());
        ask(&engine, &["CONFIG", "SET", "maxmemory", "100mb"]).await;
        ask(
            &engine,
            &["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"],
        )
        .await;
        // A worker that waits for jobs reads them again.
        let functions = [function("send")];
        let warned = async {
            while engine.warnings().is_empty() {
                coreloop_runtime::task::yield_now().await;
            }
        };
        select! {
            _ = engine.lease(&functions, 1, LONG) => panic!("there is no job"),
            () = warned => {}
        }
        let warnings = engine.warnings();
        assert!(warnings[0].contains("may evict jobs"), "{warnings:?}");
    });
}
