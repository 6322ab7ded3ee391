//! [`Thread`], a thread with a runtime of tokio, on which the operations of the engine run.

use std::fmt;
use std::sync::Arc;
use std::thread;

use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};

use super::server::Server;
use crate::error::{Error, Kind};

/// How many operations may be on their way to the thread. A caller waits while there are more.
const OPERATIONS: usize = 256;

/// Starts an operation. It is called on the thread, inside the runtime of tokio.
type Start = Box<dyn FnOnce(Arc<Server>) + Send>;

/// The thread of a connection. It ends when this is dropped. Operations that were not waited for
/// may be dropped with it.
pub(super) struct Thread {
    operations: mpsc::Sender<Start>,
}

impl Thread {
    /// Starts the thread, and connects on it.
    pub(super) async fn start<F>(
        connect: impl FnOnce() -> F + Send + 'static,
    ) -> Result<Self, Error>
    where
        F: Future<Output = Result<Server, Error>>,
    {
        let (operations, receiver) = mpsc::channel(OPERATIONS);
        let (connected, connecting) = oneshot::channel();
        thread::Builder::new()
            .name("coreloop-nats".to_owned())
            .spawn(move || run(connect, connected, receiver))?;
        connecting.await.map_err(|_| ended())??;
        Ok(Self { operations })
    }

    /// Runs an operation on the thread, and returns its result. If the caller stops waiting, the
    /// operation continues, so that it is not left half-way.
    pub(super) async fn call<T, F>(
        &self,
        operation: impl FnOnce(Arc<Server>) -> F + Send + 'static,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let (done, receiver) = oneshot::channel();
        let start: Start = Box::new(move |server| {
            tokio::spawn(async move {
                // The caller may be gone.
                let _ = done.send(operation(server).await);
            });
        });
        self.run(start, receiver).await
    }

    /// Like [`call`](Self::call), but the operation is dropped when the caller stops waiting. This
    /// is for an operation that only reads.
    pub(super) async fn call_while_wanted<T, F>(
        &self,
        operation: impl FnOnce(Arc<Server>) -> F + Send + 'static,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let (mut done, receiver) = oneshot::channel();
        let start: Start = Box::new(move |server| {
            tokio::spawn(async move {
                let result = tokio::select! {
                    result = operation(server) => result,
                    () = done.closed() => return,
                };
                let _ = done.send(result);
            });
        });
        self.run(start, receiver).await
    }

    async fn run<T>(
        &self,
        start: Start,
        receiver: oneshot::Receiver<Result<T, Error>>,
    ) -> Result<T, Error> {
        self.operations.send(start).await.map_err(|_| ended())?;
        receiver.await.map_err(|_| ended())?
    }
}

/// Runs on the thread until the [`Thread`] is dropped.
fn run<F>(
    connect: impl FnOnce() -> F,
    connected: oneshot::Sender<Result<(), Error>>,
    mut operations: mpsc::Receiver<Start>,
) where
    F: Future<Output = Result<Server, Error>>,
{
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return drop(connected.send(Err(error.into()))),
    };
    runtime.block_on(async {
        let server = match connect().await {
            Ok(server) => Arc::new(server),
            Err(error) => return drop(connected.send(Err(error))),
        };
        if connected.send(Ok(())).is_err() {
            return;
        }
        while let Some(start) = operations.recv().await {
            start(Arc::clone(&server));
        }
    });
}

fn ended() -> Error {
    Error::new(
        Kind::Engine,
        "the thread of the connection to NATS has ended",
    )
}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Thread").finish_non_exhaustive()
    }
}
