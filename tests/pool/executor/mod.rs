//! One suite for executors of threads, of processes and of the loop.

mod ends;
mod maps;
mod values;
mod waits;

use std::panic::resume_unwind;
use std::path::PathBuf;
use std::pin::pin;

use coreloop::io::AsyncReadExt;
use coreloop::net::{UnixListener, UnixStream};
use coreloop::pool::{Executor, ExecutorBuilder, job};
use coreloop::task::yield_now;
use coreloop_test_support::folder::Folder;

/// Where jobs run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Threads,
    Processes,
    Inline,
}

impl Place {
    fn executor(self, count: u32) -> Executor {
        self.build(Executor::builder(), count)
    }

    fn build(self, builder: ExecutorBuilder, count: u32) -> Executor {
        match self {
            Self::Threads => builder.threads(count),
            Self::Processes => builder.processes(count),
            Self::Inline => builder.inline(),
        }
        .unwrap()
    }

    fn is_encoded(self) -> bool {
        self != Self::Threads
    }
}

/// Defines a test for each kind of executor, which calls the function of its name.
macro_rules! in_each_place {
    ($($test:ident)*) => {
        mod on_threads {
            $(
                #[coreloop::test]
                async fn $test() {
                    super::$test(crate::executor::Place::Threads).await;
                }
            )*
        }

        mod in_processes {
            $(
                #[coreloop::test]
                async fn $test() {
                    super::$test(crate::executor::Place::Processes).await;
                }
            )*
        }

        mod inline {
            $(
                #[coreloop::test]
                async fn $test() {
                    super::$test(crate::executor::Place::Inline).await;
                }
            )*
        }
    };
}
use in_each_place;

#[coreloop::job]
fn square(number: u64) -> u64 {
    number * number
}

/// Panics without a call of the panic hook, which would print it.
#[coreloop::job]
fn panic_quietly(text: String) {
    resume_unwind(Box::new(text));
}

#[coreloop::job]
fn panic_if_odd(number: u64) -> u64 {
    if number % 2 == 1 {
        resume_unwind(Box::new("odd".to_owned()));
    }
    number
}

/// Connects to the test, and returns when the test closes the connection.
#[coreloop::job]
async fn hold(path: PathBuf) -> u32 {
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
    std::process::id()
}

#[coreloop::job]
async fn hold_as_number(path: PathBuf) -> u64 {
    hold(path).await;
    0
}

/// Connects to the test, and returns when it was cancelled.
#[coreloop::job]
async fn until_cancelled(path: PathBuf) -> u32 {
    let mut stream = UnixStream::connect(path).await.unwrap();
    while !job::is_cancelled() {
        yield_now().await;
    }
    stream.write_all(b"cancelled").await.unwrap();
    5
}

#[coreloop::job]
fn create(path: PathBuf) -> bool {
    std::fs::write(path, "").is_ok()
}

/// The jobs that have connected to the test.
struct Gates {
    folder: Folder,
    listener: UnixListener,
}

impl Gates {
    fn new() -> Self {
        let folder = Folder::new();
        let listener = UnixListener::bind(folder.path("gates")).unwrap();
        Self { folder, listener }
    }

    fn path(&self) -> PathBuf {
        self.folder.path("gates")
    }

    /// Waits until a job runs. The job ends when the stream is dropped.
    async fn accept(&self) -> UnixStream {
        self.listener.accept().await.unwrap().0
    }
}

/// Polls a future once.
async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match future.as_mut().poll(cx) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}
