//! Waits for the outcomes of jobs.

use std::time::Duration;

use coreloop_runtime::time::timeout;
use coreloop_runtime::{block_on, select, spawn};

use super::{FEW_RIGHTS, LONG, Started, job, lease, push};
use crate::engine::{Engine, Outcome};

/// The user of the server may not subscribe to channels, so that a wait depends on the time at
/// which outcomes are read again. New waits must not put it off.
#[test]
fn a_wait_ends_while_new_waits_begin() {
    let Some(server) = Started::new(FEW_RIGHTS) else {
        return;
    };
    block_on(async {
        let engine = server.connect_as("worker").await;
        let mut ids = Vec::new();
        for number in 0..3 {
            ids.push(push(&engine, job("send", &[number])).await);
        }
        let jobs = lease(&engine, "send", 2, LONG).await;
        let first = {
            let (engine, id) = (engine.clone(), ids[0].clone());
            spawn(async move { engine.outcome(&id).await })
        };
        // When this wait has its answer, the first one was looked at.
        let second = async {
            engine.finish(vec![(&jobs[1], &[2])]).await.unwrap();
            engine.outcome(&ids[1]).await.unwrap()
        };
        assert_eq!(second.await, Outcome::Done(vec![2]));
        engine.finish(vec![(&jobs[0], &[1])]).await.unwrap();
        let others = async {
            for _ in 0..5_000 {
                let limit = Duration::from_millis(1);
                let wait = timeout(limit, engine.outcome(&ids[2])).await;
                assert!(wait.is_err());
            }
        };
        select! {
            outcome = first => assert_eq!(outcome.unwrap().unwrap(), Outcome::Done(vec![1])),
            () = others => panic!("the first wait has starved"),
        }
    });
}

#[test]
fn many_waits_end_without_rights_on_channels() {
    let Some(server) = Started::new(FEW_RIGHTS) else {
        return;
    };
    block_on(async {
        let engine = server.connect_as("worker").await;
        let jobs = (0..20).map(|number| job("send", &[number])).collect();
        let ids = engine.push(jobs).await.unwrap();
        let waits: Vec<_> = ids
            .into_iter()
            .map(|id| {
                let engine = engine.clone();
                spawn(async move { engine.outcome(&id).await })
            })
            .collect();
        for job in lease(&engine, "send", 20, LONG).await {
            engine.finish(vec![(&job, &job.payload)]).await.unwrap();
        }
        for (number, wait) in (0..20).zip(waits) {
            let outcome = wait.await.unwrap().unwrap();
            assert_eq!(outcome, Outcome::Done(vec![number]));
        }
    });
}
