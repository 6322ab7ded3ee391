//! [`Command`], the builder that starts a child process.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, ExitStatus, Output, Stdio};

use coreloop_runtime::runtime::Handle;
use rustix::process::Pid;

use super::handle::OnDrop;
use super::{Child, orphans};
use crate::environment;

/// A builder that starts processes: like std's `Command`, but the loop waits for the
/// children.
///
/// Options that only std's type has, such as `pre_exec`, can be set through
/// [`as_std_mut`](Command::as_std_mut). Only the [process
/// group](Command::process_group) must be set here if [`Child::kill_group`] is used.
///
/// A child gets no descriptors of this process, except its standard input, output and
/// error: everything that coreloop and std open is closed in it.
///
/// # Examples
///
/// ```
/// use coreloop::process::Command;
///
/// # fn main() -> std::io::Result<()> {
/// # coreloop::block_on(async {
/// let output = Command::new("echo").arg("hello").output().await?;
/// assert_eq!(output.stdout, b"hello\n");
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Debug)]
pub struct Command {
    std: process::Command,
    group: Option<i32>,
    kill_on_drop: bool,
    kill_group_on_drop: bool,
}

impl Command {
    /// Creates a command without arguments that has the environment, working directory,
    /// and standard input, output and error of this process.
    ///
    /// A `program` without a slash is searched for in `PATH`.
    pub fn new<S: AsRef<OsStr>>(program: S) -> Self {
        Self::from(process::Command::new(program))
    }

    /// Returns the wrapped std command.
    #[must_use]
    pub fn as_std(&self) -> &process::Command {
        &self.std
    }

    /// Returns the wrapped std command, to set options that only std has.
    pub fn as_std_mut(&mut self) -> &mut process::Command {
        &mut self.std
    }

    /// Returns the wrapped std command.
    ///
    /// The settings of [`kill_on_drop`](Command::kill_on_drop) and
    /// [`kill_group_on_drop`](Command::kill_group_on_drop) are lost, because std has none.
    #[must_use]
    pub fn into_std(self) -> process::Command {
        self.std
    }

    /// Adds an argument.
    pub fn arg<S: AsRef<OsStr>>(&mut self, argument: S) -> &mut Self {
        self.std.arg(argument);
        self
    }

