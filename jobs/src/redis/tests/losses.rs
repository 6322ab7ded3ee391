//! Workers that end, and answers that are lost.

use std::rc::Rc;
use std::thread;
use std::time::Duration;

use coreloop_runtime::{block_on, join};
use redis::{Cmd, Value};

use super::{
    LONG, SHORT, ask, function, job, lease, lease_one, lose_an_answer, pending, push, start,
};
use crate::engine::{Counts, Engine, Fence, JobId};
use crate::redis::Redis;

/// Runs a worker that leases 10 jobs, finishes 4 of them, and ends without a farewell: its loop
/// ends, and with it all of its tasks.
fn short_worker(url: &str, length: Duration) {
    thread::scope(|scope| {
        let worker = || {
            block_on(async {
                let engine = Redis::connect(url, "mail", false).await.unwrap();
                let jobs = lease(&engine, "send", 10, length).await;
                let results = jobs[..4].iter().map(|job| (job, [].as_slice())).collect();
                let fences = engine.finish(results).await.unwrap();
                assert_eq!(fences, [Fence::Held; 4]);
                // Dropping it would give jobs back.
                std::mem::forget(engine);
            });
        };
        scope.spawn(worker).join().unwrap();
    });
}

async fn push_ten(engine: &Rc<Redis>) -> Vec<JobId> {
    let jobs = (0..10).map(|number| job("send", &[number])).collect();
    engine.push(jobs).await.unwrap()
}

#[test]
fn the_jobs_of_a_worker_that_has_ended_come_back_after_their_leases() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let engine = server.connect().await;
        let ids = push_ten(&engine).await;
        short_worker(&server.url(), SHORT);
        let rest = lease(&engine, "send", 6, LONG).await;
        assert!(rest.iter().map(|job| &job.id).eq(&ids[4..]));
        assert!(rest.iter().all(|job| job.attempt == 2));
        let results = rest.iter().map(|job| (job, [].as_slice())).collect();
        assert_eq!(engine.finish(results).await.unwrap(), [Fence::Held; 6]);
        for id in &ids {
            engine.outcome(id).await.unwrap();
        }
        assert_eq!(engine.counts().await.unwrap(), Counts::default());
    });
}

/// Deleting a consumer deletes its pending entries, which no worker would get.
#[test]
fn a_consumer_with_jobs_is_not_deleted() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let engine = server.connect().await;
        let ids = push_ten(&engine).await;
        short_worker(&server.url(), LONG);
        let before = pending(&engine, "send", "").await;
        assert_eq!(before.len(), 1);
        assert_eq!(before[0].1, 6);
        let functions = [function("send")];
        let reader = engine.reader(&functions, LONG);
        // As at the end of a worker, but for all consumers.
        let delete = || reader.delete_consumers("", Duration::ZERO);
        delete().await.unwrap();
        assert_eq!(pending(&engine, "send", "").await, before);
        // By a renewal, all of their leases end soon.
        let short = before[0].0.rsplit_once(':').unwrap().0;
        let stream = engine.shared.place(&functions[0]).streams[0].clone();
        let Value::Array(entries) =
            ask(&engine, &["XPENDING", &stream, "workers", "-", "+", "10"]).await
        else {
            panic!("no pending entries");
        };
        for entry in entries {
            let Value::Array(parts) = entry else {
                panic!("a pending entry is a list");
            };
            let Value::BulkString(id) = &parts[0] else {
                panic!("a pending entry has an id");
            };
            let id = String::from_utf8_lossy(id).into_owned();
            let name = format!("{short}:1");
            ask(
                &engine,
                &["XCLAIM", &stream, "workers", &name, "0", &id, "JUSTID"],
            )
            .await;
        }
        let rest = lease(&engine, "send", 6, LONG).await;
        assert!(rest.iter().map(|job| &job.id).eq(&ids[4..]));
        delete().await.unwrap();
        let left = pending(&engine, "send", "").await;
        assert_eq!(left.len(), 1);
        assert!(left[0].0.starts_with(&engine.shared.worker), "{left:?}");
    });
}

#[test]
fn a_worker_that_ends_in_order_gives_back_what_no_call_has_taken() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let (other, engine) = (server.connect().await, server.connect().await);
        push(&engine, job("send", b"begins")).await;
        let begun = lease_one(&engine, "send", LONG).await;
        // The call is cancelled when its jobs have arrived.
        push_ten(&engine).await;
        let functions = [function("send")];
        let reader = engine.reader(&functions, LONG);
        let call = reader.desk.borrow_mut().enter(10);
        join!(reader.lease(1), async {
            while pending(&other, "send", "").await[0].1 < 10 {}
        })
        .0
        .unwrap();
        reader
            .desk
            .borrow_mut()
            .leave(call, std::time::Instant::now());
        drop(reader);
        drop(engine);
        // The job that it took in the call stays with it, and so does its consumer.
        let rest = lease(&other, "send", 9, LONG).await;
        assert!(rest.iter().all(|job| job.attempt == 1));
        assert_eq!(begun.attempt, 1);
    });
}

/// The server delivers an entry in an answer, and the connection fails before the answer arrives.
#[test]
fn a_job_in_a_lost_answer_is_given_back_after_a_new_connection() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let (engine, other) = (server.connect().await, server.connect().await);
        let (one, id, consumer) = lose_an_answer(&engine, &other).await;
        assert_eq!(pending(&other, "send", "").await, [(consumer, 2)]);
        let cut = async {
            // The reader blocks again, and its connection is the only one that does.
            let blocked = loop {
                let reader = engine.reader(&[function("send")], LONG);
                if let Some(id) = reader.blocked.get() {
                    break id;
                }
                drop(reader);
                coreloop_runtime::task::yield_now().await;
            };
            ask(&other, &["CLIENT", "KILL", "ID", &blocked.to_string()]).await;
        };
        let (two, ()) = join!(lease_one(&engine, "send", LONG), cut);
        assert_eq!((two.id, two.attempt), (id, 1));
        // The job that the worker has was not touched.
        let done = engine.finish(vec![(&one, &[])]).await.unwrap();
        assert_eq!(done, [Fence::Held]);
    });
}

#[test]
fn entries_of_other_programs_are_removed_after_a_lease() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let engine = server.connect().await;
        let stream = engine.shared.place(&function("send")).streams[0].clone();
        ask(&engine, &["XADD", &stream, "*", "greeting", "hello"]).await;
        push(&engine, job("send", b"x")).await;
        let leased = lease_one(&engine, "send", SHORT).await;
        assert_eq!(leased.payload, b"x");
        engine.finish(vec![(&leased, &[])]).await.unwrap();
        // The worker looks for ended leases while it waits.
        let length = Cmd::new().arg("XLEN").arg(&stream).to_owned();
        let gone = async {
            let link = &engine.shared.link;
            while link.send(&length, super::Lost::Repeat).await.unwrap() != Value::Int(0) {}
        };
        let functions = [function("send")];
        coreloop_runtime::select! {
            _ = engine.lease(&functions, 1, SHORT) => panic!("there is no job"),
            () = gone => {}
        }
    });
}
