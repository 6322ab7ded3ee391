//! The engine against a server that each test starts. If `nats-server` is not installed, the
//! tests say so and do nothing.

mod dead;
mod failures;
mod keys;
mod leases;

use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use coreloop_runtime::block_on;
use coreloop_runtime::time::timeout;
use coreloop_test_support::folder::Folder;
use coreloop_test_support::server_process::{Server, find, free_port};

use super::Nats;
use super::leases::{Registration, parse};
use super::server::{Server as Connection, engine as engine_error};
use crate::engine::{Engine, Failure, Fence, Leased, NewJob, Outcome};
use crate::testing::{LONG, function, job, journey, lease_one, push};

/// So short that the server gives a job to another worker soon.
const SHORT: Duration = Duration::from_millis(200);

fn start_in(folder: Folder, port: u16) -> Option<Server> {
    let mut command = Command::new(find("nats-server", &[])?);
    command
        .args(["--addr", "127.0.0.1", "--port", &port.to_string()])
        .args(["--jetstream", "--store_dir"])
        .arg(folder.path("store"));
    Some(Server::start(command, folder, "Server is ready"))
}

fn start() -> Option<(Server, String, u16)> {
    let port = free_port();
    let server = start_in(Folder::new(), port)?;
    Some((server, format!("nats://127.0.0.1:{port}"), port))
}

#[test]
fn jobs_are_leased_finished_and_their_outcomes_read() {
    let Some((_server, url, _)) = start() else {
        return;
    };
    block_on(async {
        let engine = Nats::connect(&url, "mail").await.unwrap();
        journey(&*engine).await;
    });
}

#[test]
fn a_worker_whose_lease_has_ended_does_not_store_a_result() {
    let Some((_server, url, _)) = start() else {
        return;
    };
    block_on(async {
        let slow = Nats::connect(&url, "mail").await.unwrap();
        let fast = Nats::connect(&url, "mail").await.unwrap();
        let id = push(&slow, job("send", b"x")).await;
        let first = lease_one(&slow, "send", SHORT).await;
        let second = lease_one(&fast, "send", SHORT).await;
        assert_eq!((first.attempt, second.attempt), (1, 2));
        assert_eq!(
            slow.renew(vec![&first], SHORT).await.unwrap(),
            [Fence::Taken]
        );
        let stale = slow.finish(vec![(&first, b"slow")]).await.unwrap();
        assert_eq!(stale, [Fence::Taken]);
        let done = fast.finish(vec![(&second, b"fast")]).await.unwrap();
        assert_eq!(done, [Fence::Held]);
        let outcome = slow.outcome(&id).await.unwrap();
        assert_eq!(outcome, Outcome::Done(b"fast".to_vec()));
    });
}

/// Long enough for a slow machine to renew it.
const LEASE: Duration = Duration::from_secs(5);

#[test]
fn a_renewed_lease_keeps_the_job() {
    let Some((_server, url, _)) = start() else {
        return;
    };
    block_on(async {
        let engine = Nats::connect(&url, "mail").await.unwrap();
        let other = Nats::connect(&url, "mail").await.unwrap();
        push(&engine, job("send", b"x")).await;
        let mine = lease_one(&engine, "send", LEASE).await;
        let functions = [function("send")];
        // The other worker asks for it for longer than the lease.
        let asks = other.lease(&functions, 1, LEASE);
        let renewals = async {
            for _ in 0..12 {
                coreloop_runtime::time::sleep(LEASE / 10).await;
                let fence = engine.renew(vec![&mine], LONG).await.unwrap();
                assert_eq!(fence, [Fence::Held]);
            }
        };
        coreloop_runtime::select! {
            _ = asks => panic!("the other worker got the job"),
            () = renewals => {}
        }
        let done = engine.finish(vec![(&mine, &[])]).await.unwrap();
        assert_eq!(done, [Fence::Held]);
    });
}

