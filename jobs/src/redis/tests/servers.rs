//! Servers and users of all kinds.

use coreloop_runtime::block_on;
use coreloop_test_support::server_process::free_port;

use super::{DURABLE, FEW_RIGHTS, FORGETS, LONG, Started, ask, job, lease_one, push, start};
use crate::engine::{Engine, Outcome};
use crate::redis::Redis;

#[test]
fn a_server_that_forgets_or_evicts_jobs_is_warned_of() {
    const EVICTS: &[&str] = &[
        "--appendonly",
        "yes",
        "--maxmemory",
        "100mb",
        "--maxmemory-policy",
        "allkeys-lru",
    ];
    let warnings = |settings, durable| {
        let server = Started::new(settings)?;
        Some(block_on(async {
            let engine = Redis::connect(&server.url(), "mail", durable)
                .await
                .unwrap();
            engine.warnings()
        }))
    };
    let Some(forgets) = warnings(FORGETS, false) else {
        return;
    };
    assert_eq!(forgets.len(), 1, "{forgets:?}");
    assert!(forgets[0].contains("nothing on disk"), "{forgets:?}");
    let evicts = warnings(EVICTS, true).unwrap();
    assert_eq!(evicts.len(), 2, "{evicts:?}");
    assert!(evicts[0].contains("evict"), "{evicts:?}");
    assert!(evicts[1].contains("appendfsync always"), "{evicts:?}");
    assert!(warnings(DURABLE, true).unwrap().is_empty());
}

#[test]
fn a_user_a_password_and_a_database_are_used() {
    const PASSWORD: &[&str] = &["--appendonly", "no", "--requirepass", "open sesame"];
    let Some(server) = Started::new(PASSWORD) else {
        return;
    };
    block_on(async {
        let url = |login: &str| format!("redis://{login}@127.0.0.1:{}/3", server.port);
        let good = url(":open%20sesame");
        let engine = Redis::connect(&good, "mail", false).await.unwrap();
        let id = push(&engine, job("send", b"x")).await;
        let leased = lease_one(&engine, "send", LONG).await;
        engine.finish(vec![(&leased, &[1])]).await.unwrap();
        assert_eq!(engine.outcome(&id).await.unwrap(), Outcome::Done(vec![1]));
        ask(&engine, &["SELECT", "0"]).await;
        assert_eq!(ask(&engine, &["DBSIZE"]).await, redis::Value::Int(0));
        for login in [":wrong", "stranger:open%20sesame"] {
            let error = Redis::connect(&url(login), "mail", false)
                .await
                .unwrap_err();
            assert!(error.is_refused(), "{error}");
            assert!(!error.to_string().contains("sesame"), "{error}");
        }
        let error = Redis::connect(&server.url(), "mail", false)
            .await
            .unwrap_err();
        assert!(error.is_refused(), "{error}");
    });
}

/// The user may use the keys of queues and no others, no channels, and no commands of an
/// administrator.
#[test]
fn a_user_with_few_rights_is_enough() {
    let Some(server) = Started::new(FEW_RIGHTS) else {
        return;
    };
    block_on(async {
        let engine = server.connect_as("worker").await;
        let warnings = engine.warnings();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("CONFIG GET"), "{warnings:?}");
        for _ in 0..3 {
            let id = push(&engine, job("send", b"x")).await;
            let wait = engine.outcome(&id);
            let work = async {
                let leased = lease_one(&engine, "send", LONG).await;
                engine.finish(vec![(&leased, &[1])]).await.unwrap();
            };
            let (outcome, ()) = coreloop_runtime::join!(wait, work);
            assert_eq!(outcome.unwrap(), Outcome::Done(vec![1]));
        }
    });
}

#[test]
fn a_socket_in_the_file_system_is_used() {
    const SOCKET: &[&str] = &["--appendonly", "no", "--unixsocket", "redis.sock"];
    let Some(server) = Started::new(SOCKET) else {
        return;
    };
    block_on(async {
        let tcp = server.connect().await;
        let redis::Value::Array(directory) = ask(&tcp, &["CONFIG", "GET", "dir"]).await else {
            panic!("the directory of the server");
        };
        let directory = super::super::reply::text(directory[1].clone()).unwrap();
        for scheme in ["unix", "redis+unix"] {
            let url = format!("{scheme}://{directory}/redis.sock?db=0");
            let engine = Redis::connect(&url, "mail", false).await.unwrap();
            push(&engine, job("send", b"x")).await;
            assert_eq!(lease_one(&tcp, "send", LONG).await.payload, b"x");
        }
    });
}

#[test]
fn a_bad_address_is_a_clear_error() {
    block_on(async {
        let error = async |url: &str| {
            let error = Redis::connect(url, "mail", false).await.unwrap_err();
            error.to_string()
        };
        let port = free_port();
        let refused = error(&format!("redis://127.0.0.1:{port}")).await;
        assert!(
            refused.starts_with("Redis: the connection failed: "),
            "{refused}"
        );
        for url in [
            "",
            "localhost",
            "http://localhost",
            "redis://localhost:port",
        ] {
            let text = error(url).await;
            assert!(text.contains("redis://[[user]"), "{text}");
        }
        let text = error("rediss://:secret@localhost").await;
        assert!(text.contains("TLS is not supported"), "{text}");
        let text = error("redis://:secret@localhost:99999").await;
        assert!(!text.contains("secret"), "{text}");
        let error = Redis::connect("redis://localhost", "", false)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("name of a queue"), "{error}");
    });
}

#[test]
fn a_key_of_another_type_is_an_error_and_not_a_loop() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let engine = server.connect().await;
        let place = engine.shared.place(&super::function("send"));
        ask(&engine, &["SET", &place.streams[0], "x"]).await;
        let functions = [super::function("send")];
        let error = engine.lease(&functions, 1, LONG).await.unwrap_err();
        assert!(error.to_string().contains("WRONGTYPE"), "{error}");
        let error = engine.push(vec![job("send", b"x")]).await.unwrap_err();
        assert!(error.to_string().contains("WRONGTYPE"), "{error}");
    });
}
