//! The program that the tests of supervisors run. Each byte of a connection is a request to the
//! worker.
//!
//! | byte | what the worker does |
//! |---|---|
//! | `p` | answers a line: its pid, slot, generation, and how many workers there are |
//! | `s` | waits for one more byte, and then answers `served` |
//! | `w` | answers `waited` when the worker drains |
//! | `o` | writes a line to its standard output, one to its standard error, and answers `written` |
//! | `c` | aborts |
//! | `h` | loops for ever |
//! | `e` | its function returns an error |
//! | `x` | its function panics |
//! | `d` | starts a process that is an orphan at once, and answers its pid |
//! | `r` | answers its `--config` and its working directory |
//! | `m` | starts a server as a child, which is no worker, and answers its first line |
//! | `k` | answers how many variables of masters a child of `Command` gets, and which signals are blocked there |
//! | `q` | adds to its metrics, and answers `counted` |
//! | `v` | answers the names of variables that masters and systemd set |
//! | other | answers the byte |

use std::env;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process;
use std::rc::Rc;
use std::time::Duration;

use clap::Parser;
use coreloop::net::TcpStream;
use coreloop::process::metrics::{counter, gauge};
use coreloop::process::{
    Event, NewWorker, Reload, Restarts, SocketOptions, Supervisor, Worker, WorkerOutput, Workers,
};
use coreloop::sync::mpsc;