#[test]
fn a_key_is_stored_once_even_after_its_job_has_finished() {
    let Some((server, url, port)) = start() else {
        return;
    };
    let keyed = || NewJob {
        key: Some("order 17".to_owned()),
        ..job("send", b"x")
    };
    block_on(async {
        let engine = Nats::connect(&url, "mail").await.unwrap();
        let id = push(&engine, keyed()).await;
        assert_eq!(push(&engine, keyed()).await, id);
        assert_eq!(engine.counts().await.unwrap().waiting, 1);
        let leased = lease_one(&engine, "send", LONG).await;
        engine.finish(vec![(&leased, &[])]).await.unwrap();
        assert_eq!(push(&engine, keyed()).await, id);
        assert_eq!(engine.counts().await.unwrap().waiting, 0);

        // A server that was killed keeps all of it.
        push(&engine, job("send", b"kept")).await;
        drop(engine);
        let _server = start_in(server.kill(), port).unwrap();
        let engine = Nats::connect(&url, "mail").await.unwrap();
        assert_eq!(push(&engine, keyed()).await, id);
        assert_eq!(
            engine.outcome(&id).await.unwrap(),
            Outcome::Done(Vec::new())
        );
        let leased = lease_one(&engine, "send", LONG).await;
        assert_eq!(leased.payload, b"kept");
    });
}

