//! The servers: supervised processes or threads, tokio, and bare loops.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io;
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::{Args, ValueEnum};
use coreloop::process::{Restarts, Supervisor, Worker, Workers};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::dup2_stderr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::bare;
use crate::child::{pin_to_core, raise_descriptor_limit, value_name};
use crate::serving::{ANY_PORT, announce};

/// The kinds of servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// A supervised process per core, with its own loop.
    Processes,
    /// Supervised threads of one process.
    Threads,
    /// tokio's multi-thread runtime.
    Tokio,
    /// An edge-triggered epoll loop per core and nothing else.
    Bare,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Kind::Processes => "worker processes",
            Kind::Threads => "worker threads",
            Kind::Tokio => "tokio, multi-thread",
            Kind::Bare => "bare epoll",
        })
    }
}

/// The service for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Service {
    /// Writes back the bytes of each read.
    Echo,
    /// Sends the id of the process, and closes.
    Pid,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// The kind of server.
    #[arg(value_enum)]
    pub(crate) kind: Kind,
    /// The service.
    #[arg(value_enum)]
    pub(crate) service: Service,
    /// How many workers.
    #[arg(long, default_value_t = 2)]
    pub(crate) workers: u32,
    /// Keeps each worker on its own core.
    #[arg(long)]
    pub(crate) pin: bool,
}

impl Options {
    /// Returns the options as words of a command line.
    pub(crate) fn words(&self) -> Vec<OsString> {
        let mut words = vec![
            value_name(&self.kind).into(),
            value_name(&self.service).into(),
            "--workers".into(),
            self.workers.to_string().into(),
        ];
        if self.pin {
            words.push("--pin".into());
        }
        words
    }
}

pub(crate) fn serve(options: &Options) -> io::Result<()> {
    raise_descriptor_limit()?;
    let can_only_echo = matches!(options.kind, Kind::Tokio | Kind::Bare);
    if can_only_echo && options.service != Service::Echo {
        return Err(io::Error::other(format!("{} only echoes", options.kind)));
    }
    match options.kind {
        Kind::Processes => supervise(options, Workers::processes(options.workers)),
        Kind::Threads => supervise(options, Workers::threads(options.workers)),
        Kind::Tokio => on_tokio(options),
        Kind::Bare => {
            set_pdeathsig(Signal::SIGKILL)?;
            bare::serve(options.workers, options.pin)
        }
    }
}

fn supervise(options: &Options, workers: Workers) -> io::Result<()> {
    // The master reports every start and each death, which happen on purpose here.
    dup2_stderr(File::options().write(true).open("/dev/null")?)?;
    let supervisor = Supervisor::new()
        .workers(workers)
        .pin(options.pin)
        // The measurement kills many workers.
        .restarts(Restarts::new().max_immediate(u32::MAX))
        .bind("127.0.0.1:0")?;
    if !supervisor.is_worker() {
        // No server outlives the run, even if the client dies.
        set_pdeathsig(Signal::SIGKILL)?;
        let addr = supervisor.local_addr(0);
        announce(addr.ok_or_else(|| io::Error::other("no address"))?)?;
    }
    match options.service {
        Service::Echo => supervisor.run(echo),
        Service::Pid => supervisor.run(say_pid),
    }
}

async fn echo(worker: Worker) -> io::Result<()> {
    let listener = worker.listener(0)?;
    while let Some((mut stream, _)) = listener.accept().await? {
        drop(coreloop::spawn(async move {
            let mut buffer = [0; 1024];
            while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                if stream.write_all(&buffer[..count]).await.is_err() {
                    break;
                }
            }
        }));
    }
    Ok(())
}

async fn say_pid(worker: Worker) -> io::Result<()> {
    let listener = worker.listener(0)?;
    while let Some((mut stream, _)) = listener.accept().await? {
        let pid = process::id().to_ne_bytes();
        drop(stream.write_all(&pid).await);
    }
    Ok(())
}

fn on_tokio(options: &Options) -> io::Result<()> {
    set_pdeathsig(Signal::SIGKILL)?;
    let workers = usize::try_from(options.workers).map_err(io::Error::other)?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(workers).enable_io();
    if options.pin {
        // The runtime starts no threads but the workers.
        let next = AtomicUsize::new(0);
        builder.on_thread_start(move || {
            let pinned = pin_to_core(next.fetch_add(1, Ordering::Relaxed) % workers);
            if let Err(error) = pinned {
                eprintln!("a tokio worker cannot be pinned: {error}");
            }
        });
    }
    let runtime = builder.build()?;
    // A task runs on a worker, but the future given to `block_on` does not.
    let serving = runtime.spawn(async {
        let listener = tokio::net::TcpListener::bind(ANY_PORT).await?;
        announce(listener.local_addr()?)?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            drop(tokio::spawn(async move {
                let mut buffer = [0; 1024];
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    if stream.write_all(&buffer[..count]).await.is_err() {
                        break;
                    }
                }
            }));
        }
    });
    runtime.block_on(serving).map_err(io::Error::other)?
}