#[derive(Parser, Debug, Clone)]
struct Options {
    /// The number of worker processes.
    #[arg(long, default_value_t = 2)]
    workers: u32,
    /// The number of worker threads, instead of processes.
    #[arg(long)]
    threads: Option<u32>,
    #[arg(long, default_value = "127.0.0.1:0")]
    addr: String,
    /// Serves all of these addresses instead, and every address of a name.
    #[arg(long)]
    every: Vec<String>,
    #[arg(long)]
    control: Option<PathBuf>,
    #[arg(long)]
    pid_file: Option<PathBuf>,
    /// The time to drain, in milliseconds like all times.
    #[arg(long, default_value_t = 10_000)]
    drain: u64,
    #[arg(long)]
    heartbeat: Option<u64>,
    #[arg(long, default_value_t = 30_000)]
    startup: u64,
    #[arg(long)]
    max_age: Option<u64>,
    #[arg(long)]
    max_memory: Option<u64>,
    /// After how many connections a worker is replaced.
    #[arg(long)]
    max_requests: Option<u64>,
    /// Each byte counts as a request, and no connection does.
    #[arg(long)]
    count_bytes: bool,
    /// How many workers a reload replaces together.
    #[arg(long, default_value_t = 1)]
    parallel: u32,
    #[arg(long, default_value_t = 0)]
    bake_time: u64,
    /// The check of a new worker waits until this directory has a file called `check-SLOT`,
    /// and passes if the file has the text `pass`.
    #[arg(long)]
    checks: Option<PathBuf>,
    /// How long a worker takes to become ready.
    #[arg(long, default_value_t = 0)]
    preparation: u64,
    /// The master prints a line for each worker that it starts, and one when it is ready.
    #[arg(long)]
    print_starts: bool,
    /// How many deaths in ten seconds are followed by an immediate restart.
    #[arg(long, default_value_t = 5)]
    restarts: u32,
    /// The first wait of the back-off.
    #[arg(long, default_value_t = 100)]
    backoff: u64,
    #[arg(long, default_value_t = 30_000)]
    longest_backoff: u64,
    #[arg(long, default_value_t = 5)]
    boots: u32,
    /// Workers inherit the master's output.
    #[arg(long)]
    inherit_output: bool,
    /// Workers end before they are ready.
    #[arg(long)]
    fail_before_ready: bool,
    /// The function of the workers from this slot on returns before they are ready.
    #[arg(long)]
    return_before_ready: Option<u32>,
    /// Workers are never ready, and never end.
    #[arg(long)]
    never_ready: bool,
    /// Workers wait at the start of `main` until this pipe has no writer.
    #[arg(long)]
    hold_at_start: Option<PathBuf>,
    /// A successor waits in this way at the start of `main`.
    #[arg(long)]
    hold_successor: Option<PathBuf>,
    /// Reads this file at the start of `main`.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Goes to the root directory before `run`.
    #[arg(long)]
    leave: bool,
    /// Where workers and new masters start.
    #[arg(long)]
    current_dir: Option<PathBuf>,
    #[arg(long, default_value = "app")]
    name: String,
    #[arg(long)]
    no_title: bool,
    /// Workers wait in this way before `run`.
    #[arg(long)]
    hold_before_run: Option<PathBuf>,
    /// Workers of this slot end before they are ready, from their second start on.
    #[arg(long)]
    fail_again: Option<u32>,
    /// Serves this socket of `LISTEN_FDS` instead of its own.
    #[arg(long)]
    activated: Option<String>,
    /// Workers send the line of `p` as soon as they have accepted a connection.
    #[arg(long)]
    greet: bool,
    /// Workers serve one connection to its end before they accept the next.
    #[arg(long)]
    serial: bool,
    /// Serves a Unix socket too.
    #[arg(long)]
    unix: Option<PathBuf>,
    /// The worker of slot 1 is not ready before this file exists.
    #[arg(long)]
    late: Option<PathBuf>,
    /// A worker whose slot has had others is not ready before this directory has a file called
    /// `SLOT-GENERATION`.
    #[arg(long)]
    gates: Option<PathBuf>,
    /// The hook panics at each event.
    #[arg(long)]
    panicking_hook: bool,
    /// Workers need not send heartbeats.
    #[arg(long)]
    no_heartbeat: bool,
    /// Serves health and metrics at this address, which it prints.
    #[arg(long)]
    observe: Option<String>,
    #[arg(long, default_value_t = 0)]
    drain_delay: u64,
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    if let Some(pipe) = &options.hold_at_start
        && env::var_os("CORELOOP_WORKER").is_some()
    {
        wait(pipe, "at its start")?;
    }
    if let Some(pipe) = &options.hold_successor
        && env::var_os("CORELOOP_UPGRADE").is_some()
    {
        wait(pipe, "at its start")?;
    }
    let config = match &options.config {
        Some(path) => std::fs::read_to_string(path)?.trim_end().to_owned(),
        None => String::new(),
    };
    let workers = match options.threads {
        Some(threads) => Workers::threads(threads),
        None => Workers::processes(options.workers),
    };
    let restarts = Restarts::new()
        .max_immediate(options.restarts)
        .min_wait(Duration::from_millis(options.backoff))
        .max_wait(Duration::from_millis(options.longest_backoff))
        .max_failed_starts(options.boots);
    let mut supervisor = Supervisor::new()
        .name(&options.name)
        .workers(workers)
        .restarts(restarts)
        .drain(Duration::from_millis(options.drain))
        .startup(Duration::from_millis(options.startup))
        .drain_delay(Duration::from_millis(options.drain_delay));
    supervisor = match &options.activated {
        Some(name) => supervisor.bind_activated(name)?,
        None if options.every.is_empty() => supervisor.bind(&options.addr)?,
        None => supervisor.bind_every(&options.every, SocketOptions::new())?,
    };
    if let Some(path) = &options.unix {
        supervisor = supervisor.bind_unix(path)?;
    }
    if let Some(address) = &options.observe {
        supervisor = supervisor.observe(address)?;
    }
    if let Some(silence) = options.heartbeat {
        supervisor = supervisor.heartbeat(Duration::from_millis(silence));
    }
    if options.no_heartbeat {
        supervisor = supervisor.heartbeat(None);
    }
    supervisor = set_replacement(supervisor, &options);
    if options.print_starts {
        supervisor = supervisor.on_event(|event| match event {
            Event::Started { slot, .. } => eprintln!("slot {slot} starts a worker"),
            Event::Ready { slot, .. } => eprintln!("slot {slot} has a new worker"),
            _ => {}
        });
    }
    if let Some(path) = &options.control {
        supervisor = supervisor.control(path);
    }
    if let Some(path) = &options.pid_file {
        supervisor = supervisor.pid_file(path);
    }
    if let Some(directory) = &options.current_dir {
        supervisor = supervisor.current_dir(directory);
    }
    if options.no_title {
        supervisor = supervisor.title(false);
    }
    if options.panicking_hook {
        supervisor = supervisor.on_event(|event| panic!("hooked: {event}"));
    }
    if options.inherit_output {
        supervisor = supervisor.output(WorkerOutput::Inherited);
    }
    if supervisor.is_worker() {
        if let Some(pipe) = &options.hold_before_run {
            wait(pipe, "before it runs")?;
        }
    } else if let Some(address) = supervisor.local_addr(0) {
        if let Some(address) = supervisor.observe_addr() {
            println!("observed at {address}");
        }
        println!("listening on {address}, master {}", process::id());
    }
    let directory = env::current_dir().unwrap_or_default();
    let place = format!("{config} in {}\n", directory.display());
    if options.leave {
        env::set_current_dir("/")?;
    }
    supervisor.run(async move |worker| serve(worker, &options, &place).await)
}