#[test]
fn a_failed_attempt_comes_back_and_a_dead_letter_can_be_put_back() {
    let Some((_server, url, _)) = start() else {
        return;
    };
    block_on(async {
        let engine = Nats::connect(&url, "mail").await.unwrap();
        let id = push(&engine, job("send", b"x")).await;
        for attempt in 1..=3 {
            let leased = lease_one(&engine, "send", LONG).await;
            assert_eq!((&leased.id, leased.attempt), (&id, attempt));
            let failure = Failure::Retry {
                delay: Duration::from_millis(20),
                error: "no".to_owned(),
            };
            assert_eq!(engine.fail(&leased, failure).await.unwrap(), Fence::Held);
        }
        let leased = lease_one(&engine, "send", LONG).await;
        let failure = Failure::Dead {
            error: "never".to_owned(),
        };
        assert_eq!(engine.fail(&leased, failure).await.unwrap(), Fence::Held);
        let outcome = engine.outcome(&id).await.unwrap();
        assert_eq!(outcome, Outcome::Dead("never".to_owned()));
        let letters = engine.dead(10).await.unwrap();
        assert_eq!(letters.len(), 1);
        assert_eq!((&letters[0].id, letters[0].attempts), (&id, 4));
        assert_eq!(letters[0].error, "never");
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
fn a_job_that_was_not_started_has_used_up_no_attempt() {
    let Some((_server, url, _)) = start() else {
        return;
    };
    block_on(async {
        let engine = Nats::connect(&url, "mail").await.unwrap();
        push(&engine, job("send", b"x")).await;
        for _ in 0..3 {
            let leased = lease_one(&engine, "send", LONG).await;
            assert_eq!(leased.attempt, 1);
            let fence = engine.fail(&leased, Failure::Unstarted).await.unwrap();
            assert_eq!(fence, Fence::Held);
        }
        let leased = lease_one(&engine, "send", LONG).await;
        let failure = Failure::Retry {
            delay: Duration::ZERO,
            error: "no".to_owned(),
        };
        assert_eq!(engine.fail(&leased, failure).await.unwrap(), Fence::Held);
        let again = lease_one(&engine, "send", LONG).await;
        assert_eq!(again.attempt, 2);
        let fence = engine.fail(&leased, Failure::Unstarted).await.unwrap();
        assert_eq!(fence, Fence::Taken);
        engine.finish(vec![(&again, &[])]).await.unwrap();
    });
}

#[test]
fn a_delayed_job_waits_and_is_stored_once() {
    let Some((_server, url, _)) = start() else {
        return;
    };
    block_on(async {
        let engine = Nats::connect(&url, "mail").await.unwrap();
        let delayed = |delay| NewJob {
            key: Some("later".to_owned()),
            delay,
            ..job("send", b"later")
        };
        let id = push(&engine, delayed(LONG)).await;
        assert_eq!(push(&engine, delayed(LONG)).await, id);
        push(
            &engine,
            NewJob {
                delay: Duration::from_millis(50),
                ..job("send", b"soon")
            },
        )
        .await;
        push(&engine, job("send", b"now")).await;
        assert_eq!(lease_one(&engine, "send", LONG).await.payload, b"now");
        assert_eq!(lease_one(&engine, "send", LONG).await.payload, b"soon");
        let counts = engine.counts().await.unwrap();
        assert_eq!((counts.delayed, counts.waiting), (1, 0));
    });
}

#[test]
fn a_cancelled_lease_loses_no_job() {
    let Some((_server, url, _)) = start() else {
        return;
    };
    block_on(async {
        let engine = Nats::connect(&url, "mail").await.unwrap();
        let functions = [function("send")];
        for round in 0..20_u8 {
            let waits = timeout(
                Duration::from_millis(u64::from(round)),
                engine.lease(&functions, 1, LONG),
            );
            let early =
                futures_util::future::join(waits, push(&engine, job("send", &[round]))).await;
            let job = match early.0 {
                Ok(jobs) => jobs.unwrap().remove(0),
                Err(_) => lease_one(&engine, "send", LONG).await,
            };
            assert_eq!(
                (job.payload.as_slice(), job.attempt),
                ([round].as_slice(), 1)
            );
        }
    });
}

#[test]
fn a_worker_that_leaves_gives_back_what_was_leased_for_it() {
    let Some((_server, url, _)) = start() else {
        return;
    };
    block_on(async {
        let engine = Nats::connect(&url, "mail").await.unwrap();
        let other = Nats::connect(&url, "mail").await.unwrap();
        let functions = [function("send"), function("other")];
        for round in 0..20_u8 {
            let waits = timeout(
                Duration::from_millis(u64::from(round)),
                engine.lease(&functions, 1, LONG),
            );
            let early =
                futures_util::future::join(waits, push(&other, job("send", &[round]))).await;
            let job = match early.0 {
                Ok(jobs) => jobs.unwrap().remove(0),
                Err(_) => {
                    engine.leave(&functions, LONG).await.unwrap();
                    lease_one(&other, "send", LONG).await
                }
            };
            assert_eq!(
                (job.payload.as_slice(), job.attempt),
                ([round].as_slice(), 1)
            );
        }
    });
}

#[test]
fn a_worker_does_not_get_the_jobs_that_were_leased_for_another_one() {
    let Some((_server, url, _)) = start() else {
        return;
    };
    block_on(async {
        let engine = Nats::connect(&url, "mail").await.unwrap();
        let sends = [function("send")];
        push(&engine, job("send", b"x")).await;
        // It is leased while the caller gives up.
        let waits = engine.lease(&sends, 1, LONG);
        assert!(futures_util::FutureExt::now_or_never(waits).is_none());
        push(&engine, job("print", b"y")).await;
        let printed = lease_one(&engine, "print", LONG).await;
        assert_eq!(printed.payload, b"y");
        assert_eq!(lease_one(&engine, "send", LONG).await.payload, b"x");
    });
}

/// Returns the consumer of the function `send`, as the server has it.
async fn consumer_config(engine: &Rc<Nats>) -> async_nats::jetstream::consumer::Config {
    let read = |server: Arc<Connection>| async move {
        let name = super::names::consumer(&function("send"));
        let info = server.stream.consumer_info(&name).await;
        Ok(info.map_err(engine_error)?.config)
    };
    engine.thread.call(read).await.unwrap()
}

#[test]
fn a_worker_with_a_shorter_lease_does_not_shorten_the_leases_of_others() {
    let Some((_server, url, _)) = start() else {
        return;
    };
    block_on(async {
        let long = Nats::connect(&url, "mail").await.unwrap();
        let short = Nats::connect(&url, "mail").await.unwrap();
        let jobs = (0..3).map(|number| job("send", &[number])).collect();
        long.push(jobs).await.unwrap();
        lease_one(&short, "send", LEASE).await;
        assert_eq!(consumer_config(&short).await.ack_wait, LEASE);
        lease_one(&long, "send", LONG).await;
        assert_eq!(consumer_config(&short).await.ack_wait, LONG);
        lease_one(&short, "send", LEASE).await;
        assert_eq!(consumer_config(&short).await.ack_wait, LONG);
    });
}

#[test]
fn a_renewal_raises_the_time_of_leases_that_another_worker_has_lowered() {
    let Some((_server, url, _)) = start() else {
        return;
    };
    block_on(async {
        let engine = Nats::connect(&url, "mail").await.unwrap();
        push(&engine, job("send", b"x")).await;
        let leased = lease_one(&engine, "send", LONG).await;
        let lower = |server: Arc<Connection>| async move {
            let config = async_nats::jetstream::consumer::pull::Config {
                durable_name: Some(super::names::consumer(&function("send"))),
                filter_subject: super::names::subject(&server.queue, &function("send")),
                ack_wait: LEASE,
                ..Default::default()
            };
            let lowered = server.stream.create_consumer(config).await;
            lowered.map(drop).map_err(engine_error)
        };
        engine.thread.call(lower).await.unwrap();
        engine.renew(vec![&leased], LONG).await.unwrap();
        assert_eq!(consumer_config(&engine).await.ack_wait, LONG);
    });
}

#[test]
fn a_limit_of_deliveries_that_another_program_has_set_is_removed() {
    let Some((_server, url, _)) = start() else {
        return;
    };
    block_on(async {
        let engine = Nats::connect(&url, "mail").await.unwrap();
        push(&engine, job("send", b"x")).await;
        let limit = |server: Arc<Connection>| async move {
            let config = async_nats::jetstream::consumer::pull::Config {
                durable_name: Some(super::names::consumer(&function("send"))),
                filter_subject: super::names::subject(&server.queue, &function("send")),
                ack_wait: LONG,
                max_deliver: 1,
                ..Default::default()
            };
            let limited = server.stream.create_consumer(config).await;
            limited.map(drop).map_err(engine_error)
        };
        engine.thread.call(limit).await.unwrap();
        for attempt in 1..=3 {
            let leased = lease_one(&engine, "send", LONG).await;
            assert_eq!(leased.attempt, attempt);
            let failure = Failure::Retry {
                delay: Duration::ZERO,
                error: "no".to_owned(),
            };
            assert_eq!(engine.fail(&leased, failure).await.unwrap(), Fence::Held);
        }
        assert_eq!(consumer_config(&engine).await.max_deliver, -1);
    });
}

#[test]
fn a_consumer_that_has_vanished_is_created_again() {
    let Some((_server, url, _)) = start() else {
        return;
    };
    block_on(async {
        let engine = Nats::connect(&url, "mail").await.unwrap();
        push(&engine, job("send", b"one")).await;
        lease_one(&engine, "send", LONG).await;
        let delete = |server: Arc<Connection>| async move {
            let name = super::names::consumer(&function("send"));
            server
                .stream
                .delete_consumer(&name)
                .await
                .map_err(engine_error)?;
            Ok(())
        };
        engine.thread.call(delete).await.unwrap();
        push(&engine, job("send", b"two")).await;
        let functions = [function("send")];
        // The worker above the engine repeats a failed request too.
        let mut payloads = Vec::new();
        while payloads.len() < 2 {
            if let Ok(jobs) = engine.lease(&functions, 2, LONG).await {
                payloads.extend(jobs.into_iter().map(|job| job.payload));
            }
        }
        payloads.sort();
        assert_eq!(payloads, [b"one".to_vec(), b"two".to_vec()]);
    });
}

#[test]
fn a_server_that_cannot_be_reached_is_an_error() {
    block_on(async {
        let port = free_port();
        let error = Nats::connect(&format!("nats://127.0.0.1:{port}"), "mail").await;
        assert!(error.unwrap_err().to_string().starts_with("NATS: "));
        let error = Nats::connect("nats://127.0.0.1:1", "").await.unwrap_err();
        assert!(error.to_string().contains("name of a queue"), "{error}");
    });
}
