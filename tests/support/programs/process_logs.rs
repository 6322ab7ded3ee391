//! A supervised program whose workers write lines when they are asked to, for the tests of logs.
//! Connects by a Unix socket; a request is a line, and its answer is a line with the process id
//! of the worker.
//!
//! | request | what the worker does |
//! |---|---|
//! | `lines N` | writes the lines "line 0" to "line N-1", and the slot and the process id in each |
//! | `errors N` | writes the same to the standard error |
//! | `empty N` | writes N empty lines |
//! | `say TEXT` | writes the text, in which `\e` is an escape and `\n` the end of a line |
//! | `orphan` | starts a process that holds the worker's output for a long time |
//! | `chatter` | starts a process that writes lines for a long time |
//! | `own PATH` | opens a file, to which it writes a line at each `USR1`, after it has opened the file again |

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process;
use std::thread;
use std::time::Duration;

use clap::Parser;
use coreloop::net::UnixStream;
use coreloop::process::{Log, Supervisor, Worker, Workers};
use coreloop::signal::unix::{SignalKind, signal};

#[derive(Parser, Debug, Clone)]
struct Options {
    #[arg(long)]
    socket: PathBuf,
    #[arg(long)]
    control: Option<PathBuf>,
    #[arg(long, default_value_t = 1)]
    workers: u32,
    #[arg(long, default_value = "app")]
    name: String,
    /// Log lines as JSON.
    #[arg(long)]
    json: bool,
    #[arg(long)]
    timestamps: bool,
    /// One file for all lines, or one for each stream.
    #[arg(long, num_args = 1..=2)]
    file: Vec<PathBuf>,
    /// All lines go to the standard error.
    #[arg(long)]
    stderr: bool,
    /// The hook writes its lines to the standard error, and panics at the line "panic".
    #[arg(long)]
    hook: bool,
    #[arg(long)]
    queue: Option<usize>,
    #[arg(long)]
    quiet: bool,
    /// Workers wait in `main`, before `run`, until this file exists.
    #[arg(long)]
    late: Option<PathBuf>,
}

impl Options {
    fn log(&self) -> Log {
        let mut log = if self.json { Log::json() } else { Log::text() };
        log = log.timestamps(self.timestamps);
        if self.stderr {
            log = log.stderr();
        }
        log = match &self.file[..] {
            [] => log,
            [file] => log.file(file),
            [stdout, stderr, ..] => log.files(stdout, stderr),
        };
        if self.hook {
            log = log.hook(|line| {
                let text = String::from_utf8_lossy(line.message);
                assert_ne!(text, "panic");
                eprintln!("hook: {:?} {:?} {text}", line.stream, line.slot);
            });
        }
        if let Some(bytes) = self.queue {
            log = log.queue(bytes);
        }
        log
    }
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    let mut supervisor = Supervisor::new()
        .name(&options.name)
        .workers(Workers::processes(options.workers))
        .drain(Duration::from_secs(1))
        .log(options.log())
        .quiet(options.quiet)
        .bind_unix(&options.socket)?;
    if let Some(path) = &options.control {
        supervisor = supervisor.control(path);
    }
    if let Some(path) = options.late.filter(|_| supervisor.is_worker()) {
        println!("a worker waits");
        while !path.exists() {
            thread::sleep(Duration::from_millis(5));
        }
    }
    supervisor.run(serve)
}

async fn serve(worker: Worker) -> io::Result<()> {
    let listener = worker.unix_listener(0)?;
    while let Some((stream, _)) = listener.accept().await? {
        drop(coreloop::spawn(obey(stream, worker.clone())));
    }
    Ok(())
}

async fn obey(mut stream: UnixStream, worker: Worker) -> io::Result<()> {
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = coreloop::select! {
            count = stream.read(&mut buffer) => count?,
            () = worker.draining() => 0,
        };
        if count == 0 {
            return Ok(());
        }
        received.extend_from_slice(&buffer[..count]);
        while let Some(end) = received.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = received.drain(..=end).collect();
            let line = String::from_utf8(line).map_err(io::Error::other)?;
            run(line.trim_end(), worker.slot())?;
            let answer = format!("{}\n", process::id());
            stream.write_all(answer.as_bytes()).await?;
        }
    }
}

fn run(request: &str, slot: u32) -> io::Result<()> {
    let (word, argument) = request.split_once(' ').unwrap_or((request, ""));
    let count = || argument.parse::<u32>().map_err(io::Error::other);
    let line = |number| format!("line {number} of {slot} by {}\n", process::id());
    match word {
        "lines" => {
            let lines: String = (0..count()?).map(line).collect();
            io::stdout().write_all(lines.as_bytes())
        }
        "errors" => {
            let lines: String = (0..count()?).map(line).collect();
            io::stderr().write_all(lines.as_bytes())
        }
        "empty" => io::stdout().write_all(&vec![b'\n'; count()? as usize]),
        "say" => {
            let text = argument.replace("\\e", "\x1b").replace("\\n", "\n");
            println!("{text}");
            Ok(())
        }
        "own" => {
            let path = PathBuf::from(argument);
            open(&path)?;
            let mut reopens = signal(SignalKind::user_defined1())?;
            drop(coreloop::spawn(async move {
                while reopens.recv().await.is_some() {
                    writeln!(open(&path)?, "reopened by {}", process::id())?;
                }
                io::Result::Ok(())
            }));
            Ok(())
        }
        "orphan" => shell("exec sleep 100"),
        "chatter" => shell("while sleep 0.01; do echo chatter; done"),
        _ => Err(io::Error::other(format!("unknown request {request:?}"))),
    }
}

fn open(path: &PathBuf) -> io::Result<File> {
    File::options().append(true).create(true).open(path)
}

/// Starts a process that is an orphan at once, and holds the outputs of this process.
fn shell(script: &str) -> io::Result<()> {
    let mut shell = process::Command::new("sh");
    shell.args(["-c", &format!("({script}) </dev/null &")]);
    shell.status().map(drop)
}
