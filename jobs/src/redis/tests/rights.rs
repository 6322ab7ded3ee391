//! Users who lack a right.

use std::time::Duration;

use coreloop_runtime::block_on;

use super::{FEW_RIGHTS, LONG, Started, ask, function, job, lease_one, push};
use crate::engine::{Engine, Failure, Fence, NewJob};
use crate::redis::Redis;

/// Sets the rights of the user, by rules that are added to the ones of [`FEW_RIGHTS`].
async fn allow(admin: &Redis, rules: &[&str]) {
    let mut command = vec![
        "ACL",
        "SETUSER",
        "worker",
        "+@all",
        "-@admin",
        "-@dangerous",
    ];
    command.extend(["resetkeys", "clearselectors"]);
    command.extend(rules);
    ask(admin, &command).await;
}

/// Keys that a worker writes, and what the error names if it may not.
const WRITTEN: [(&str, &str); 5] = [
    ("result:*", "SET on the key coreloop:{mail}:result:"),
    (
        "delayed:*",
        "ZADD on the key coreloop:{mail}:delayed:send@1",
    ),
    ("bodies:*", "HSET on the key coreloop:{mail}:bodies:send@1"),
    ("dead", "ZADD on the key coreloop:{mail}:dead"),
    ("letters", "HSET on the key coreloop:{mail}:letters"),
];

/// All keys of a queue.
const ALL: [&str; 12] = [
    "marker",
    "none",
    "functions",
    "jobs:*",
    "early:*",
    "delayed:*",
    "bodies:*",
    "key:*",
    "result:*",
    "dead",
    "letters",
    "done:*",
];

/// Allows the user to read all keys of the queue, and to write all but one.
async fn allow_all_but(admin: &Redis, key: &str) {
    let rules: Vec<_> = ALL
        .iter()
        .map(|one| match *one == key {
            true => format!("%R~coreloop:{{mail}}:{one}"),
            false => format!("~coreloop:{{mail}}:{one}"),
        })
        .collect();
    let rules: Vec<_> = rules.iter().map(String::as_str).collect();
    allow(admin, &rules).await;
}

#[test]
fn a_worker_that_could_not_end_its_jobs_gets_none() {
    let Some(server) = Started::new(FEW_RIGHTS) else {
        return;
    };
    block_on(async {
        let admin = server.connect().await;
        push(&admin, job("send", b"x")).await;
        let functions = [function("send")];
        for (key, refused) in WRITTEN {
            allow_all_but(&admin, key).await;
            let engine = server.connect_as("worker").await;
            let error = engine.lease(&functions, 1, LONG).await.unwrap_err();
            assert!(error.to_string().contains(refused), "{key}: {error}");
        }
        allow(&admin, &["~coreloop:*", "-xack"]).await;
        let engine = server.connect_as("worker").await;
        let error = engine.lease(&functions, 1, LONG).await.unwrap_err();
        let refused = "XACK on the key coreloop:{mail}:jobs:send@1";
        assert!(error.to_string().contains(refused), "{error}");
        // The rights on these keys are enough.
        allow_all_but(&admin, "").await;
        let engine = server.connect_as("worker").await;
        let leased = engine.lease(&functions, 1, LONG).await.unwrap().remove(0);
        assert_eq!(leased.attempt, 1);
        engine.finish(vec![(&leased, &[])]).await.unwrap();
    });
}

