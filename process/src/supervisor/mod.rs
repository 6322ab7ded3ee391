//! The master: it holds the sockets and replaces workers.
//!
//! In reading order: [`Supervisor`], the builder; [`role`], what this process is;
//! [`policy`], when a worker that died is started again; [`fleet`], which decides
//! what to do about all that happens, and has neither clock nor I/O; [`master`],
//! the loop that does it.

mod activation;
mod bind;
pub(crate) mod control;
mod event;
mod fleet;
mod init;
mod master;
mod notify;
mod policy;
mod program;
mod request;
mod role;
mod signals;
mod upgrade;
mod workers;

use std::env;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use event::Event;
pub use policy::Restarts;
pub use workers::{WorkerOutput, Workers};

use coreloop_runtime::runtime::Builder;

use crate::sockets::Bound;
use crate::worker::{self, Worker};
use fleet::Settings;
use master::{Hook, Options};
use program::Program;
use role::Role;
use upgrade::Inheritance;

/// Runs one function in several workers, each a process or thread with a loop of
/// its own, and keeps them running.
///
/// The process that calls [`run`](Supervisor::run) becomes the master. It binds the
/// sockets, and holds them as long as it lives: connections that wait at a worker
/// that dies are served by the next one, and none is lost. It runs no code of yours
/// but what `main` does before, and the hook of [`on_event`](Supervisor::on_event).
///
/// A worker process is this program, started again with the same arguments. So
/// `main` runs in each worker too, up to `run`, which there calls the function and
/// never returns. What comes before should be cheap and have no effect that is
/// wanted only once; [`is_worker`](Supervisor::is_worker) tells. The standard
/// input of a worker is empty, and its `argv[0]` is its title: "echo: worker 0".
///
/// # Signals to the master
///
/// | signal | effect |
/// |---|---|
/// | `TERM`, `INT` | workers [drain](Supervisor::drain), and are killed at the deadline; a second one kills them at once |
/// | `HUP` | workers are replaced one by one, each old one draining when its successor is ready |
/// | `USR2` | the program's file is started as a new master, which takes over the sockets |
/// | `TTIN`, `TTOU` | one worker more, one less |
///
/// # No worker outlives its master
///
/// Not even if the master is killed by `kill -9` and the worker is in a loop: the
/// kernel kills it with its master (Linux and FreeBSD; elsewhere the worker's loop
/// notices, so one that hangs stays). On Linux that begins with
/// [`new`](Supervisor::new), which in a worker should be called early. A worker whose
/// function changes the user of its process loses it, as the kernel then forgets.
///
/// # Examples
///
/// ```no_run
/// use std::io;
/// use std::time::Duration;
///
/// use coreloop::process::{Supervisor, Workers};
///
/// fn main() -> io::Result<()> {
///     Supervisor::new()
///         .workers(Workers::PerCore)
///         .bind("0.0.0.0:7777")?
///         .drain(Duration::from_secs(10))
///         .run(async |worker| {
///             let listener = worker.listener(0)?;
///             while let Some((mut stream, _)) = listener.accept().await? {
///                 coreloop::spawn(async move { stream.write_all(b"hello\n").await });
///             }
///             Ok(())
///         })
/// }
/// ```
#[must_use = "a supervisor does nothing until `run`"]
pub struct Supervisor {
    role: Role,
    program: io::Result<Program>,
    inheritance: Option<Inheritance>,
    /// Why there is none though there should be.
    disinherited: Option<io::Error>,
    name: String,
    workers: Workers,
    is_pinned: Option<bool>,
    settings: Settings,
    max_memory: Option<u64>,
    control: Option<PathBuf>,
    pid_file: Option<PathBuf>,
    output: WorkerOutput,
    on_event: Option<Hook>,
    runtime: fn() -> Builder,
    /// In a worker there are none: they come from its master.
    bounds: Vec<Bound>,
}

