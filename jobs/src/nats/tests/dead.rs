//! Dead letters that are stored late, or are too long.

use super::super::buckets::End;
use super::*;

/// Starts a server that accepts messages of at most 4096 bytes.
fn start_with_short_messages() -> Option<(Server, String)> {
    let (folder, port) = (Folder::new(), free_port());
    let config = folder.path("config");
    std::fs::write(&config, "max_payload: 4096\n").unwrap();
    let mut command = Command::new(find("nats-server", &[])?);
    command
        .args(["--addr", "127.0.0.1", "--port", &port.to_string()])
        .args(["--jetstream", "--store_dir"])
        .arg(folder.path("store"))
        .arg("--config")
        .arg(config);
    let server = Server::start(command, folder, "Server is ready");
    Some((server, format!("nats://127.0.0.1:{port}")))
}

fn dead(error: String) -> Failure {
    Failure::Dead { error }
}

#[test]
fn what_is_too_long_for_the_server_is_an_error_that_is_final() {
    let Some((_server, url)) = start_with_short_messages() else {
        return;
    };
    block_on(async {
        let engine = Nats::connect(&url, "mail").await.unwrap();
        let pushed = engine.push(vec![job("send", &[1; 5_000])]).await;
        assert!(pushed.unwrap_err().is_codec());
        let id = push(&engine, job("send", &[1; 3_000])).await;
        let leased = lease_one(&engine, "send", LONG).await;
        let result = [2; 5_000];
        let finished = engine.finish(vec![(&leased, &result)]).await;
        assert!(finished.unwrap_err().is_codec());
        // It can be buried, although the letter is too long.
        let fence = engine.fail(&leased, dead("e".repeat(2_000))).await;
        assert_eq!(fence.unwrap(), Fence::Held);
        let letters = engine.dead(1).await.unwrap();
        assert_eq!(letters[0].id, id);
        assert!(
            letters[0].error.contains("not kept"),
            "{}",
            letters[0].error
        );
        let error = engine.requeue(&id).await.unwrap_err();
        assert!(error.is_codec(), "{error}");

        let id = push(&engine, job("send", b"x")).await;
        let leased = lease_one(&engine, "send", LONG).await;
        let fence = engine.fail(&leased, dead("e".repeat(5_000))).await;
        assert_eq!(fence.unwrap(), Fence::Held);
        assert!(engine.requeue(&id).await.unwrap());
    });
}

#[test]
fn the_letter_of_a_worker_that_has_died_is_stored_by_the_next() {
    let Some((_server, url, _)) = start() else {
        return;
    };
    block_on(async {
        let engine = Nats::connect(&url, "mail").await.unwrap();
        let id = push(&engine, job("send", b"x")).await;
        let leased = lease_one(&engine, "send", SHORT).await;
        // What a worker does first.
        let store = move |server: Arc<Connection>| async move {
            let end = End::Burying("never".to_owned());
            server.create_end(&leased.id, &end).await
        };
        assert!(engine.thread.call(store).await.unwrap().is_some());
        assert!(engine.dead(9).await.unwrap().is_empty());
        let functions = [function("send")];
        // A producer that knows the outcome finds the letter.
        let outcome = coreloop_runtime::select! {
            _ = engine.lease(&functions, 1, SHORT) => panic!("the job is dead"),
            outcome = engine.outcome(&id) => outcome.unwrap(),
        };
        assert_eq!(outcome, Outcome::Dead("never".to_owned()));
        let letters = engine.dead(9).await.unwrap();
        assert_eq!((&letters[0].id, letters[0].attempts), (&id, 1));
        assert_eq!(letters[0].error, "never");
        assert!(engine.requeue(&id).await.unwrap());
        assert_eq!(lease_one(&engine, "send", SHORT).await.payload, b"x");
    });
}

#[test]
fn two_workers_that_bury_a_job_leave_one_letter() {
    let Some((_server, url, _)) = start() else {
        return;
    };
    block_on(async {
        let one = Nats::connect(&url, "mail").await.unwrap();
        let other = Nats::connect(&url, "mail").await.unwrap();
        for round in 0..10_u8 {
            push(&one, job("send", &[round])).await;
            let leased = lease_one(&one, "send", LONG).await;
            let (first, second) = futures_util::future::join(
                one.fail(&leased, dead("one".to_owned())),
                other.fail(&leased, dead("other".to_owned())),
            )
            .await;
            let fences = [first.unwrap(), second.unwrap()];
            assert!(fences.contains(&Fence::Held), "{fences:?}");
            assert!(fences.contains(&Fence::Gone), "{fences:?}");
        }
        let letters = one.dead(100).await.unwrap();
        assert_eq!(letters.len(), 10);
        assert_eq!(one.counts().await.unwrap().dead, 10);
        assert_eq!(one.dead(3).await.unwrap().len(), 3);
    });
}
