//! Jobs with keys.

use super::super::buckets::remove;
use super::super::keys::NewId;
use super::*;

fn keyed() -> NewJob {
    NewJob {
        key: Some("order 17".to_owned()),
        ..job("send", b"x")
    }
}

#[test]
fn a_key_ends_by_its_own_time_and_not_with_the_job() {
    let Some((_server, url, _)) = start() else {
        return;
    };
    block_on(async {
        let engine = Nats::connect(&url, "mail").await.unwrap();
        let id = push(&engine, keyed()).await;
        assert_eq!(push(&engine, keyed()).await, id);
        // As the server does a day after the push.
        let end = |server: Arc<Connection>| async move {
            let entries = server.keys.stream.get_info().await.map_err(engine_error)?;
            assert_eq!(entries.config.max_age, Duration::from_secs(24 * 60 * 60));
            remove(&server.keys, "*", entries.state.last_sequence).await
        };
        engine.thread.call(end).await.unwrap();
        let other = push(&engine, keyed()).await;
        assert_ne!(other, id);
        assert_eq!(engine.counts().await.unwrap().waiting, 2);
    });
}

#[test]
fn a_push_stores_the_job_of_a_producer_that_has_only_stored_the_key() {
    let Some((_server, url, _)) = start() else {
        return;
    };
    block_on(async {
        let engine = Nats::connect(&url, "mail").await.unwrap();
        let first = |server: Arc<Connection>| async move {
            let new = NewId::of_key(&server, "order 17").await?;
            assert!(!new.is_known);
            Ok(new.id)
        };
        let id = engine.thread.call(first).await.unwrap();
        assert_eq!(engine.counts().await.unwrap().waiting, 0);
        let pushed = engine.push(vec![keyed(), keyed()]).await.unwrap();
        assert_eq!(pushed, [id.clone(), id.clone()]);
        assert_eq!(engine.counts().await.unwrap().waiting, 1);
        assert_eq!(lease_one(&engine, "send", LONG).await.id, id);
    });
}
