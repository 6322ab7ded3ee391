//! [`forward`], a task that reads a pipe of a worker.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use coreloop_runtime::io::Async;
use coreloop_runtime::time::sleep;
use coreloop_sync::CancellationToken;
use rustix::io::ioctl_fionbio;

use super::entry::{Entry, Source};
use super::lines::{Lines, MAX_LINE};
use super::sink::Sink;

/// How long processes that a worker has left behind may write to its pipes.
pub(super) const DRAIN: Duration = Duration::from_secs(1);

/// How much is read at most from a pipe that is closed next. A pipe has room for less, unless
/// its capacity was raised.
const MAX_REST: usize = 1 << 20;

/// How long a pipe is read.
#[derive(Debug, Clone)]
pub(in crate::supervisor::master) struct PipeLife {
    /// Cancelled when the worker has ended.
    pub(in crate::supervisor::master) worker_ended: CancellationToken,
    /// Cancelled when the master ends.
    pub(in crate::supervisor::master) master_ends: CancellationToken,
}

/// Reads the output of a worker, and queues its lines.
pub(in crate::supervisor::master) async fn forward(
    from: OwnedFd,
    source: Source,
    life: PipeLife,
    to: Rc<Sink>,
) -> io::Result<()> {
    ioctl_fionbio(&from, true)?;
    let from = Async::from_owned(from)?;
    let mut lines = Lines::default();
    let queue = |lines: Vec<u8>| {
        if !lines.is_empty() {
            to.write(Entry::Lines {
                source,
                time: SystemTime::now(),
                lines: lines.into(),
            });
        }
    };
    let mut buffer = vec![0; MAX_LINE];
    let reading = async {
        loop {
            let read = from.read_with(|from| Ok(rustix::io::read(from, &mut buffer[..])?));
            match read.await? {
                0 => return io::Result::Ok(()),
                count => queue(lines.push(&buffer[..count])),
            }
        }
    };
    // Not biased: a process that writes all the time must not keep the pipe.
    let result = coreloop_runtime::select! {
        result = reading => result,
        () = life.end() => Ok(()),
    };
    let mut rest = MAX_REST;
    while result.is_ok()
        && rest > 0
        && let Ok(count @ 1..) = rustix::io::read(from.as_fd(), &mut buffer[..])
    {
        queue(lines.push(&buffer[..count]));
        rest = rest.saturating_sub(count);
    }
    queue(lines.finish());
    result
}

impl PipeLife {
    /// Waits until the pipe has to be closed, whether or not other processes hold it.
    async fn end(&self) {
        let worker_left = async {
            self.worker_ended.cancelled().await;
            sleep(DRAIN).await;
        };
        let _ = self.master_ends.run_until_cancelled(worker_left).await;
    }
}
