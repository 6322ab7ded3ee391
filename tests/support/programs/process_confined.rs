//! The program that the tests of users, limits and socket options run. Each byte of a connection
//! is a request to the worker.
//!
//! | byte | what the worker does |
//! |---|---|
//! | `p` | answers a line: its pid, slot, generation, and how many workers there are |
//! | `i` | answers its user, group, supplementary groups and umask |
//! | `a` | answers the cores that it may run on |
//! | `l` | answers its limits on descriptors, core dumps and the address space |
//! | `m` | allocates four gibibytes |
//! | `k` | starts a program that sleeps, and answers its pid |
//! | `c` | aborts |
//! | other | answers the byte |

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{self, Stdio};

use clap::Parser;
use coreloop::net::TcpStream;
use coreloop::process::{OpenFiles, Resource, Supervisor, Worker, Workers};
use rustix::process::{Uid, getgid, getgroups, getuid};

#[derive(Parser, Debug, Clone)]
struct Options {
    #[arg(long, default_value_t = 2)]
    workers: u32,
    /// One worker for each core, instead.
    #[arg(long)]
    per_core: bool,
    /// The number of worker threads, instead of processes.
    #[arg(long)]
    threads: Option<u32>,
    #[arg(long, default_value = "127.0.0.1:0")]
    addr: String,
    #[arg(long)]
    control: Option<PathBuf>,
    #[arg(long)]
    pid_file: Option<PathBuf>,
    #[arg(long)]
    user: Option<String>,
    #[arg(long)]
    group: Option<String>,
    #[arg(long)]
    umask: Option<u32>,
    #[arg(long)]
    max_workers: Option<u32>,
    /// Changes the user in `main`, between `bind` and `run`.
    #[arg(long)]
    own_user: Option<u32>,
    /// A number, or `max`.
    #[arg(long)]
    open_files: Option<String>,
    /// The limit on the address space of workers, in bytes.
    #[arg(long)]
    address_space: Option<u64>,
    /// The hard limit on the descriptors of workers.
    #[arg(long)]
    worker_files: Option<u64>,
    #[arg(long)]
    kill_children: bool,
    /// Starts a thread before `run`.
    #[arg(long)]
    thread: bool,
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    let workers = match options.threads {
        Some(threads) => Workers::threads(threads),
        None if options.per_core => Workers::PerCore,
        None => Workers::processes(options.workers),
    };
    let mut supervisor = Supervisor::new()
        .name("app")
        .workers(workers)
        .kill_children(options.kill_children)
        .bind(&options.addr)?;
    if let Some(path) = &options.control {
        supervisor = supervisor.control(path);
    }
    if let Some(path) = &options.pid_file {
        supervisor = supervisor.pid_file(path);
    }
    if let Some(user) = &options.user {
        supervisor = supervisor.user(user.as_str());
    }
    if let Some(group) = &options.group {
        supervisor = supervisor.group(group.as_str());
    }
    if let Some(mode) = options.umask {
        supervisor = supervisor.umask(mode);
    }
    if let Some(count) = options.max_workers {
        supervisor = supervisor.max_workers(count);
    }
    supervisor = match options.open_files.as_deref() {
        Some("max") => supervisor.open_files(OpenFiles::Max),
        Some(number) => supervisor.open_files(number.parse::<u64>().map_err(io::Error::other)?),
        None => supervisor,
    };
    if let Some(bytes) = options.address_space {
        supervisor = supervisor
            .worker_limit(Resource::AddressSpace, bytes, bytes)
            .worker_limit(Resource::CoreSize, 0, None);
    }
    if let Some(count) = options.worker_files {
        supervisor = supervisor.worker_limit(Resource::OpenFiles, count, count);
    }
    if !supervisor.is_worker() {
        if let Some(address) = supervisor.local_addr(0) {
            println!("listening on {address}, master {}", process::id());
        }
        if let Some(user) = options.own_user {
            let user = Uid::from_raw(user);
            rustix::thread::set_thread_res_uid(user, user, user)?;
        }
        if options.thread {
            std::thread::spawn(std::thread::park);
        }
    }
    supervisor.run(serve)
}

async fn serve(worker: Worker) -> io::Result<()> {
    let listener = worker.listener(0)?;
    while let Some((stream, _)) = listener.accept().await? {
        drop(coreloop::spawn(obey(stream, worker.clone())));
    }
    Ok(())
}

/// Serves one connection, until its client closes it or the worker drains.
async fn obey(mut stream: TcpStream, worker: Worker) -> io::Result<()> {
    let mut byte = [0];
    let mut has_answered = false;
    loop {
        let count = coreloop::select! {
            biased;
            count = stream.read(&mut byte) => count?,
            () = worker.draining(), if has_answered => 0,
        };
        if count == 0 {
            return Ok(());
        }
        let answer = match byte[0] {
            b'p' => {
                let (slot, generation, workers) =
                    (worker.slot(), worker.generation(), worker.workers());
                format!("{} {slot} {generation} {workers}\n", process::id())
            }
            b'i' => identity()?,
            b'a' => status_line("Cpus_allowed_list:")?,
            b'l' => limits()?,
            b'm' => vec![1; 4 << 30].len().to_string(),
            b'k' => sleeper()?,
            b'c' => process::abort(),
            other => char::from(other).to_string(),
        };
        stream.write_all(answer.as_bytes()).await?;
        has_answered = true;
    }
}

fn identity() -> io::Result<String> {
    let groups = getgroups()?;
    let groups: Vec<_> = groups
        .iter()
        .map(|group| group.as_raw().to_string())
        .collect();
    let umask = status_line("Umask:")?;
    let (user, group, groups) = (getuid().as_raw(), getgid().as_raw(), groups.join(","));
    Ok(format!(
        "user={user} group={group} groups={groups} umask={umask}"
    ))
}

/// Returns the value of a line of this thread's status, and a line feed.
fn status_line(name: &str) -> io::Result<String> {
    let status = fs::read_to_string("/proc/thread-self/status")?;
    let value = status.lines().find_map(|line| line.strip_prefix(name));
    Ok(format!("{}\n", value.unwrap_or_default().trim()))
}

fn limits() -> io::Result<String> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let kinds = ["open files", "core file size", "address space"];
    let found = kinds.iter().filter_map(|kind| {
        let line = limits.lines().find(|line| line.contains(kind))?;
        let mut fields = line.split_once(kind)?.1.split_whitespace();
        Some(format!("{}/{}", fields.next()?, fields.next()?))
    });
    Ok(format!("{}\n", found.collect::<Vec<_>>().join(" ")))
}

/// Starts a child that is not waited for.
fn sleeper() -> io::Result<String> {
    let child = process::Command::new("sleep")
        .arg("1000")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(format!("{}\n", child.id()))
}
