//! The command line: [`Options`] and [`Command`], whose comments are the manual.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

/// The time limit of commands that a master answers at once.
const AT_ONCE: Duration = Duration::from_secs(10);

const TEMPLATE: &str = "\
NAME
    coreloop-ctl - controls a running coreloop supervisor

SYNOPSIS
    {usage}

DESCRIPTION
    Sends a command to the control socket of a master, prints the lines of its answer, and
    exits with a status that says whether the command succeeded. The socket is the one
    that the program has set with `Supervisor::control`. Only the user of the master and
    root can connect to it.

    The master carries out a command: one that it does not know fails with its error.

COMMANDS
{subcommands}

OPTIONS
{options}{after-help}";

const AFTER: &str = "\
TIME LIMITS
    status, ready, live, metrics, reopen, stop, raw   10 seconds
    reload, restart, upgrade, scale                   none, because these wait for workers

    --timeout sets another limit. A command without a limit fails nevertheless if the
    master does not answer at all within 10 seconds, for instance because it is stopped.
    A command that was given up may be carried out later.

EXIT STATUS
    0   The command succeeded. For `ready` and `live`: yes.
    1   The master refused the command, or it failed. For `ready` and `live`: no.
    2   The command line is wrong.
    3   No master listens at the socket.
    4   The time limit has passed.

EXAMPLES
    coreloop-ctl --socket /run/echo/control.sock status
    CORELOOP_CONTROL=/run/echo/control.sock coreloop-ctl scale 4
    coreloop-ctl --socket /run/echo/control.sock --timeout 120 --json reload";

/// Controls a running coreloop supervisor.
#[derive(Debug, Parser)]
#[command(
    name = "coreloop-ctl",
    version,
    help_template = TEMPLATE,
    after_help = AFTER,
    subcommand_required = true
)]
pub(crate) struct Options {
    /// The path of the master's control socket.
    #[arg(long, global = true, value_name = "PATH", env = "CORELOOP_CONTROL")]
    pub(crate) socket: Option<PathBuf>,
    /// The time limit, in seconds; 0 for none. Without it, each command has its own limit.
    #[arg(long, global = true, value_name = "SECONDS")]
    pub(crate) timeout: Option<u64>,
    /// Prints JSON: the status as the master writes it, and for other commands
    /// `{"ok":true}`, with `"answer"` if the answer has lines, or
    /// `{"ok":false,"error":"..."}`.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What the master is asked to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the master and its workers.
    ///
    /// Prints a line for the master and one for each worker.
    Status,
    /// Ask whether the service is ready for connections.
    ///
    /// The exit status is 0 if it is, and 1 if it is not.
    Ready,
    /// Ask whether the service is alive.
    ///
    /// The exit status is 0 if it is, and 1 if it is not.
    Live,
    /// Replace all workers.
    ///
    /// Succeeds when all new workers serve. If a new worker does not become ready, the
    /// reload ends there and fails.
    Reload,
    /// Replace the worker of one slot.
    ///
    /// Succeeds when the new worker serves.
    Restart {
        /// The number of the slot, which `status` shows.
        slot: u32,
    },
    /// Start the program's file as a new master, which replaces this one.
    ///
    /// Succeeds when the new master serves. If it does not become ready, the command fails
    /// and the old master continues.
    Upgrade,
    /// Change the number of workers.
    ///
    /// Succeeds when that many workers serve.
    Scale {
        /// The number of workers, at least 1.
        workers: u32,
    },
    /// Drain the workers, and end.
    ///
    /// Succeeds at once. A second `stop` ends the service without draining.
    Stop,
    /// Open the log files again, after they were renamed.
    Reopen,
    /// Print the metrics, as text that Prometheus reads.
    Metrics,
    /// Send any line, for commands that this program does not know.
    ///
    /// `raw help` lists the commands that the master knows.
    Raw {
        /// The words of the line.
        #[arg(required = true, num_args = 1.., allow_hyphen_values = true, trailing_var_arg = true)]
        words: Vec<String>,
    },
}

impl Command {
    /// Returns the line that is sent to the master.
    pub(crate) fn line(&self, json: bool) -> String {
        match self {
            Self::Status if json => "status json".to_owned(),
            Self::Status => "status".to_owned(),
            Self::Ready => "ready".to_owned(),
            Self::Live => "live".to_owned(),
            Self::Reload => "reload".to_owned(),
            Self::Restart { slot } => format!("restart {slot}"),
            Self::Upgrade => "upgrade".to_owned(),
            Self::Scale { workers } => format!("scale {workers}"),
            Self::Stop => "stop".to_owned(),
            Self::Reopen => "reopen".to_owned(),
            Self::Metrics => "metrics".to_owned(),
            Self::Raw { words } => words.join(" "),
        }
    }

    /// Returns the time limit that applies without `--timeout`.
    pub(crate) fn time_limit(&self) -> Option<Duration> {
        match self {
            Self::Reload | Self::Restart { .. } | Self::Upgrade | Self::Scale { .. } => None,
            Self::Status
            | Self::Ready
            | Self::Live
            | Self::Stop
            | Self::Reopen
            | Self::Metrics
            | Self::Raw { .. } => Some(AT_ONCE),
        }
    }
}
