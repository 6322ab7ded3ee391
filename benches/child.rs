//! Starting `true` and waiting for its end, one after another and ten at a time, and
//! the bytes of a `cat`, against tokio.

#[path = "workload/contest.rs"]
mod contest;
#[path = "workload/samples.rs"]
mod samples;

use std::io;
use std::process::Stdio;
use std::time::{Duration, Instant};

use coreloop::Runtime;

use crate::contest::Contest;

const BYTES: usize = 4 << 20;

fn main() -> io::Result<()> {
    contest::run(&mut [
        contest("spawn_and_wait/1", 1, 20)?,
        contest("spawn_and_wait/10", 10, 2)?,
        cat()?,
    ]);
    Ok(())
}

fn contest(name: &'static str, children: usize, pieces: u64) -> io::Result<Contest> {
    let coreloop = Runtime::new()?;
    let tokio = tokio()?;
    Ok(Contest {
        name,
        operations: children as u64,
        pieces,
        coreloop: Box::new(move |pieces| {
            coreloop.block_on(timed(pieces, async || {
                let spawn = |_| coreloop::process::Command::new("true").spawn();
                let started: io::Result<Vec<_>> = (0..children).map(spawn).collect();
                for mut child in started.expect("spawn") {
                    assert!(child.wait().await.expect("wait").success());
                }
            }))
        }),
        tokio: Box::new(move |pieces| {
            tokio.block_on(timed(pieces, async || {
                let spawn = |_| tokio::process::Command::new("true").spawn();
                let started: io::Result<Vec<_>> = (0..children).map(spawn).collect();
                for mut child in started.expect("spawn") {
                    assert!(child.wait().await.expect("wait").success());
                }
            }))
        }),
    })
}

/// tokio has no `communicate`: its user writes in a task of its own.
fn cat() -> io::Result<Contest> {
    let coreloop = Runtime::new()?;
    let tokio = tokio()?;
    Ok(Contest {
        name: "cat/4MiB",
        operations: 1,
        pieces: 3,
        coreloop: Box::new(move |pieces| {
            coreloop.block_on(timed(pieces, async || {
                let cat = coreloop::process::Command::new("cat")
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .spawn()
                    .expect("spawn");
                let output = cat.communicate(vec![7; BYTES]).await.expect("communicate");
                assert_eq!(output.stdout.len(), BYTES);
            }))
        }),
        tokio: Box::new(move |pieces| {
            tokio.block_on(timed(pieces, async || {
                let mut cat = tokio::process::Command::new("cat")
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .spawn()
                    .expect("spawn");
                let mut stdin = cat.stdin.take().expect("stdin");
                let writer = tokio::spawn(async move {
                    let bytes = vec![7; BYTES];
                    tokio::io::AsyncWriteExt::write_all(&mut stdin, &bytes).await
                });
                let output = cat.wait_with_output().await.expect("output");
                writer.await.expect("join").expect("write");
                assert_eq!(output.stdout.len(), BYTES);
            }))
        }),
    })
}

async fn timed(pieces: u64, mut piece: impl AsyncFnMut()) -> Duration {
    let start = Instant::now();
    for _ in 0..pieces {
        piece().await;
    }
    start.elapsed()
}

fn tokio() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}
