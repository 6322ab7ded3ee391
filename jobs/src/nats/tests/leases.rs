//! Which lease is valid, and what stays of it.

use super::*;

/// Returns how many messages, and markers that one was removed, the bucket of leases has.
async fn entries_of_leases(engine: &Rc<Nats>) -> u64 {
    let count = |server: Arc<Connection>| async move {
        let info = server.leases.stream.get_info().await;
        Ok(info.map_err(engine_error)?.state.messages)
    };
    engine.thread.call(count).await.unwrap()
}

async fn bury(engine: &Rc<Nats>, job: &Leased) {
    let failure = Failure::Dead {
        error: "never".to_owned(),
    };
    assert_eq!(engine.fail(job, failure).await.unwrap(), Fence::Held);
}

#[test]
fn nothing_stays_of_the_leases_of_jobs_that_have_ended() {
    let Some((_server, url, _)) = start() else {
        return;
    };
    block_on(async {
        let engine = Nats::connect(&url, "mail").await.unwrap();
        push(&engine, job("send", b"done")).await;
        let first = lease_one(&engine, "send", LONG).await;
        push(&engine, job("send", b"dead")).await;
        let second = lease_one(&engine, "send", LONG).await;
        assert_eq!(entries_of_leases(&engine).await, 2);
        engine.finish(vec![(&first, &[])]).await.unwrap();
        bury(&engine, &second).await;
        assert_eq!(entries_of_leases(&engine).await, 0);
        // A late worker learns it from the outcomes.
        let late = engine.renew(vec![&first, &second], LONG).await.unwrap();
        assert_eq!(late, [Fence::Gone, Fence::Gone]);
        let late = engine.fail(&first, Failure::Unstarted).await.unwrap();
        assert_eq!(late, Fence::Gone);
    });
}

#[test]
fn a_lease_from_before_a_job_was_put_back_is_not_valid() {
    let Some((_server, url, _)) = start() else {
        return;
    };
    block_on(async {
        let engine = Nats::connect(&url, "mail").await.unwrap();
        let id = push(&engine, job("send", b"x")).await;
        let late = lease_one(&engine, "send", SHORT).await;
        let last = lease_one(&engine, "send", SHORT).await;
        bury(&engine, &last).await;
        assert!(engine.requeue(&id).await.unwrap());
        for old in [&late, &last] {
            let fence = engine.finish(vec![(old, b"old")]).await.unwrap();
            assert_eq!(fence, [Fence::Taken]);
        }
        let again = lease_one(&engine, "send", LONG).await;
        assert_eq!(again.attempt, 1);
        // The number of its delivery is smaller than the number of the old one.
        let fence = engine.finish(vec![(&last, b"old")]).await.unwrap();
        assert_eq!(fence, [Fence::Taken]);
        let fence = engine.finish(vec![(&again, b"new")]).await.unwrap();
        assert_eq!(fence, [Fence::Held]);
        let outcome = engine.outcome(&id).await.unwrap();
        assert_eq!(outcome, Outcome::Done(b"new".to_vec()));
    });
}

#[test]
fn an_earlier_delivery_does_not_replace_a_later_one() {
    let Some((_server, url, _)) = start() else {
        return;
    };
    block_on(async {
        let engine = Nats::connect(&url, "mail").await.unwrap();
        push(&engine, job("send", b"x")).await;
        let first = lease_one(&engine, "send", SHORT).await;
        let second = lease_one(&engine, "send", SHORT).await;
        let earlier = first.clone();
        let register = |server: Arc<Connection>| async move {
            let (delivery, _) = parse(&earlier).unwrap();
            let registered = server.register_lease(&earlier.id, delivery).await?;
            Ok(matches!(registered, Registration::Late))
        };
        assert!(engine.thread.call(register).await.unwrap());
        let fences = engine.renew(vec![&first, &second], LONG).await.unwrap();
        assert_eq!(fences, [Fence::Taken, Fence::Held]);
    });
}

#[test]
fn a_return_that_is_repeated_counts_once() {
    let Some((_server, url, _)) = start() else {
        return;
    };
    block_on(async {
        let engine = Nats::connect(&url, "mail").await.unwrap();
        push(&engine, job("send", b"x")).await;
        let retry = || Failure::Retry {
            delay: Duration::ZERO,
            error: "no".to_owned(),
        };
        let leased = lease_one(&engine, "send", LONG).await;
        engine.fail(&leased, retry()).await.unwrap();
        let leased = lease_one(&engine, "send", LONG).await;
        assert_eq!(leased.attempt, 2);
        // As if the answer to the first had been lost.
        for _ in 0..3 {
            let fence = engine.fail(&leased, Failure::Unstarted).await.unwrap();
            assert_eq!(fence, Fence::Held);
        }
        let fence = engine.renew(vec![&leased], LONG).await.unwrap();
        assert_eq!(fence, [Fence::Taken]);
        assert_eq!(lease_one(&engine, "send", LONG).await.attempt, 2);
    });
}

#[test]
fn two_workers_that_finish_a_job_store_one_result() {
    let Some((_server, url, _)) = start() else {
        return;
    };
    block_on(async {
        let one = Nats::connect(&url, "mail").await.unwrap();
        let other = Nats::connect(&url, "mail").await.unwrap();
        for round in 0..20_u8 {
            let id = push(&one, job("send", &[round])).await;
            let leased = lease_one(&one, "send", LONG).await;
            let (first, second) = futures_util::future::join(
                one.finish(vec![(&leased, b"one")]),
                other.finish(vec![(&leased, b"other")]),
            )
            .await;
            let result = match (first.unwrap()[0], second.unwrap()[0]) {
                (Fence::Held, Fence::Gone) => b"one".to_vec(),
                (Fence::Gone, Fence::Held) => b"other".to_vec(),
                both => panic!("{both:?}"),
            };
            let outcome = one.outcome(&id).await.unwrap();
            assert_eq!(outcome, Outcome::Done(result));
        }
    });
}
