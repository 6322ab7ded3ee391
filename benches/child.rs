//! Starting `true` and waiting for its end, and sending bytes through `cat`.

#[path = "workload/samples.rs"]
mod samples;
#[path = "workload/suite.rs"]
mod suite;

use std::io;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;

use crate::suite::{Parameter, Suite};

/// The numbers of child processes at a time.
const CHILDREN: [usize; 2] = [1, 10];
const BYTES: [usize; 2] = [64 << 10, 4 << 20];

fn main() {
    let mut suite = Suite::new();
    let mut group = suite.group("child/spawn_wait", Parameter::Operations);
    for children in CHILDREN {
        group.contest(
            children,
            async move |pieces| {
                timed(pieces, async || {
                    let spawn = |_| coreloop::process::Command::new("true").spawn();
                    let started: io::Result<Vec<_>> = (0..children).map(spawn).collect();
                    for mut child in started.expect("spawn") {
                        assert!(child.wait().await.expect("wait").success());
                    }
                })
                .await
            },
            async move |pieces| {
                timed(pieces, async || {
                    let spawn = |_| tokio::process::Command::new("true").spawn();
                    let started: io::Result<Vec<_>> = (0..children).map(spawn).collect();
                    for mut child in started.expect("spawn") {
                        assert!(child.wait().await.expect("wait").success());
                    }
                })
                .await
            },
        );
    }
    group.finish();
    let mut group = suite.group("child/cat", Parameter::Bytes);
    for bytes in BYTES {
        group.contest(
            bytes,
            async move |pieces| timed(pieces, async || cat(bytes).await).await,
            async move |pieces| timed(pieces, async || cat_of_tokio(bytes).await).await,
        );
    }
    group.finish();
    suite.finish();
}

async fn cat(bytes: usize) {
    let cat = coreloop::process::Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("spawn");
    let output = cat.communicate(vec![7; bytes]).await.expect("communicate");
    assert_eq!(output.stdout.len(), bytes);
}

/// tokio has no `communicate`, so a separate task writes.
async fn cat_of_tokio(bytes: usize) {
    let mut cat = tokio::process::Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("spawn");
    let mut stdin = cat.stdin.take().expect("stdin");
    let writer = tokio::task::spawn_local(async move {
        let bytes = vec![7; bytes];
        stdin.write_all(&bytes).await
    });
    let output = cat.wait_with_output().await.expect("output");
    writer.await.expect("join").expect("write");
    assert_eq!(output.stdout.len(), bytes);
}

async fn timed(pieces: u64, mut piece: impl AsyncFnMut()) -> Duration {
    let start = Instant::now();
    for _ in 0..pieces {
        piece().await;
    }
    start.elapsed()
}
