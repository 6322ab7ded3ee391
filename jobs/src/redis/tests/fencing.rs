//! One result, although a job may run twice.

use std::time::Duration;

use coreloop_runtime::{block_on, select};

use super::{LONG, SHORT, ask, function, job, lease_one, pending, push, start};
use crate::engine::{Engine, Failure, Fence, NewJob, Outcome};

#[test]
fn a_worker_whose_lease_has_ended_does_not_store_a_result() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let (slow, fast) = (server.connect().await, server.connect().await);
        let id = push(&slow, job("send", b"x")).await;
        let first = lease_one(&slow, "send", SHORT).await;
        let second = lease_one(&fast, "send", LONG).await;
        assert_eq!((first.attempt, second.attempt), (1, 2));
        assert_eq!(first.id, second.id);
        assert_eq!(
            slow.renew(vec![&first], SHORT).await.unwrap(),
            [Fence::Taken]
        );
        let stale = slow.finish(vec![(&first, b"slow")]).await.unwrap();
        assert_eq!(stale, [Fence::Taken]);
        let failure = Failure::Retry {
            delay: Duration::ZERO,
            error: String::new(),
        };
        assert_eq!(
            slow.fail(&first, failure.clone()).await.unwrap(),
            Fence::Taken
        );
        // The second worker has the job as before.
        let done = fast.finish(vec![(&second, b"fast")]);
        assert_eq!(done.await.unwrap(), [Fence::Held]);
        let outcome = slow.outcome(&id).await.unwrap();
        assert_eq!(outcome, Outcome::Done(b"fast".to_vec()));
        let stale = slow.finish(vec![(&first, b"slow")]).await.unwrap();
        assert_eq!(stale, [Fence::Gone]);
        assert_eq!(slow.fail(&first, failure).await.unwrap(), Fence::Gone);
        assert_eq!(slow.counts().await.unwrap(), Default::default());
    });
}

/// The worker's own second lease of a job is another one than its first.
#[test]
fn a_worker_does_not_finish_its_second_lease_with_its_first() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let engine = server.connect().await;
        push(&engine, job("send", b"x")).await;
        let first = lease_one(&engine, "send", SHORT).await;
        let second = lease_one(&engine, "send", SHORT).await;
        let stale = engine.finish(vec![(&first, &[])]).await.unwrap();
        assert_eq!(stale, [Fence::Taken]);
        let done = engine.finish(vec![(&second, &[])]).await.unwrap();
        // The lease is so short that a third one may have begun.
        assert_ne!(done, [Fence::Gone]);
    });
}

/// Long enough for a slow machine to renew it.
const LEASE: Duration = Duration::from_secs(5);

#[test]
fn a_renewed_lease_keeps_the_job_and_counts_no_attempt() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let (engine, other) = (server.connect().await, server.connect().await);
        push(&engine, job("send", b"x")).await;
        let mine = lease_one(&engine, "send", LEASE).await;
        let functions = [function("send")];
        // The other worker asks for it for longer than the lease.
        let asks = other.lease(&functions, 1, LEASE);
        let renewals = async {
            for _ in 0..12 {
                coreloop_runtime::time::sleep(LEASE / 10).await;
                let fence = engine.renew(vec![&mine], LEASE);
                assert_eq!(fence.await.unwrap(), [Fence::Held]);
            }
        };
        select! {
            _ = asks => panic!("the other worker got the job"),
            () = renewals => {}
        }
        let done = engine.finish(vec![(&mine, &[])]).await.unwrap();
        assert_eq!(done, [Fence::Held]);
    });
}

/// A job has the lease of its worker, whatever lease the worker has that looks for ended
/// ones. A renewal may change it.
#[test]
fn a_worker_with_a_short_lease_leaves_the_jobs_of_one_with_a_long_lease() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let (patient, hasty) = (server.connect().await, server.connect().await);
        push(&patient, job("send", b"x")).await;
        let mine = lease_one(&patient, "send", LONG).await;
        // Its keeper looks many times while it waits for this job.
        let tiny = Duration::from_millis(3);
        let later = NewJob {
            delay: Duration::from_millis(300),
            ..job("send", b"later")
        };
        push(&hasty, later).await;
        let other = lease_one(&hasty, "send", tiny).await;
        assert_eq!(other.payload, b"later");
        assert_eq!(
            patient.renew(vec![&mine], tiny).await.unwrap(),
            [Fence::Held]
        );
        loop {
            let job = lease_one(&hasty, "send", LONG).await;
            if job.id == mine.id {
                assert_eq!(job.attempt, 2);
                break;
            }
        }
        assert_eq!(
            patient.renew(vec![&mine], LONG).await.unwrap(),
            [Fence::Taken]
        );
    });
}

/// A tool of an administrator may give an entry to another consumer.
#[test]
fn a_job_that_was_claimed_by_hand_is_taken() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let engine = server.connect().await;
        push(&engine, job("send", b"x")).await;
        let mine = lease_one(&engine, "send", LONG).await;
        let stream = engine.shared.place(&function("send")).streams[0].clone();
        let (entry, _) = mine.lease.split_once('/').unwrap();
        ask(
            &engine,
            &["XCLAIM", &stream, "workers", "admin", "0", entry],
        )
        .await;
        assert_eq!(
            engine.renew(vec![&mine], LONG).await.unwrap(),
            [Fence::Taken]
        );
        let done = engine.finish(vec![(&mine, &[])]).await.unwrap();
        assert_eq!(done, [Fence::Taken]);
        assert_eq!(
            pending(&engine, "send", "admin").await,
            [("admin".to_owned(), 1)]
        );
        // A consumer without a lease in its name has the lease of the worker that looks.
        let again = lease_one(&engine, "send", SHORT).await;
        assert_eq!((again.id, again.attempt), (mine.id, 3));
    });
}

#[test]
fn a_key_is_stored_once_even_after_its_job_has_finished() {
    let Some(server) = super::Started::new(super::DURABLE) else {
        return;
    };
    let keyed = || NewJob {
        key: Some("order 17".to_owned()),
        ..job("send", b"x")
    };
    block_on(async {
        let engine = server.connect().await;
        let id = push(&engine, keyed()).await;
        assert_eq!(push(&engine, keyed()).await, id);
        let other = server.connect().await;
        let both = other.push(vec![keyed(), job("send", b"y"), keyed()]);
        let both = both.await.unwrap();
        assert_eq!((&both[0], &both[2]), (&id, &id));
        assert_ne!(both[1], id);
        assert_eq!(engine.counts().await.unwrap().waiting, 2);
        let leased = lease_one(&engine, "send", LONG).await;
        assert_eq!(leased.payload, b"x");
        engine.finish(vec![(&leased, &[])]).await.unwrap();
        assert_eq!(push(&engine, keyed()).await, id);
        assert_eq!(engine.counts().await.unwrap().waiting, 1);

        // A server that was killed keeps all of it.
        drop((engine, other));
        let server = server.restart();
        let engine = server.connect().await;
        assert_eq!(push(&engine, keyed()).await, id);
        let outcome = engine.outcome(&id).await.unwrap();
        assert_eq!(outcome, Outcome::Done(Vec::new()));
        assert_eq!(lease_one(&engine, "send", LONG).await.payload, b"y");
    });
}