/// Sets when and how workers are replaced.
fn set_replacement(mut supervisor: Supervisor, options: &Options) -> Supervisor {
    if let Some(age) = options.max_age {
        supervisor = supervisor.max_age(Duration::from_millis(age));
    }
    if let Some(bytes) = options.max_memory {
        supervisor = supervisor.max_memory(bytes);
    }
    let mut reload = Reload::new()
        .parallel(options.parallel)
        .bake_time(Duration::from_millis(options.bake_time));
    if let Some(checks) = options.checks.clone() {
        reload = reload.check(async move |worker| check(&checks, worker).await);
    }
    supervisor
        .reload(reload)
        .max_requests(options.max_requests.unwrap_or(0))
}

fn wait(pipe: &Path, place: &str) -> io::Result<()> {
    let mut pipe = File::open(pipe)?;
    // This fails if the master, which reads the output, has ended.
    let _ = writeln!(io::stdout(), "waits {place}");
    pipe.read_to_end(&mut Vec::new()).map(drop)
}

/// Prints a line when it is dropped.
struct EndOfCheck(u32);

impl Drop for EndOfCheck {
    fn drop(&mut self) {
        println!("the check of worker {} has ended", self.0);
    }
}

async fn check(checks: &Path, worker: NewWorker) -> io::Result<()> {
    let _end = EndOfCheck(worker.slot());
    println!("worker {} is checked, {:?}", worker.slot(), worker.pid());
    let path = checks.join(format!("check-{}", worker.slot()));
    loop {
        match std::fs::read_to_string(&path).as_deref() {
            Ok("pass") => return Ok(()),
            Ok("panic") => panic!("asked to panic"),
            Ok("fail") => return Err(io::Error::other("asked to fail")),
            _ => coreloop::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

async fn serve(worker: Worker, options: &Options, place: &str) -> io::Result<()> {
    let fails_again = options.fail_again == Some(worker.slot()) && worker.generation() > 0;
    if options.fail_before_ready || fails_again {
        return Err(io::Error::other("asked to fail"));
    }
    if options
        .return_before_ready
        .is_some_and(|from| worker.slot() >= from)
    {
        return Ok(());
    }
    if options.never_ready {
        std::future::pending::<()>().await;
    }
    if let Some(path) = options.late.as_ref().filter(|_| worker.slot() == 1) {
        while !path.exists() {
            coreloop::time::sleep(Duration::from_millis(5)).await;
        }
    }
    if let Some(gates) = options.gates.as_ref().filter(|_| worker.generation() > 0) {
        let gate = gates.join(format!("{}-{}", worker.slot(), worker.generation()));
        while !gate.exists() {
            coreloop::time::sleep(Duration::from_millis(5)).await;
        }
    }
    coreloop::time::sleep(Duration::from_millis(options.preparation)).await;
    let listener = worker.listener(0)?;
    let (end, mut ends) = mpsc::channel(1);
    let end = Rc::new(end);
    loop {
        coreloop::select! {
            accepted = listener.accept() => {
                let Some((mut stream, _)) = accepted? else {
                    return Ok(());
                };
                // Before the next connection is accepted, so that at most one is accepted and
                // not greeted. An error does not affect other connections.
                if options.greet && stream.write_all(line(&worker).as_bytes()).await.is_err() {
                    continue;
                }
                let counted = options.count_bytes.then(|| worker.clone());
                let place = place.to_owned();
                let obeying = obey(stream, worker.clone(), place, Rc::clone(&end), counted);
                if options.serial {
                    drop(obeying.await);
                } else {
                    drop(coreloop::spawn(obeying));
                }
            }
            Some(byte) = ends.recv() => match byte {
                b'x' => panic!("asked to panic"),
                _ => return Err(io::Error::other("asked to end")),
            },
        }
    }
}

/// Returns the line that identifies the worker.
fn line(worker: &Worker) -> String {
    let (slot, generation, workers) = (worker.slot(), worker.generation(), worker.workers());
    format!("{} {slot} {generation} {workers}\n", process::id())
}

/// Serves one connection, until its client closes it or the worker drains. A request that is
/// on its way when the connection is accepted is answered.
async fn obey(
    mut stream: TcpStream,
    worker: Worker,
    place: String,
    end: Rc<mpsc::Sender<u8>>,
    counted: Option<Worker>,
) -> io::Result<()> {
    let mut buffer = [0; 64];
    let mut has_answered = false;
    loop {
        // Requests that have come are answered first.
        let count = coreloop::select! {
            biased;
            count = stream.read(&mut buffer) => count?,
            () = worker.draining(), if has_answered => 0,
        };
        if count == 0 {
            return Ok(());
        }
        let mut bytes = buffer[..count].iter().copied();
        while let Some(byte) = bytes.next() {
            if let Some(worker) = &counted {
                worker.count_request();
            }
            let answer = match byte {
                b'p' => line(&worker),
                b's' => {
                    if bytes.next().is_none() {
                        stream.read_exact(&mut [0]).await?;
                    }
                    "served\n".to_owned()
                }
                b'w' => {
                    worker.draining().await;
                    "waited\n".to_owned()
                }
                b'o' => {
                    println!("a line of output");
                    eprintln!("a line of errors");
                    "written\n".to_owned()
                }
                b'd' => orphan()?,
                b'q' => {
                    counter("asked")
                        .help("Requests \"q\".")
                        .label("by", "\"a\\b\n\"")
                        .inc();
                    gauge("last_slot")
                        .help("Numbers.")
                        .set(i64::from(worker.slot()) + 1);
                    "counted\n".to_owned()
                }
                b'v' => variables(),
                b'r' => place.clone(),
                b'm' => child_server()?,
                b'k' => child_state().await?,
                b'c' => process::abort(),
                b'h' => loop {
                    std::hint::spin_loop();
                },
                b'e' | b'x' => {
                    // The channel has room for one, and one is enough.
                    let _ = end.try_send(byte);
                    continue;
                }
                other => char::from(other).to_string(),
            };
            stream.write_all(answer.as_bytes()).await?;
            has_answered = true;
        }
    }
}

/// Starts an orphan: its parent, the shell, has ended when this returns.
fn orphan() -> io::Result<String> {
    let mut shell = process::Command::new("sh");
    let script = "sleep 1000 </dev/null >/dev/null 2>&1 & echo $!";
    let output = shell.args(["-c", script]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Starts a server, with the environment of this process and a standard input as workers have it.
fn child_server() -> io::Result<String> {
    let (input, _other) = UnixStream::pair()?;
    let mut server = process::Command::new(env::current_exe()?)
        .arg("--workers=1")
        .stdin(OwnedFd::from(input))
        .stdout(process::Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    if let Some(output) = server.stdout.take() {
        BufReader::new(output).read_line(&mut line)?;
    }
    server.kill()?;
    server.wait()?;
    Ok(format!("{}\n", line.trim_end()))
}

async fn child_state() -> io::Result<String> {
    let script = "echo $(env | grep ^CORELOOP_ | grep -cv '^CORELOOP_[TC]') $(grep SigBlk /proc/self/status)";
    let mut shell = coreloop::process::Command::new("sh");
    let output = shell.args(["-c", script]).output().await?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn variables() -> String {
    let mut names: Vec<_> = env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| {
            let prefixes = ["CORELOOP_", "LISTEN_", "NOTIFY_", "WATCHDOG_"];
            prefixes.iter().any(|prefix| name.starts_with(prefix))
        })
        // The tests are configured by these. They are for every process.
        .filter(|name| !name.starts_with("CORELOOP_TEST") && !name.starts_with("CORELOOP_CHAOS"))
        .collect();
    names.sort();
    format!("{}\n", names.join(" "))
}
