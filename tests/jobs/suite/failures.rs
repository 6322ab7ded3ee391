//! Jobs whose attempts fail.

use std::cell::RefCell;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use coreloop::jobs::{JobId, WorkerEvent};
use serde::{Deserialize, Deserializer, Serialize};

use super::{Log, Place, Running, append, pool, worker};

fn starts(log: &Path) -> usize {
    coreloop_test_support::meeting::lines(log).len()
}

/// Fails until it has started `times` times before: by an `Err`, a panic, and the end of its
/// process.
#[coreloop::job]
fn fail(log: PathBuf, times: usize) -> Result<usize, String> {
    let before = starts(&log);
    append(&log, "started");
    if before < times {
        match before % 3 {
            0 => return Err("not yet".to_owned()),
            1 => resume_unwind(Box::new("not yet")),
            _ => std::process::exit(3),
        }
    }
    Ok(before)
}

pub(crate) async fn a_failed_attempt_is_repeated_until_it_succeeds(place: &impl Place) {
    let log = Log::new();
    let queue = place.queue("fails").await;
    let pool = pool(1);
    let running = Running::start(worker(&queue, &pool).attempts(5));
    let receipt = queue.push(fail, (log.path(), 4)).await.unwrap();
    assert_eq!(queue.result(&receipt).await.unwrap(), Ok(4));
    let metrics = running.stop().await;
    assert_eq!((metrics.done, metrics.failed, metrics.dead), (1, 4, 0));
    assert_eq!(log.lines().len(), 5);
}

/// Ends its process, unless there is a file.
#[coreloop::job]
fn poison(log: PathBuf, cure: PathBuf) -> u8 {
    append(&log, "started");
    if !cure.exists() {
        std::process::abort();
    }
    1
}

#[coreloop::job]
fn innocent(log: PathBuf) {
    append(&log, "started");
}

