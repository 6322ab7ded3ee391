//! What the tests of all engines share.

use std::rc::Rc;
use std::time::Duration;

#[cfg(any(feature = "redis", feature = "nats"))]
use crate::engine::Leased;
use crate::engine::{Engine, Fence, Function, JobId, NewJob, Outcome};

/// Longer than any test takes.
pub(crate) const LONG: Duration = Duration::from_secs(600);

pub(crate) fn function(name: &str) -> Function {
    Function {
        name: name.to_owned(),
        version: 1,
    }
}

pub(crate) fn job(name: &str, payload: &[u8]) -> NewJob {
    NewJob {
        function: function(name),
        payload: payload.to_vec(),
        key: None,
        delay: Duration::ZERO,
    }
}

pub(crate) async fn push<E: Engine + ?Sized>(engine: &Rc<E>, job: NewJob) -> JobId {
    engine.push(vec![job]).await.unwrap().remove(0)
}

/// Leases this number of jobs, by several calls if it has to.
#[cfg(any(feature = "redis", feature = "nats"))]
pub(crate) async fn lease<E: Engine + ?Sized>(
    engine: &Rc<E>,
    name: &str,
    count: usize,
    lease: Duration,
) -> Vec<Leased> {
    let functions = [function(name)];
    let mut jobs = Vec::new();
    while jobs.len() < count {
        let more = engine.lease(&functions, count - jobs.len(), lease);
        jobs.extend(more.await.unwrap());
    }
    jobs
}

#[cfg(any(feature = "redis", feature = "nats"))]
pub(crate) async fn lease_one<E: Engine + ?Sized>(
    engine: &Rc<E>,
    name: &str,
    length: Duration,
) -> Leased {
    lease(engine, name, 1, length).await.remove(0)
}

/// Ten jobs from their push to their outcomes, on an empty queue. Returns the numbers of the jobs
/// in the order in which they were leased.
pub(crate) async fn journey(engine: &dyn Engine) -> Vec<u8> {
    let jobs = (0..10).map(|number| job("app::send", &[number])).collect();
    let ids = engine.push(jobs).await.unwrap();
    assert_eq!(engine.counts().await.unwrap().waiting, 10);

    let functions = [function("other"), function("app::send")];
    let mut leased = Vec::new();
    while leased.len() < 10 {
        let more = engine.lease(&functions, 4, LONG).await.unwrap();
        assert!(more.len() <= 4);
        leased.extend(more);
    }
    let order = leased.iter().map(|job| job.payload[0]).collect();
    leased.sort_by(|one, other| one.payload.cmp(&other.payload));
    assert!(leased.iter().all(|job| job.attempt == 1));
    assert!(leased.iter().map(|job| &job.id).eq(&ids));
    assert_eq!(engine.counts().await.unwrap().leased, 10);

    let held = [Fence::Held; 10];
    let renewed = engine.renew(leased.iter().collect(), LONG).await;
    assert_eq!(renewed.unwrap(), held);
    let results = leased.iter().map(|job| (job, [7].as_slice())).collect();
    assert_eq!(engine.finish(results).await.unwrap(), held);
    for id in &ids {
        let outcome = engine.outcome(id).await.unwrap();
        assert_eq!(outcome, Outcome::Done(vec![7]));
    }
    assert_eq!(engine.counts().await.unwrap(), Default::default());
    let gone = engine.finish(vec![(&leased[0], &[8])]).await.unwrap();
    assert_eq!(gone, [Fence::Gone]);
    let gone = engine.renew(leased.iter().collect(), LONG).await;
    assert_eq!(gone.unwrap(), [Fence::Gone; 10]);
    order
}
