//! The guide promises that most code moves from tokio by replacing `tokio::` with
//! `coreloop::`. These are the paths of tokio that have a counterpart here.
#![expect(
    dead_code,
    unused_imports,
    unused_qualifications,
    reason = "the test is that the names exist, and which types they are"
)]

use coreloop::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncSeek, AsyncSeekExt, AsyncWrite,
    AsyncWriteExt, BufReader, BufWriter, Chain, DuplexStream, Empty, Error, ErrorKind, Interest,
    Lines, ReadHalf, Ready, Repeat, Result, SeekFrom, Sink, Split, Take, WriteHalf, copy,
    copy_bidirectional, copy_bidirectional_with_sizes, copy_buf, duplex, empty, repeat, sink,
    split,
};
use coreloop::runtime::{
    Builder, EnterGuard, Handle, Runtime, RuntimeMetrics, TaskMeta, TryCurrentError, UnhandledPanic,
};
use coreloop::sync::broadcast::{self, WeakSender};
use coreloop::sync::futures::{Notified, OwnedNotified};
use coreloop::sync::mpsc::{
    OwnedPermit, Permit, PermitIterator, Receiver, Sender, UnboundedReceiver, UnboundedSender,
    WeakUnboundedSender, channel, unbounded_channel,
};
use coreloop::sync::{
    AcquireError, Barrier, BarrierWaitResult, MappedMutexGuard, Mutex, MutexGuard, Notify,
    OnceCell, OwnedMutexGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, OwnedSemaphorePermit,
    RwLock, RwLockMappedWriteGuard, RwLockReadGuard, RwLockWriteGuard, Semaphore, SemaphorePermit,
    SetError, SetOnce, SetOnceError, TryAcquireError, TryLockError, oneshot, watch,
};
use coreloop::task::coop::{has_budget_remaining, poll_proceed};
use coreloop::task::futures::TaskLocalFuture;
use coreloop::task::{
    AbortHandle, Id, JoinError, JoinHandle, JoinSet, LocalKey, Unconstrained, consume_budget, id,
    join_set, spawn, spawn_blocking, spawn_local, try_id, unconstrained, yield_now,
};
use coreloop::time::{
    Duration, Instant, Interval, MissedTickBehavior, Sleep, Timeout, advance, error, interval,
    interval_at, pause, resume, sleep, sleep_until, timeout, timeout_at,
};

/// The errors by their modules, because several modules use the same names.
type Errors = (
    coreloop::time::error::Elapsed,
    coreloop::sync::mpsc::error::SendError<()>,
    coreloop::sync::mpsc::error::SendTimeoutError<()>,
    coreloop::sync::mpsc::error::TryRecvError,
    coreloop::sync::mpsc::error::TrySendError<()>,
    coreloop::sync::oneshot::error::RecvError,
    coreloop::sync::oneshot::error::TryRecvError,
    coreloop::sync::broadcast::error::RecvError,
    coreloop::sync::broadcast::error::SendError<()>,
    coreloop::sync::broadcast::error::TryRecvError,
    coreloop::sync::watch::error::RecvError,
    coreloop::sync::watch::error::SendError<()>,
);

/// The names of `std` are the same types as in `std`.
#[test]
fn names_of_std_are_types_of_std() {
    fn duration() -> Duration {
        std::time::Duration::from_secs(1)
    }
    fn failure() -> Result<SeekFrom> {
        Err(std::io::Error::other("failure"))
    }
    fn found() -> Result<SeekFrom> {
        std::io::Result::Ok(std::io::SeekFrom::Start(duration().as_secs()))
    }
    assert!(failure().is_err_and(|error| error.kind() == ErrorKind::Other));
    assert!(found().is_ok_and(|place| place == SeekFrom::Start(1)));
}

/// The errors have the names and the texts of tokio's.
#[coreloop::test(start_paused = true)]
async fn an_elapsed_timeout_is_the_error_of_its_module() {
    let elapsed: error::Elapsed = timeout(Duration::from_secs(1), std::future::pending::<()>())
        .await
        .expect_err("the future never ends");
    assert_eq!(elapsed.to_string(), "deadline has elapsed");
    let _: coreloop::time::Elapsed = elapsed;
    let error = std::io::Error::from(elapsed);
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

#[coreloop::test]
async fn a_task_may_be_spawned_by_either_name() {
    assert_eq!(spawn_local(async { 5 }).await.expect("the task ends"), 5);
}
