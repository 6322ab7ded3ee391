//! [`Launcher`], which starts workers: processes of this program, or threads.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{self, Child, Stdio};
use std::sync::Arc;
use std::thread;

use coreloop_runtime::runtime::Builder;

use super::Options;
use crate::channel::Channel;
use crate::environment;
use crate::supervisor::identity::one_line;
use crate::supervisor::program::Program;
use crate::supervisor::workers::WorkerOutput;
use crate::worker::{self, Reporter, Worker};

/// Starts workers.
#[derive(Debug)]
pub(super) struct Launcher<F> {
    /// The name of the program, for titles and threads.
    name: String,
    has_title: bool,
    program: Program,
    output: WorkerOutput,
    /// Whether each process leads a group.
    has_groups: bool,
    runtime: fn() -> Builder,
    function: Arc<F>,
}

/// A worker thread.
pub(super) type Thread = thread::JoinHandle<io::Result<()>>;

impl<F> Launcher<F>
where
    F: AsyncFn(Worker) -> io::Result<()> + Send + Sync + 'static,
{
    pub(super) fn new(options: &Options, program: Program, function: F) -> Self {
        Self {
            name: one_line(&options.name),
            has_title: options.has_title,
            program,
            output: options.output,
            has_groups: options.confinement.kills_children(),
            runtime: options.runtime,
            function: Arc::new(function),
        }
    }

    /// Starts a process whose standard input is `channel`.
    pub(super) fn process(&self, slot: u32, channel: Channel) -> io::Result<Child> {
        let mut command = self.program.same_command();
        let socket = channel.into_socket();
        environment::prepare_worker(&mut command);
        if self.has_title {
            command.arg0(format!("{}: worker {slot}", self.name));
        }
        command
            .env(
                environment::WORKER,
                environment::mark(process::id(), &socket)?,
            )
            .stdin(Stdio::from(socket));
        if self.has_groups {
            command.process_group(0);
        }
        if self.output == WorkerOutput::Prefixed {
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
        }
        command.spawn()
    }

    pub(super) fn thread(&self, slot: u32, channel: Channel) -> io::Result<Thread> {
        let name = format!("{}-{slot}", self.name);
        let function = Arc::clone(&self.function);
        let reporter = Reporter::standard_error();
        worker::spawn_thread(name, self.runtime, function, channel, reporter)
    }
}

/// Takes the pipes of a child: its standard output and its standard error.
pub(super) fn take_pipes(child: &mut Child) -> (Option<OwnedFd>, Option<OwnedFd>) {
    let output = child.stdout.take().map(OwnedFd::from);
    (output, child.stderr.take().map(OwnedFd::from))
}
