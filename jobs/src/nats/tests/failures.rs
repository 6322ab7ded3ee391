//! A server that is restarted, and a consumer that does not answer.

use super::*;

#[test]
fn work_continues_after_the_server_was_restarted() {
    let Some((server, url, port)) = start() else {
        return;
    };
    block_on(async {
        let engine = Nats::connect(&url, "mail").await.unwrap();
        let jobs = (0..6).map(|number| job("send", &[number])).collect();
        let ids = engine.push(jobs).await.unwrap();
        let before = lease_one(&engine, "send", LONG).await;
        let _server = start_in(server.kill(), port).unwrap();
        // The worker above the engine repeats what has failed.
        while engine.finish(vec![(&before, b"before")]).await.is_err() {}
        let functions = [function("send")];
        let mut finished = 1;
        while finished < ids.len() {
            let Ok(jobs) = engine.lease(&functions, 6, LONG).await else {
                continue;
            };
            for job in &jobs {
                assert_ne!(job.id, before.id);
                while engine.finish(vec![(job, b"after")]).await.is_err() {}
            }
            finished += jobs.len();
        }
        for id in &ids {
            let outcome = engine.outcome(id).await.unwrap();
            let result = if *id == before.id { "before" } else { "after" };
            assert_eq!(outcome, Outcome::Done(result.into()));
        }
        assert_eq!(engine.counts().await.unwrap(), Default::default());
        // A new job wakes the worker by the connection that was made again.
        push(&engine, job("send", b"new")).await;
        assert_eq!(lease_one(&engine, "send", LONG).await.payload, b"new");
    });
}

#[test]
fn a_consumer_that_does_not_answer_is_looked_up_again() {
    let Some((_server, url, _)) = start() else {
        return;
    };
    block_on(async {
        let engine = Nats::connect(&url, "mail").await.unwrap();
        push(&engine, job("send", b"x")).await;
        // The process knows a consumer under the name, and nothing answers to requests for it.
        let stall = |server: Arc<Connection>| async move {
            let consumer = server.consumer(&function("other"), LONG).await?;
            let name = super::super::names::consumer(&function("other"));
            let deleted = server.stream.delete_consumer(&name).await;
            deleted.map_err(engine_error)?;
            let name = super::super::names::consumer(&function("send"));
            server.consumers.know(name, consumer, LONG);
            Ok(())
        };
        engine.thread.call(stall).await.unwrap();
        let functions = [function("send")];
        let jobs = loop {
            if let Ok(jobs) = engine.lease(&functions, 1, LONG).await {
                break jobs;
            }
        };
        assert_eq!(jobs[0].payload, b"x");
    });
}
