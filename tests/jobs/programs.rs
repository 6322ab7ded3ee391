//! Two programs that run at the same time, of which one has newer versions of the jobs.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use coreloop::jobs::{JobId, Key, Manager, Queue, Receipt};
use coreloop::pool::Pool;
use coreloop::task::spawn_blocking;
use coreloop_test_support::meeting::soon;
use coreloop_test_support::program::program;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Shape {
    width: u32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Area {
    area: u32,
}

#[coreloop::job(name = "programs: area")]
fn area(shape: Shape) -> Area {
    Area {
        area: shape.width * 100,
    }
}

/// Arguments that the newer program does not decode.
#[coreloop::job(name = "programs: area", version = 2)]
fn wrong(text: String) -> u32 {
    text.parse().unwrap_or_default()
}

async fn start(errors: Stdio) -> (Manager, Queue, Child) {
    let key = Key::random().unwrap();
    let manager = Manager::bind("127.0.0.1:0").key(&key);
    let manager = manager.start().await.unwrap();
    let queue = Queue::memory(&manager).name("areas");
    let queue = queue.connect().await.unwrap();
    let newer = Command::new(program("jobs_newer"))
        .args([manager.address().to_string(), key.to_hex()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .unwrap();
    (manager, queue, newer)
}

async fn end(mut newer: Child) {
    drop(newer.stdin.take());
    let status = spawn_blocking(move || newer.wait().unwrap());
    assert!(status.await.unwrap().success());
}

/// A worker reports a dead job to its standard error.
#[coreloop::test]
async fn a_worker_whose_standard_error_is_closed_goes_on() {
    let (_manager, queue, mut newer) = start(Stdio::piped()).await;
    drop(newer.stderr.take());
    let dead = queue.push(wrong, "text".to_owned()).await.unwrap();
    newer.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    let result = queue.result(&dead);
    assert!(soon(result.into_future()).await.unwrap_err().is_dead());
    let pushed = queue.push(area, Shape { width: 8 }).await.unwrap();
    let result = queue.result(&pushed);
    assert_eq!(soon(result.into_future()).await.unwrap(), Area { area: 8 });
    end(newer).await;
}

#[coreloop::test]
async fn an_older_and_a_newer_program_run_the_jobs_of_each_other() {
    let (_manager, queue, mut newer) = start(Stdio::inherit()).await;
    let mut output = BufReader::new(newer.stdout.take().unwrap());
    let line = spawn_blocking(move || {
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        line
    });
    let line = line.await.unwrap();
    let (old, new) = line.trim().split_once(' ').unwrap();
    let receipt = |id: &str| Receipt::<Area>::of(JobId::from(id.to_owned()));

    // This program runs the job of the version that it has, whose argument has another field.
    let pool = Pool::builder().workers(1).build().unwrap();
    let worker = queue.worker().jobs_of(&pool).only(area);
    let control = worker.control();
    let worker = coreloop::spawn(worker.run());
    let result = queue.result(&receipt(old));
    assert_eq!(
        soon(result.into_future()).await.unwrap(),
        Area { area: 300 }
    );
    control.stop();
    let metrics = worker.await.unwrap().unwrap();
    assert_eq!((metrics.done, metrics.failed, metrics.dead), (1, 0, 0));
    assert_eq!(queue.counts().await.unwrap().waiting, 1);

    // The newer program runs the others: the argument of this one lacks its new field, and its
    // result has another field.
    let pushed = queue.push(area, Shape { width: 8 }).await.unwrap();
    newer.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    let result = queue.result(&pushed);
    assert_eq!(soon(result.into_future()).await.unwrap(), Area { area: 8 });
    let result = queue.result(&receipt(new));
    assert_eq!(soon(result.into_future()).await.unwrap(), Area { area: 14 });
    end(newer).await;
}
