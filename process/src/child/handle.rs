//! [`Child`], the handle to a process that was started.

use std::future::poll_fn;
use std::io;
use std::process::{self, ExitStatus, Output};
use std::task::{Context, Poll};

use coreloop_runtime::signal::unix::SignalKind;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process};

use super::{ChildStderr, ChildStdin, ChildStdout, Communicate, orphans};
use crate::exit::Exit;

/// A handle to a process, returned by [`Command::spawn`](super::Command::spawn).
///
/// # Dropping it
///
/// As with std, the process keeps running unless
/// [`kill_on_drop`](super::Command::kill_on_drop) is set. Its status is collected when it
/// ends, so it does not stay a zombie: the loop collects it while the loop lives; after
/// that, the next spawn on any thread of this process does. The end of the runtime does not
/// wait for the process.
///
/// The pipes are closed, which the process may notice.
///
/// # Statuses
///
/// Each child is waited for by its own process id, and no handler for `SIGCHLD` is
/// installed. So `Child` can be used beside children of `std::process` and of C libraries.
/// It does not work beside code that collects all children of the process, or that ignores
/// `SIGCHLD`: then [`wait`](Child::wait) returns an error (`ECHILD`) when the process has
/// ended, and the standard library may panic when a program cannot be started. A supervisor
/// changes a `SIGCHLD` that its parent has ignored.
///
/// # Examples
///
/// ```
/// use coreloop::process::{Command, Stdio};
///
/// # fn main() -> std::io::Result<()> {
/// coreloop::block_on(async {
///     let mut child = Command::new("cat")
///         .stdin(Stdio::piped())
///         .stdout(Stdio::piped())
///         .spawn()?;
///     let mut stdin = child.stdin.take().expect("it is piped");
///     let mut stdout = child.stdout.take().expect("it is piped");
///     stdin.write_all(b"hello").await?;
///     drop(stdin);
///     let mut echo = [0; 64];
///     let count = stdout.read(&mut echo).await?;
///     assert_eq!(&echo[..count], b"hello");
///     assert!(child.wait().await?.success());
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct Child {
    // First, so that the process is killed before it may see that its pipes are closed.
    process: ChildProcess,

    /// The standard input, if it is a pipe. `child.stdin.take()` takes it out.
    pub stdin: Option<ChildStdin>,

    /// The standard output, if it is a pipe.
    pub stdout: Option<ChildStdout>,

    /// The standard error, if it is a pipe.
    pub stderr: Option<ChildStderr>,
}

/// What dropping a `Child` does to its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnDrop {
    RunOn,
    Kill,
    KillGroup,
}

impl Child {
    /// Takes over a child that std has started.
    pub(super) fn new(
        mut child: process::Child,
        group: Option<Pid>,
        on_drop: OnDrop,
    ) -> io::Result<Self> {
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let process = ChildProcess {
            exit: Some(Exit::new(child)),
            group,
            // An error below must not leave behind a process without a handle.
            on_drop: OnDrop::Kill,
        };
        let mut child = Self {
            process,
            stdin: pipes.0.map(ChildStdin::from_std).transpose()?,
            stdout: pipes.1.map(ChildStdout::from_std).transpose()?,
            stderr: pipes.2.map(ChildStderr::from_std).transpose()?,
        };
        child.process.on_drop = on_drop;
        Ok(child)
    }