    /// Adds arguments.
    pub fn args<I, S>(&mut self, arguments: I) -> &mut Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.std.args(arguments);
        self
    }

    /// Sets an environment variable.
    pub fn env<K, V>(&mut self, key: K, value: V) -> &mut Self
    where
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        self.std.env(key, value);
        self
    }

    /// Sets environment variables.
    pub fn envs<I, K, V>(&mut self, variables: I) -> &mut Self
    where
        I: IntoIterator<Item = (K, V)>,
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        self.std.envs(variables);
        self
    }

    /// Removes an environment variable, even if this process has it.
    pub fn env_remove<K: AsRef<OsStr>>(&mut self, key: K) -> &mut Self {
        self.std.env_remove(key);
        self
    }

    /// Removes all environment variables, including the ones this process has.
    pub fn env_clear(&mut self) -> &mut Self {
        self.std.env_clear();
        self
    }

    /// Sets the working directory.
    pub fn current_dir<P: AsRef<Path>>(&mut self, directory: P) -> &mut Self {
        self.std.current_dir(directory);
        self
    }

    /// Sets the standard input. Use [`Stdio::piped`] to get [`Child::stdin`].
    pub fn stdin<T: Into<Stdio>>(&mut self, stdio: T) -> &mut Self {
        self.std.stdin(stdio);
        self
    }

    /// Sets the standard output. Use [`Stdio::piped`] to get [`Child::stdout`].
    pub fn stdout<T: Into<Stdio>>(&mut self, stdio: T) -> &mut Self {
        self.std.stdout(stdio);
        self
    }

    /// Sets the standard error. Use [`Stdio::piped`] to get [`Child::stderr`].
    pub fn stderr<T: Into<Stdio>>(&mut self, stdio: T) -> &mut Self {
        self.std.stderr(stdio);
        self
    }

    /// Sets `argv[0]`, the name by which the process knows itself: `program` by default.
    pub fn arg0<S: AsRef<OsStr>>(&mut self, name: S) -> &mut Self {
        self.std.arg0(name);
        self
    }

    /// Sets the user that the process runs as.
    pub fn uid(&mut self, id: u32) -> &mut Self {
        self.std.uid(id);
        self
    }

    /// Sets the user group that the process runs as.
    pub fn gid(&mut self, id: u32) -> &mut Self {
        self.std.gid(id);
        self
    }

    /// Puts the process into the process group of this id, or into a new group if the id
    /// is 0.
    ///
    /// Processes that the child starts belong to its group too, unless they leave it.
    /// [`Child::kill_group`] and the similar methods signal all members, and
    /// [`Communicate::timeout`](super::Communicate::timeout) kills all members. A Ctrl-C
    /// in the terminal does not reach a new group.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::process::Command;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # coreloop::block_on(async {
    /// let mut child = Command::new("sh")
    ///     .args(["-c", "sleep 1000 | sleep 1000"])
    ///     .process_group(0)
    ///     .spawn()?;
    /// child.kill_group().await?;
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn process_group(&mut self, group: i32) -> &mut Self {
        self.std.process_group(group);
        self.group = Some(group);
        self
    }

    /// Sets whether the process is killed when its [`Child`] is dropped before its status
    /// was collected. By default it is not.
    ///
    /// The futures of [`status`](Command::status) and [`output`](Command::output) own the
    /// `Child`, so dropping them kills the process too.
    pub fn kill_on_drop(&mut self, kill: bool) -> &mut Self {
        self.kill_on_drop = kill;
        self
    }

    /// Like [`kill_on_drop`](Command::kill_on_drop), but kills the whole
    /// [group](Command::process_group) of the process, if it has one.
    pub fn kill_group_on_drop(&mut self, kill: bool) -> &mut Self {
        self.kill_group_on_drop = kill;
        self
    }

    /// Returns whether [`kill_on_drop`](Command::kill_on_drop) is set.
    #[must_use]
    pub fn get_kill_on_drop(&self) -> bool {
        self.kill_on_drop
    }

    /// Starts a process.
    ///
    /// The process runs when this returns: if its program cannot be executed, this function
    /// returns the error. The call blocks the loop, for a small program for less than a
    /// millisecond.
    ///
    /// # Errors
    ///
    /// Returns an error if the process cannot be started, as std does: of kind
    /// [`NotFound`](io::ErrorKind::NotFound) if there is no such program,
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there are too many processes, and so
    /// on. Also returns an error outside a runtime.
    pub fn spawn(&mut self) -> io::Result<Child> {
        // Checked before there is a process that no loop could wait for.
        Handle::try_current().map_err(io::Error::other)?;
        orphans::collect();
        environment::prepare_child(&mut self.std);
        let child = self.std.spawn()?;
        let group = match self.group {
            Some(0) => Some(Pid::from_child(&child)),
            Some(group) => Pid::from_raw(group),
            None => None,
        };
        let on_drop = match (self.kill_group_on_drop, self.kill_on_drop) {
            (true, _) => OnDrop::KillGroup,
            (false, true) => OnDrop::Kill,
            (false, false) => OnDrop::RunOn,
        };
        Child::new(child, group, on_drop)
    }

    /// Starts a process and waits until it has ended.
    ///
    /// This call starts the process, not the first poll. Its pipes, if it has any, are
    /// closed at once.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the status is lost, and the process is killed if
    /// [`kill_on_drop`](Command::kill_on_drop) is set.
    ///
    /// # Errors
    ///
    /// Returns an error if [`spawn`](Command::spawn) or [`Child::wait`] does.
    pub fn status(&mut self) -> impl Future<Output = io::Result<ExitStatus>> + use<> {
        let child = self.spawn();
        async {
            let mut child = child?;
            child.stdin = None;
            child.stdout = None;
            child.stderr = None;
            child.wait().await
        }
    }

    /// Starts a process, reads its standard output and error through pipes, and waits until
    /// it has ended.
    ///
    /// This call starts the process, not the first poll. If no standard input was set, the
    /// process inherits the standard input of this process, as in tokio; in std it is empty.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the output read so far is lost, and the process is killed if
    /// [`kill_on_drop`](Command::kill_on_drop) is set.
    ///
    /// # Errors
    ///
    /// Returns an error if [`spawn`](Command::spawn) or [`Child::wait_with_output`] does.
    pub fn output(&mut self) -> impl Future<Output = io::Result<Output>> + use<> {
        self.std.stdout(Stdio::piped());
        self.std.stderr(Stdio::piped());
        let child = self.spawn();
        async { child?.wait_with_output().await }
    }
}

impl From<process::Command> for Command {
    fn from(std: process::Command) -> Self {
        Self {
            std,
            group: None,
            kill_on_drop: false,
            kill_group_on_drop: false,
        }
    }
}