pub(crate) async fn a_poison_job_is_dead_after_its_attempts_and_harms_no_other(place: &impl Place) {
    let (log, neighbours) = (Log::new(), Log::new());
    let queue = place.queue("poison").await;
    let pool = pool(2);
    let events = Rc::new(RefCell::new(Vec::new()));
    let hook = Rc::clone(&events);
    let worker = worker(&queue, &pool)
        .attempts(3)
        .on_event(move |event| hook.borrow_mut().push(event.clone()));
    let running = Running::start(worker);
    let cure = log.folder.path("cure");
    let receipt = queue.push(poison, (log.path(), cure)).await.unwrap();
    let inputs = (0..30).map(|_| neighbours.path());
    let innocents = queue.push_many(innocent, inputs).await.unwrap();
    for innocent in &innocents {
        queue.result(innocent).await.unwrap();
    }
    let error = queue.result(&receipt).await.unwrap_err();
    assert!(error.is_dead(), "{error}");
    assert!(error.to_string().contains("its worker ended"), "{error}");
    let metrics = running.stop().await;
    assert_eq!((metrics.done, metrics.failed, metrics.dead), (30, 2, 1));
    assert_eq!(log.lines().len(), 3);
    assert_eq!(neighbours.lines().len(), 30);

    let letters = queue.dead_letters(10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!((&letters[0].id, letters[0].attempts), (receipt.id(), 3));
    assert!(letters[0].name.ends_with("poison"));
    let events = events.borrow();
    let WorkerEvent::Dead {
        attempts: 3, id, ..
    } = events.last().unwrap()
    else {
        panic!("{events:?}");
    };
    assert_eq!(id, receipt.id());
}

#[derive(Serialize, Deserialize, Debug)]
enum MailError {
    Refused { code: u16 },
}

#[coreloop::job]
fn refuse(code: u16) -> Result<(), MailError> {
    if code == 0 {
        resume_unwind(Box::new("there is no code 0"));
    }
    Err(MailError::Refused { code })
}

pub(crate) async fn a_job_that_panics_or_returns_an_err_is_dead_with_a_text(place: &impl Place) {
    let queue = place.queue("mail").await;
    let pool = pool(1);
    let running = Running::start(worker(&queue, &pool).attempts(2));
    for (code, text) in [(550, r#"{"Refused": {"code": 550}}"#), (0, "no code 0")] {
        let receipt = queue.push(refuse, code).await.unwrap();
        let error = queue.result(&receipt).await.unwrap_err();
        assert!(error.is_dead(), "{error}");
        assert!(error.to_string().contains(text), "{error}");
    }
    let metrics = running.stop().await;
    assert_eq!((metrics.failed, metrics.dead), (2, 2));
    let letters = queue.dead_letters(10).await.unwrap();
    assert_eq!(letters.len(), 2);
    assert_eq!(queue.dead_letters(1).await.unwrap(), letters[..1]);
}

pub(crate) async fn an_err_may_be_a_result(place: &impl Place) {
    let queue = place.queue("mail").await;
    let pool = pool(1);
    let running = Running::start(worker(&queue, &pool).retry_errors(false));
    let receipt = queue.push(refuse, 550).await.unwrap();
    let result = queue.result(&receipt).await.unwrap();
    assert!(matches!(result, Err(MailError::Refused { code: 550 })));
    assert_eq!(running.stop().await.done, 1);
}

/// A value that encodes, and decodes only if it is small.
#[derive(Serialize)]
struct Small(u8);

impl<'de> Deserialize<'de> for Small {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u8::deserialize(deserializer)?;
        if number > 9 {
            return Err(serde::de::Error::custom("it is not small"));
        }
        Ok(Self(number))
    }
}

#[coreloop::job]
fn grow(number: Small, by: u8) -> Small {
    Small(number.0 + by)
}

pub(crate) async fn a_job_that_does_not_decode_is_dead_at_once(place: &impl Place) {
    let queue = place.queue("small").await;
    let pool = pool(1);
    let running = Running::start(worker(&queue, &pool).attempts(9));
    let receipt = queue.push(grow, (Small(10), 0)).await.unwrap();
    let error = queue.result(&receipt).await.err().unwrap();
    assert!(error.is_dead(), "{error}");
    assert!(error.to_string().contains("it is not small"), "{error}");
    let receipt = queue.push(grow, (Small(4), 4)).await.unwrap();
    assert_eq!(queue.result(&receipt).await.ok().unwrap().0, 8);
    // The result does not decode here.
    let receipt = queue.push(grow, (Small(9), 9)).await.unwrap();
    let error = queue.result(&receipt).await.err().unwrap();
    assert!(error.is_codec() && !error.is_dead(), "{error}");
    let metrics = running.stop().await;
    assert_eq!((metrics.done, metrics.failed, metrics.dead), (2, 0, 1));
    assert_eq!(queue.dead_letters(9).await.unwrap()[0].attempts, 1);
}

#[coreloop::job]
fn hang() {
    loop {
        std::hint::spin_loop();
    }
}

pub(crate) async fn a_job_that_takes_too_long_has_failed(place: &impl Place) {
    let queue = place.queue("hangs").await;
    let pool = coreloop::pool::Pool::builder()
        .workers(1)
        .kill_on_cancel(true)
        .build()
        .unwrap();
    let limit = Duration::from_millis(20);
    let running = Running::start(worker(&queue, &pool).attempts(2).timeout(limit));
    let receipt = queue.push(hang, ()).await.unwrap();
    let error = queue.result(&receipt).await.unwrap_err();
    assert!(error.is_dead(), "{error}");
    assert!(error.to_string().contains("time limit"), "{error}");
    let metrics = running.stop().await;
    assert_eq!((metrics.failed, metrics.dead), (1, 1));
}

pub(crate) async fn a_dead_letter_can_be_discarded(place: &impl Place) {
    let log = Log::new();
    let queue = place.queue("poison").await;
    let pool = pool(1);
    let running = Running::start(worker(&queue, &pool).attempts(1));
    let push = || queue.push(poison, (log.path(), log.folder.path("cure")));
    let receipt = push().key("key").await.unwrap();
    let kept = push().await.unwrap();
    for receipt in [&receipt, &kept] {
        assert!(queue.result(receipt).await.unwrap_err().is_dead());
    }
    assert!(queue.discard(receipt.id()).await.unwrap());
    assert!(!queue.discard(receipt.id()).await.unwrap());
    assert!(!queue.requeue(receipt.id()).await.unwrap());
    let letters = queue.dead_letters(9).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(&letters[0].id, kept.id());
    assert_eq!(queue.counts().await.unwrap().dead, 1);
    // Its outcome and its key are known.
    assert!(queue.result(&receipt).await.unwrap_err().is_dead());
    assert_eq!(push().key("key").await.unwrap(), receipt);
    assert!(
        !queue
            .discard(&JobId::from("none".to_owned()))
            .await
            .unwrap()
    );
    assert_eq!(running.stop().await.dead, 2);
}

pub(crate) async fn a_dead_letter_can_be_put_back(place: &impl Place) {
    let log = Log::new();
    let queue = place.queue("poison").await;
    let pool = pool(1);
    let running = Running::start(worker(&queue, &pool).attempts(1));
    let cure = log.folder.path("cure");
    let push = queue.push(poison, (log.path(), cure.clone())).key("key");
    let receipt = push.await.unwrap();
    assert!(queue.result(&receipt).await.unwrap_err().is_dead());
    assert_eq!(queue.counts().await.unwrap().dead, 1);
    // The key of a dead job is known.
    let push = queue.push(poison, (log.path(), cure.clone())).key("key");
    assert_eq!(push.await.unwrap(), receipt);

    std::fs::write(cure, "").unwrap();
    assert!(queue.requeue(receipt.id()).await.unwrap());
    assert_eq!(queue.result(&receipt).await.unwrap(), 1);
    assert!(!queue.requeue(receipt.id()).await.unwrap());
    assert!(queue.dead_letters(9).await.unwrap().is_empty());
    assert_eq!(running.stop().await.done, 1);
    assert_eq!(log.lines().len(), 2);
}