    /// Returns the process id; `None` once the status was collected, as the id may then
    /// belong to another process.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.process.exit().id()
    }

    /// Closes the standard input, if it was not taken out, and waits until the process has
    /// ended. Later calls return the same status.
    ///
    /// Closing the input ends a child that reads to the end of its input. To write while
    /// waiting, take [`stdin`](Child::stdin) out first. A child that writes to a pipe that
    /// is not read may wait for ever: see [`wait_with_output`](Child::wait_with_output).
    ///
    /// On Linux the loop watches a pidfd. Where there is none (other systems, kernels
    /// before 5.3, or no descriptors left), a thread of the pool of
    /// [`spawn_blocking`](coreloop_runtime::task::spawn_blocking) waits, one for each
    /// child that is waited for.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the status is kept for the next call. The first poll closes the
    /// standard input.
    ///
    /// # Errors
    ///
    /// Returns an error if other code of this process has collected the status (see
    /// [above](Child#statuses)), or if the runtime has ended.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::process::Command;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # coreloop::block_on(async {
    /// let mut child = Command::new("sh").args(["-c", "exit 3"]).spawn()?;
    /// assert_eq!(child.wait().await?.code(), Some(3));
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.stdin = None;
        poll_fn(|cx| self.poll_wait(cx)).await
    }

    /// Collects the status if the process has ended, without waiting.
    ///
    /// Leaves the standard input open.
    ///
    /// # Errors
    ///
    /// Returns an error if other code of this process has collected the status.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.process.exit_mut().try_wait()
    }

    /// Closes the standard input, reads the standard output and error to their ends, and
    /// waits until the process has ended. A stream that is not a pipe counts as empty.
    ///
    /// This also waits for processes that the child has left behind and that hold these
    /// pipes, however long they run. [`communicate`](Child::communicate) does not.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropping the future drops the `Child` and the output read so far.
    ///
    /// # Errors
    ///
    /// Returns an error if [`wait`](Child::wait) does, or if a pipe cannot be read.
    pub async fn wait_with_output(self) -> io::Result<Output> {
        Ok(Communicate::without_bounds(self).await?)
    }

    /// Writes `input` to the standard input and closes it, reads the standard output and
    /// error meanwhile, and waits until the process has ended, like Python's
    /// `Popen.communicate`.
    ///
    /// The returned future does nothing until it is awaited; a
    /// [`timeout`](Communicate::timeout) can be set before.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::process::{Command, Stdio};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # coreloop::block_on(async {
    /// let child = Command::new("sort")
    ///     .stdin(Stdio::piped())
    ///     .stdout(Stdio::piped())
    ///     .spawn()?;
    /// let output = child.communicate("pear\napple\n").await?;
    /// assert!(output.status.success());
    /// assert_eq!(output.stdout, b"apple\npear\n");
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn communicate(self, input: impl Into<Vec<u8>>) -> Communicate {
        Communicate::new(self, input.into())
    }

    /// Kills the process with `SIGKILL`, without waiting for its end. Does nothing if the
    /// process has ended.
    ///
    /// # Errors
    ///
    /// Returns an error if this process may not signal the child, for example because the
    /// child runs as another user.
    pub fn start_kill(&mut self) -> io::Result<()> {
        self.process.kill()
    }

    /// Kills the process with `SIGKILL`, and waits for its end.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the first poll kills the process, and the status is kept for the next
    /// call of [`wait`](Child::wait).
    ///
    /// # Errors
    ///
    /// Returns an error if [`start_kill`](Child::start_kill) or [`wait`](Child::wait) does.
    pub async fn kill(&mut self) -> io::Result<()> {
        self.start_kill()?;
        self.wait().await?;
        Ok(())
    }

    /// Sends a signal to the process.
    ///
    /// # Errors
    ///
    /// Returns an error if the status was collected (`ESRCH`), if the number is not the
    /// number of a named signal ([`InvalidInput`](io::ErrorKind::InvalidInput); real-time
    /// signals have no names), or if this process may not signal the child.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::os::unix::process::ExitStatusExt;
    /// use coreloop::process::Command;
    /// use coreloop::signal::unix::SignalKind;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # coreloop::block_on(async {
    /// let mut child = Command::new("sleep").arg("1000").spawn()?;
    /// child.signal(SignalKind::terminate())?;
    /// let status = child.wait().await?;
    /// assert_eq!(status.signal(), Some(SignalKind::terminate().as_raw_value()));
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn signal(&self, signal: SignalKind) -> io::Result<()> {
        let signal = named(signal)?;
        let exit = self.process.exit();
        if exit.is_collected() {
            return Err(Errno::SRCH.into());
        }
        exit.signal(signal)
    }

    /// Kills every process of the group with `SIGKILL`, without waiting for their ends.
    ///
    /// [`Command::process_group`](super::Command::process_group) sets the group. Its
    /// members are the child and the processes that it started, unless they have left the
    /// group. This works after the child itself has ended, and does nothing if the whole
    /// group has ended.
    ///
    /// # Errors
    ///
    /// Returns an error if the child was not put into a group
    /// ([`InvalidInput`](io::ErrorKind::InvalidInput)), or if this process may not signal
    /// any member of the group.
    pub fn start_kill_group(&mut self) -> io::Result<()> {
        match self.process.signal_group(Signal::KILL) {
            Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(()),
            result => result,
        }
    }

    /// Kills every process of the group with `SIGKILL`, and waits for the end of the
    /// child; see [`start_kill_group`](Child::start_kill_group).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the first poll kills the group, and the status is kept for the next
    /// call of [`wait`](Child::wait).
    ///
    /// # Errors
    ///
    /// Returns an error if [`start_kill_group`](Child::start_kill_group) or
    /// [`wait`](Child::wait) does.
    pub async fn kill_group(&mut self) -> io::Result<()> {
        self.start_kill_group()?;
        self.wait().await?;
        Ok(())
    }

    /// Sends a signal to every process of the group; see
    /// [`start_kill_group`](Child::start_kill_group).
    ///
    /// # Errors
    ///
    /// Returns an error if [`start_kill_group`](Child::start_kill_group) or
    /// [`signal`](Child::signal) does, or if the whole group has ended (`ESRCH`).
    pub fn signal_group(&self, signal: SignalKind) -> io::Result<()> {
        self.process.signal_group(named(signal)?)
    }

    pub(super) fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<ExitStatus>> {
        self.process.exit_mut().poll_wait(cx)
    }

    /// Kills the group if there is one, else the process.
    pub(super) fn kill_all(&mut self) -> io::Result<()> {
        if self.process.group.is_some() {
            self.start_kill_group()
        } else {
            self.start_kill()
        }
    }
}

