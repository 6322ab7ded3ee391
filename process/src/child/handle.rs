//! [`Child`]: a process that was started.

use std::future::poll_fn;
use std::io;
use std::process::{self, ExitStatus, Output};
use std::task::{Context, Poll};

use coreloop_runtime::signal::unix::SignalKind;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process};

use super::{ChildStderr, ChildStdin, ChildStdout, Communicate, orphans};
use crate::exit::Exit;

/// A process that was started by [`Command::spawn`](super::Command::spawn).
///
/// # Dropping it
///
/// The process runs on, as with std, unless
/// [`kill_on_drop`](super::Command::kill_on_drop) was asked for. Its status is
/// collected when it ends, so it does not stay as a zombie: by the loop as long as that
/// lives, afterwards whenever some thread of this process spawns another child. The end
/// of the runtime does not wait for it.
///
/// Its pipes are closed, which the process may notice.
///
/// # Statuses
///
/// Each child is waited for by its own number, and no handler of `SIGCHLD` is set. So
/// `Child` gets along with children of `std::process` and of libraries in C. It cannot
/// get along with code that collects all children of the process, or that ignores
/// `SIGCHLD`: then [`wait`](Child::wait) gives an error (`ECHILD`), when the process has
/// ended.
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
    process: Process,

    /// The standard input, if it is a pipe. `child.stdin.take()` takes it out.
    pub stdin: Option<ChildStdin>,

    /// The standard output, if it is a pipe.
    pub stdout: Option<ChildStdout>,

    /// The standard error, if it is a pipe.
    pub stderr: Option<ChildStderr>,
}

/// What becomes of a process whose `Child` is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnDrop {
    RunOn,
    Kill,
    KillGroup,
}

impl Child {
    /// Takes over what std has started.
    pub(super) fn new(
        mut child: process::Child,
        group: Option<Pid>,
        on_drop: OnDrop,
    ) -> io::Result<Child> {
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let process = Process {
            exit: Some(Exit::new(child)),
            group,
            // An error must not leave a process behind that nobody knows of.
            on_drop: OnDrop::Kill,
        };
        let mut child = Child {
            process,
            stdin: pipes.0.map(ChildStdin::from_std).transpose()?,
            stdout: pipes.1.map(ChildStdout::from_std).transpose()?,
            stderr: pipes.2.map(ChildStderr::from_std).transpose()?,
        };
        child.process.on_drop = on_drop;
        Ok(child)
    }

    /// The number of the process; `None` once its status was collected, as the number
    /// may then be another's.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.process.exit().id()
    }

    /// Closes the standard input, if it is still here, and waits until the process has
    /// ended. May be called again: the answer stays the same.
    ///
    /// A child that reads to the end of its input so ends. To go on writing meanwhile,
    /// take [`stdin`](Child::stdin) out first. A child whose output is a pipe that
    /// nobody reads may wait for ever: see
    /// [`wait_with_output`](Child::wait_with_output).
    ///
    /// On Linux the loop watches a pidfd. Where there is none (other systems, kernels
    /// before 5.3, or no descriptors left), a thread of the pool of
    /// [`spawn_blocking`](coreloop_runtime::task::spawn_blocking) waits, one for each
    /// child that is waited for.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the status is kept for the next call. The standard input is closed
    /// by the first poll.
    ///
    /// # Errors
    ///
    /// If the status was collected by other code of this process; see
    /// [above](Child#statuses). If the runtime is gone.
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

    /// Collects the status if the process has ended, and does not wait.
    ///
    /// Leaves the standard input open.
    ///
    /// # Errors
    ///
    /// As [`wait`](Child::wait).
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.process.exit_mut().try_wait()
    }

    /// Closes the standard input, reads the standard output and error to their ends, and
    /// waits until the process has ended. What is no pipe counts as empty.
    ///
    /// It waits too for the processes that the child has left behind with these
    /// pipes, however long they run. [`communicate`](Child::communicate) does not.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropping the future drops the `Child` and what was read so far.
    ///
    /// # Errors
    ///
    /// As [`wait`](Child::wait), or if a pipe cannot be read.
    pub async fn wait_with_output(self) -> io::Result<Output> {
        Ok(Communicate::without_bounds(self).await?)
    }

    /// Writes `input` to the standard input and closes it, while it reads the standard
    /// output and error, and waits until the process has ended: as
    /// `Popen.communicate` of Python.
    ///
    /// Await what it returns, after setting a [`timeout`](Communicate::timeout) if there
    /// is to be one. Nothing is done before that.
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

    /// Kills the process by `SIGKILL`, and does not wait for its end. One that has
    /// ended is left alone.
    ///
    /// # Errors
    ///
    /// If this process may not signal that one, as when it runs as another user.
    pub fn start_kill(&mut self) -> io::Result<()> {
        self.process.kill()
    }

    /// Kills the process by `SIGKILL`, and waits for its end.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it is killed by the first poll, and the status is kept for the next
    /// call of [`wait`](Child::wait).
    ///
    /// # Errors
    ///
    /// As [`start_kill`](Child::start_kill) and [`wait`](Child::wait).
    pub async fn kill(&mut self) -> io::Result<()> {
        self.start_kill()?;
        self.wait().await?;
        Ok(())
    }

    /// Sends a signal to the process.
    ///
    /// # Errors
    ///
    /// `ESRCH` if its status was collected; of kind
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a number that names no signal,
    /// real-time signals included; or if this process may not signal that one.
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

    /// Kills every process of the group by `SIGKILL`, and does not wait for their ends.
    ///
    /// The group is that of [`Command::process_group`](super::Command::process_group):
    /// the child and all that it started, as far as they did not leave it. This works
    /// when the child itself has ended, and does nothing when the whole group has.
    ///
    /// # Errors
    ///
    /// Of kind [`InvalidInput`](io::ErrorKind::InvalidInput) if the child has no such
    /// group; or if this process may signal no member of it.
    pub fn start_kill_group(&mut self) -> io::Result<()> {
        match self.process.signal_group(Signal::KILL) {
            Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(()),
            result => result,
        }
    }

    /// Kills every process of the group by `SIGKILL`, and waits for the end of the
    /// child; see [`start_kill_group`](Child::start_kill_group).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the group is killed by the first poll, and the status is kept for
    /// the next call of [`wait`](Child::wait).
    ///
    /// # Errors
    ///
    /// As [`start_kill_group`](Child::start_kill_group) and [`wait`](Child::wait).
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
    /// As [`start_kill_group`](Child::start_kill_group) and [`signal`](Child::signal);
    /// `ESRCH` if the whole group has ended.
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

/// What of a child has a destructor, so that its pipes can be moved out.
#[derive(Debug)]
struct Process {
    /// Taken by the destructor only.
    exit: Option<Exit>,
    group: Option<Pid>,
    on_drop: OnDrop,
}

impl Process {
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
        // The number of a group stays taken while it has members. If its first process
        // was collected and there is one of that number, the group is gone too.
        let is_reused = || test_kill_process(group) != Err(Errno::SRCH);
        if exit.is_collected() && group == exit.pid() && is_reused() {
            return Err(Errno::SRCH.into());
        }
        Ok(kill_process_group(group, signal)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // What fails here was over already, or is not ours to kill.
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