/// Each operation of a worker whose rights are taken from it while it has a job.
#[test]
fn a_right_that_is_taken_away_loses_no_job() {
    let Some(server) = Started::new(FEW_RIGHTS) else {
        return;
    };
    block_on(async {
        let admin = server.connect().await;
        let engine = server.connect_as("worker").await;
        push(&admin, job("send", b"x")).await;
        let mine = lease_one(&engine, "send", LONG).await;
        let retry = |delay| Failure::Retry {
            delay,
            error: String::new(),
        };
        let dead = Failure::Dead {
            error: "no".to_owned(),
        };
        for (command, failure) in [
            ("set", dead.clone()),
            ("hset", dead.clone()),
            ("zadd", dead.clone()),
            ("time", dead.clone()),
            ("time", retry(LONG)),
            ("zadd", retry(LONG)),
            ("hset", retry(LONG)),
            ("xadd", retry(Duration::ZERO)),
            ("xadd", Failure::Unstarted),
            ("xdel", Failure::Unstarted),
        ] {
            let rule = format!("-{command}");
            allow(&admin, &["~coreloop:*", &rule]).await;
            let error = engine.fail(&mine, failure).await.unwrap_err().to_string();
            assert!(error.contains("may not run"), "{command}: {error}");
        }
        for rule in ["-set", "-xdel", "-xack"] {
            allow(&admin, &["~coreloop:*", rule]).await;
            let finish = engine.finish(vec![(&mine, &[])]).await;
            let error = finish.unwrap_err().to_string();
            assert!(error.contains("may not run"), "{rule}: {error}");
        }
        let counts = admin.counts().await.unwrap();
        assert_eq!((counts.leased, counts.waiting, counts.dead), (1, 0, 0));
        allow_all_but(&admin, "").await;
        let done = engine.finish(vec![(&mine, b"ok")]).await.unwrap();
        assert_eq!(done, [Fence::Held]);
        assert_eq!(admin.counts().await.unwrap(), Default::default());
    });
}

/// A key that was stored without its job would be taken for the job for a day.
#[test]
fn a_producer_without_a_right_stores_neither_the_key_nor_the_job() {
    let Some(server) = Started::new(FEW_RIGHTS) else {
        return;
    };
    block_on(async {
        let admin = server.connect().await;
        let keyed = |delay| NewJob {
            key: Some("order 17".to_owned()),
            delay,
            ..job("send", b"x")
        };
        let producer = server.connect_as("worker").await;
        for (rule, delay) in [("-xadd", Duration::ZERO), ("-hset", LONG), ("-zadd", LONG)] {
            allow(&admin, &["~coreloop:*", rule]).await;
            let push = producer.push(vec![keyed(delay)]).await;
            let error = push.unwrap_err().to_string();
            assert!(error.contains("may not run"), "{rule}: {error}");
            assert_eq!(admin.counts().await.unwrap(), Default::default());
        }
        allow_all_but(&admin, "").await;
        push(&producer, keyed(Duration::ZERO)).await;
        assert_eq!(admin.counts().await.unwrap().waiting, 1);
    });
}

/// The documentation of `Queue::redis` names these.
const DOCUMENTED: [&str; 14] = [
    "-@all",
    "+@connection",
    "+@string",
    "+@set",
    "+@hash",
    "+@sortedset",
    "+@stream",
    "+@scripting",
    "+info",
    "+config|get",
    "+exists",
    "+del",
    "+time",
    "~coreloop:{mail}:*",
];

#[test]
fn the_documented_rights_are_enough_and_a_push_without_the_time_stores_no_key() {
    let Some(server) = Started::new(FEW_RIGHTS) else {
        return;
    };
    block_on(async {
        let admin = server.connect().await;
        allow(&admin, &DOCUMENTED).await;
        let engine = server.connect_as("worker").await;
        let soon = NewJob {
            key: Some("key".to_owned()),
            delay: Duration::from_millis(1),
            ..job("send", b"x")
        };
        ask(&admin, &["ACL", "SETUSER", "worker", "-time"]).await;
        engine.push(vec![soon.clone()]).await.unwrap_err();
        ask(&admin, &["ACL", "SETUSER", "worker", "+time"]).await;
        let ids = engine.push(vec![soon]).await.unwrap();
        let leased = lease_one(&engine, "send", LONG).await;
        assert_eq!((&leased.id, leased.attempt), (&ids[0], 1));
        let dead = Failure::Dead {
            error: "no".to_owned(),
        };
        assert_eq!(engine.fail(&leased, dead).await.unwrap(), Fence::Held);
        assert!(engine.requeue(&ids[0]).await.unwrap());
        let leased = lease_one(&engine, "send", LONG).await;
        engine.finish(vec![(&leased, &[])]).await.unwrap();
        assert!(!engine.discard(&ids[0]).await.unwrap());
    });
}