impl Supervisor {
    /// A supervisor with a worker for each core.
    ///
    /// As process 1, in a container, this does not return: the program is started
    /// again as a child, and this process does what process 1 has to. Nor does it
    /// return in a worker whose master is gone: the process ends.
    pub fn new() -> Supervisor {
        let program = Program::of_this_process();
        if init::is_needed()
            && let Ok(program) = &program
        {
            init::run(program);
        }
        let role = Role::find();
        // What goes wrong here leaves all as it was: `run` says that a worker has no
        // master.
        let _ = match role {
            Role::Worker => worker::attach(),
            Role::Successor | Role::Master => activation::keep_from_children(),
        };
        let inherited = match role {
            Role::Successor => upgrade::inherit(),
            Role::Master | Role::Worker => Ok(None),
        };
        let (inheritance, disinherited) = match inherited {
            Ok(inheritance) => (inheritance, None),
            Err(error) => (None, Some(error)),
        };
        Supervisor {
            role,
            program,
            inheritance,
            disinherited,
            name: program_name(),
            workers: Workers::PerCore,
            is_pinned: None,
            settings: Settings {
                drain: Duration::from_secs(10),
                heartbeat: Some(Duration::from_secs(10)),
                startup: Duration::from_secs(30),
                restarts: Restarts::new(),
                max_age: None,
                can_kill: true,
            },
            max_memory: None,
            control: None,
            pid_file: None,
            output: WorkerOutput::default(),
            on_event: None,
            runtime: Builder::new,
            bounds: Vec::new(),
        }
    }

    /// The name in reports, in the titles of processes and before lines of output.
    /// Without it, it is the name of the program's file.
    pub fn name(mut self, name: impl Into<String>) -> Supervisor {
        self.name = name.into();
        self
    }

    /// How many workers, and of what kind.
    pub fn workers(mut self, workers: Workers) -> Supervisor {
        self.workers = workers;
        self
    }

    /// Whether each worker stays on one of the cores that this process may use. On
    /// Linux and FreeBSD only. Without it, those of [`Workers::PerCore`] do.
    pub fn pin(mut self, pin: bool) -> Supervisor {
        self.is_pinned = Some(pin);
        self
    }

    /// How long connections may go on when their worker is to end; ten seconds
    /// without it.
    ///
    /// The worker accepts no more, and ends as soon as the last one is done. At the
    /// deadline it ends anyway, and half a second later it is killed. A worker
    /// thread cannot be, and then goes on until the program ends.
    ///
    /// What waits in a queue is for the next worker. When the whole program ends there
    /// is none: connections that nobody has accepted by then are reset. To change the
    /// program without that, upgrade it by `USR2`; before it ends for good, have new
    /// connections go elsewhere.
    pub fn drain(mut self, time: Duration) -> Supervisor {
        self.settings.drain = time;
        self
    }

    /// How long a worker may be silent until it is killed and replaced: one that is
    /// stuck in a loop, or stopped. Ten seconds without it; `None` is for ever.
    ///
    /// Each worker says four times in that time that its loop turns, and the master
    /// looks once who has not. These are the only wake-ups of a program that is idle.
    pub fn heartbeat(mut self, silence: impl Into<Option<Duration>>) -> Supervisor {
        self.settings.heartbeat = silence.into();
        self
    }

    /// How often and how soon workers that died are started again.
    pub fn restarts(mut self, restarts: Restarts) -> Supervisor {
        self.settings.restarts = restarts;
        self
    }

    /// How long a worker may take to be ready until it is killed; 30 seconds
    /// without it.
    pub fn startup(mut self, time: Duration) -> Supervisor {
        self.settings.startup = time;
        self
    }

    /// Replaces each worker when it has served so long, or up to a tenth less, so
    /// that not all are due at once. As by a reload: no connection is lost.
    pub fn max_age(mut self, age: Duration) -> Supervisor {
        self.settings.max_age = Some(age);
        self
    }

    /// Replaces a worker process that has more than so many bytes of memory, which
    /// is looked at every five seconds. As by a reload. On Linux only.
    pub fn max_memory(mut self, bytes: u64) -> Supervisor {
        self.max_memory = Some(bytes);
        self
    }

