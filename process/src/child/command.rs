//! [`Command`]: how a process is to be started.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, ExitStatus, Output, Stdio};

use coreloop_runtime::runtime::Handle;
use rustix::process::Pid;

use super::handle::OnDrop;
use super::{Child, orphans};

/// Starts processes: the `Command` of std, whose children are waited for on the loop.
///
/// What std's has and this has not is reached by
/// [`as_std_mut`](Command::as_std_mut), such as `pre_exec`. Only
/// [`process_group`](Command::process_group) must be set here, if
/// [`Child::kill_group`] is to know of it.
///
/// Descriptors of this process are not for the child, but for its standard input, output
/// and error: everything that coreloop and std open is closed in it.
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
    /// A command without arguments, with the environment, working directory, and
    /// standard input, output and error of this process.
    ///
    /// A `program` without a slash is looked for in `PATH`.
    pub fn new<S: AsRef<OsStr>>(program: S) -> Command {
        Command::from(process::Command::new(program))
    }

    /// The command of std within.
    #[must_use]
    pub fn as_std(&self) -> &process::Command {
        &self.std
    }

    /// The command of std within, for what can be set there only.
    pub fn as_std_mut(&mut self) -> &mut process::Command {
        &mut self.std
    }

    /// The command of std within. What only this one has is lost: what to kill on drop.
    #[must_use]
    pub fn into_std(self) -> process::Command {
        self.std
    }

    /// Adds an argument.
    pub fn arg<S: AsRef<OsStr>>(&mut self, argument: S) -> &mut Command {
        self.std.arg(argument);
        self
    }

    /// Adds arguments.
    pub fn args<I, S>(&mut self, arguments: I) -> &mut Command
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.std.args(arguments);
        self
    }

    /// Sets an environment variable.
    pub fn env<K, V>(&mut self, key: K, value: V) -> &mut Command
    where
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        self.std.env(key, value);
        self
    }

    /// Sets environment variables.
    pub fn envs<I, K, V>(&mut self, variables: I) -> &mut Command
    where
        I: IntoIterator<Item = (K, V)>,
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        self.std.envs(variables);
        self
    }

    /// Removes an environment variable, also if it is one of this process.
    pub fn env_remove<K: AsRef<OsStr>>(&mut self, key: K) -> &mut Command {
        self.std.env_remove(key);
        self
    }

    /// Removes all environment variables, also those of this process.
    pub fn env_clear(&mut self) -> &mut Command {
        self.std.env_clear();
        self
    }

    /// Sets the working directory.
    pub fn current_dir<P: AsRef<Path>>(&mut self, directory: P) -> &mut Command {
        self.std.current_dir(directory);
        self
    }

    /// Sets the standard input; [`Stdio::piped`] for [`Child::stdin`].
    pub fn stdin<T: Into<Stdio>>(&mut self, stdio: T) -> &mut Command {
        self.std.stdin(stdio);
        self
    }

    /// Sets the standard output; [`Stdio::piped`] for [`Child::stdout`].
    pub fn stdout<T: Into<Stdio>>(&mut self, stdio: T) -> &mut Command {
        self.std.stdout(stdio);
        self
    }

    /// Sets the standard error; [`Stdio::piped`] for [`Child::stderr`].
    pub fn stderr<T: Into<Stdio>>(&mut self, stdio: T) -> &mut Command {
        self.std.stderr(stdio);
        self
    }

    /// Sets what the process takes for its own name, which is `program` by default.
    pub fn arg0<S: AsRef<OsStr>>(&mut self, name: S) -> &mut Command {
        self.std.arg0(name);
        self
    }

    /// Sets the user that the process runs as.
    pub fn uid(&mut self, id: u32) -> &mut Command {
        self.std.uid(id);
        self
    }

    /// Sets the group of users that the process runs as.
    pub fn gid(&mut self, id: u32) -> &mut Command {
        self.std.gid(id);
        self
    }

    /// Puts the process into a process group: 0 for a new one, else that of this number.
    ///
    /// What the process starts belongs to its group too, as long as it does not leave.
    /// [`Child::kill_group`] and its siblings signal all of them, and
    /// [`Communicate::timeout`](super::Communicate::timeout) kills all of them. A Ctrl-C
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
    pub fn process_group(&mut self, group: i32) -> &mut Command {
        self.std.process_group(group);
        self.group = Some(group);
        self
    }

    /// Whether to kill the process when its [`Child`] is dropped before its status was
    /// collected. Not by default.
    ///
    /// As the `Child` is in them, the futures of [`status`](Command::status) and
    /// [`output`](Command::output) kill the process too when they are dropped.
    pub fn kill_on_drop(&mut self, kill: bool) -> &mut Command {
        self.kill_on_drop = kill;
        self
    }

    /// As [`kill_on_drop`](Command::kill_on_drop), for all of its
    /// [group](Command::process_group); without one, for the process alone.
    pub fn kill_group_on_drop(&mut self, kill: bool) -> &mut Command {
        self.kill_group_on_drop = kill;
        self
    }

    /// Whether [`kill_on_drop`](Command::kill_on_drop) is set.
    #[must_use]
    pub fn get_kill_on_drop(&self) -> bool {
        self.kill_on_drop
    }

    /// Starts a process.
    ///
    /// It runs when this returns: that its program could not be executed is an error of
    /// this function. The loop stands still for as long as that takes, which for a small
    /// program is less than a millisecond.
    ///
    /// # Errors
    ///
    /// Those of std: of kind [`NotFound`](io::ErrorKind::NotFound) if there is no such
    /// program, [`WouldBlock`](io::ErrorKind::WouldBlock) if there are too many
    /// processes, and so on. Outside a runtime.
    pub fn spawn(&mut self) -> io::Result<Child> {
        // Before there is a process that nobody could wait for.
        Handle::try_current().map_err(io::Error::other)?;
        orphans::collect();
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

    /// Starts a process, and waits for its end.
    ///
    /// It is started by this call, not by the first poll. Its pipes, if it has any, are
    /// closed at once.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the status is lost, and the process killed or not, as
    /// [`kill_on_drop`](Command::kill_on_drop) says.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Command::spawn) and [`Child::wait`].
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

    /// Starts a process, reads its standard output and error, which this makes pipes,
    /// and waits for its end.
    ///
    /// It is started by this call, not by the first poll. Its standard input is
    /// that of this process, if none was set, as in tokio; with std it is empty.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: what was read is lost, and the process killed or not, as
    /// [`kill_on_drop`](Command::kill_on_drop) says.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Command::spawn) and [`Child::wait_with_output`].
    pub fn output(&mut self) -> impl Future<Output = io::Result<Output>> + use<> {
        self.std.stdout(Stdio::piped());
        self.std.stderr(Stdio::piped());
        let child = self.spawn();
        async { child?.wait_with_output().await }
    }
}

impl From<process::Command> for Command {
    fn from(std: process::Command) -> Command {
        Command {
            std,
            group: None,
            kill_on_drop: false,
            kill_group_on_drop: false,
        }
    }
}