/// The part of a child that has a destructor. `Child` has none, so that its pipes can be
/// moved out.
#[derive(Debug)]
struct ChildProcess {
    /// Only the destructor takes this.
    exit: Option<Exit>,
    group: Option<Pid>,
    on_drop: OnDrop,
}

impl ChildProcess {
    fn exit(&self) -> &Exit {
        self.exit.as_ref().expect(TAKEN)
    }

    fn exit_mut(&mut self) -> &mut Exit {
        self.exit.as_mut().expect(TAKEN)
    }

    fn kill(&self) -> io::Result<()> {
        self.exit().kill()
    }

    fn signal_group(&self, signal: Signal) -> io::Result<()> {
        let what = "the child has no group; give it one by `Command::process_group(0)`";
        let no_group = || io::Error::new(io::ErrorKind::InvalidInput, what);
        let group = self.group.ok_or_else(no_group)?;
        let exit = self.exit();
        // The kernel does not reuse the id of a group that has members. So if the group's
        // first process was collected and a process has that id, the group is gone.
        let is_reused = || test_kill_process(group) != Err(Errno::SRCH);
        if exit.is_collected() && group == exit.pid() && is_reused() {
            return Err(Errno::SRCH.into());
        }
        Ok(kill_process_group(group, signal)?)
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        // This fails if the process has ended, or if this process may not kill it.
        let _ = match self.on_drop {
            _ if self.exit().is_collected() => Ok(()),
            OnDrop::RunOn => Ok(()),
            OnDrop::Kill => self.kill(),
            OnDrop::KillGroup => match self.group {
                Some(_) => self.signal_group(Signal::KILL),
                None => self.kill(),
            },
        };
        if let Some(exit) = self.exit.take() {
            orphans::adopt(exit);
        }
    }
}

const TAKEN: &str = "only the destructor takes it";

fn named(signal: SignalKind) -> io::Result<Signal> {
    let number = signal.as_raw_value();
    Signal::from_named_raw(number).ok_or_else(|| {
        let what = format!("{number} names no signal");
        io::Error::new(io::ErrorKind::InvalidInput, what)
    })
}