    /// Makes a Unix socket there, for its owner alone, over which
    /// [`Control`](control::Control) talks with the master.
    pub fn control(mut self, path: impl Into<PathBuf>) -> Supervisor {
        self.control = Some(path.into());
        self
    }

    /// Writes the number of the master's process there, as long as it runs.
    pub fn pid_file(mut self, path: impl Into<PathBuf>) -> Supervisor {
        self.pid_file = Some(path.into());
        self
    }

    /// Where worker processes write.
    pub fn output(mut self, output: WorkerOutput) -> Supervisor {
        self.output = output;
        self
    }

    /// Calls `hook`, in the master, for all that happens. It is called on the
    /// master's loop, which must not be held up. If it panics, that is reported as any
    /// panic is, and the master goes on.
    pub fn on_event(mut self, hook: impl Fn(&Event) + 'static) -> Supervisor {
        self.on_event = Some(Box::new(hook));
        self
    }

    /// What the runtime of each worker is made by; [`Builder::new`] without it. The
    /// master has one of its own.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use coreloop::process::Supervisor;
    /// use coreloop::runtime::Builder;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// Supervisor::new()
    ///     .runtime(|| Builder::new().max_blocking_threads(4))
    ///     .run(async |_worker| Ok(()))
    /// # }
    /// ```
    pub fn runtime(mut self, builder: fn() -> Builder) -> Supervisor {
        self.runtime = builder;
        self
    }

    /// Whether this process is a worker, where [`run`](Supervisor::run) will call
    /// the function.
    #[must_use]
    pub fn is_worker(&self) -> bool {
        self.role == Role::Worker
    }

    /// Where the socket of that number is bound, with the port that port 0 became.
    /// `None` for Unix sockets, and in a worker, which has its sockets only when
    /// its function runs.
    #[must_use]
    pub fn local_addr(&self, number: usize) -> Option<SocketAddr> {
        self.bounds.get(number)?.local_addr().ok()
    }

    /// Runs `function` in every worker, until a signal or the control socket ends
    /// the program and all workers have ended.
    ///
    /// In a worker process it calls the function, and ends the process: with status
    /// 0, with 1 if the function failed, with 101 if it panicked.
    ///
    /// # Errors
    ///
    /// If the master cannot begin, as when the control socket is in use; or if no
    /// worker ever became ready, as [`Restarts::boots`] says.
    ///
    /// # Panics
    ///
    /// In a runtime: this makes one.
    pub fn run<F>(mut self, function: F) -> io::Result<()>
    where
        F: AsyncFn(Worker) -> io::Result<()> + Send + Sync + 'static,
    {
        if self.is_worker() {
            worker::run_process(self.runtime, function);
        }
        if let Some(error) = self.disinherited {
            return Err(error);
        }
        if let Some(inheritance) = &mut self.inheritance {
            inheritance.close_unclaimed();
        }
        let kind = self.workers.kind();
        self.settings.can_kill = kind == workers::Kind::Processes;
        let options = Options {
            program: self.program?,
            name: self.name,
            kind,
            count: self.workers.count(),
            is_pinned: self.is_pinned.unwrap_or(self.workers.is_pinned()),
            settings: self.settings,
            max_memory: self.max_memory,
            control: self.control,
            pid_file: self.pid_file,
            output: self.output,
            on_event: self.on_event,
            runtime: self.runtime,
        };
        master::run(options, self.bounds, self.inheritance, function)
    }
}

impl Default for Supervisor {
    fn default() -> Supervisor {
        Supervisor::new()
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor")
            .field("role", &self.role)
            .field("name", &self.name)
            .field("workers", &self.workers)
            .field("bounds", &self.bounds)
            .finish_non_exhaustive()
    }
}

fn program_name() -> String {
    let path = env::current_exe().ok();
    let name = path.as_deref().and_then(|path| path.file_stem());
    name.map_or_else(
        || "coreloop".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}
