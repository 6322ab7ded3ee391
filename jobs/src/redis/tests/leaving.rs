//! Workers that stop give back what the server has delivered to them.

use std::rc::Rc;
use std::time::Duration;

use coreloop_runtime::block_on;
use coreloop_runtime::time::timeout;

use super::{
    FEW_RIGHTS, LONG, Started, function, job, lease_one, lose_an_answer, pending, push, start,
};
use crate::engine::Engine;
use crate::redis::Redis;

/// Returns how many entries this engine has under its name.
async fn entries_of(engine: &Redis) -> i64 {
    let consumers = pending(engine, "send", &engine.shared.worker).await;
    consumers.into_iter().map(|(_, count)| count).sum()
}

/// Jobs arrive for a worker before, while and after the future of its lease is dropped.
async fn leaves_nothing(server: &Started, engine: &Rc<Redis>) {
    let other = server.connect().await;
    let functions = [function("send")];
    // The group of workers exists after this.
    push(&other, job("send", b"first")).await;
    let first = lease_one(engine, "send", LONG).await;
    engine.finish(vec![(&first, &[])]).await.unwrap();
    for round in 0..20_u8 {
        let limit = Duration::from_millis(u64::from(round % 5));
        let waits = timeout(limit, engine.lease(&functions, 3, LONG));
        let pushes = async {
            for _ in 0..3 {
                push(&other, job("send", &[round])).await;
            }
        };
        let (leased, ()) = coreloop_runtime::join!(waits, pushes);
        engine.leave(&functions, LONG).await.unwrap();
        let mut held = Vec::new();
        if let Ok(leased) = leased {
            held.extend(leased.unwrap());
        }
        assert_eq!(entries_of(engine).await, i64::try_from(held.len()).unwrap());
        for _ in held.len()..3 {
            let job = lease_one(&other, "send", LONG).await;
            assert_eq!(
                (job.payload.as_slice(), job.attempt),
                ([round].as_slice(), 1)
            );
            other.finish(vec![(&job, &[])]).await.unwrap();
        }
        for job in &held {
            engine.finish(vec![(job, &[])]).await.unwrap();
        }
    }
    // It reads again when it is asked to.
    push(&other, job("send", b"x")).await;
    let job = engine.lease(&functions, 1, LONG).await.unwrap().remove(0);
    assert_eq!((job.payload.as_slice(), job.attempt), (b"x".as_slice(), 1));
}

#[test]
fn jobs_that_arrive_for_a_worker_that_stops_go_to_others() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let engine = server.connect().await;
        leaves_nothing(&server, &engine).await;
    });
}

/// Reads end by themselves if the user may not end them.
#[test]
fn a_worker_that_may_not_unblock_itself_leaves_nothing_either() {
    let Some(server) = Started::new(FEW_RIGHTS) else {
        return;
    };
    block_on(async {
        let engine = server.connect_as("worker").await;
        let functions = [function("send")];
        let other = server.connect().await;
        let reader = engine.reader(&functions, LONG);
        let blocks = async {
            while reader.blocked.get().is_none() {
                coreloop_runtime::task::yield_now().await;
            }
        };
        coreloop_runtime::select! {
            _ = engine.lease(&functions, 1, LONG) => panic!("there is no job"),
            () = blocks => {}
        }
        push(&other, job("send", b"x")).await;
        engine.leave(&functions, LONG).await.unwrap();
        assert_eq!(entries_of(&other).await, 0);
        assert_eq!(lease_one(&other, "send", LONG).await.attempt, 1);
    });
}

#[test]
fn a_worker_that_stops_gives_back_what_came_in_a_lost_answer() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let (engine, other) = (server.connect().await, server.connect().await);
        let (one, ..) = lose_an_answer(&engine, &other).await;
        assert_eq!(entries_of(&engine).await, 2);
        engine.leave(&[function("send")], LONG).await.unwrap();
        assert_eq!(entries_of(&engine).await, 1);
        let two = lease_one(&other, "send", LONG).await;
        assert_eq!(
            (two.payload.as_slice(), two.attempt),
            (b"two".as_slice(), 1)
        );
        engine.finish(vec![(&one, &[])]).await.unwrap();
    });
}

#[test]
fn a_worker_that_has_leased_nothing_may_leave() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let engine = server.connect().await;
        engine.leave(&[function("send")], LONG).await.unwrap();
    });
}
