//! A master that runs `programs/process_app.rs`, and requests to it.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use crate::deadline::wait_until;
use crate::folder::Folder;
use crate::process::proc;
use crate::program::{PATIENCE, connect, program};

/// A program that can be replaced, in a directory with its control socket.
pub struct App {
    pub folder: Folder,
}

impl App {
    pub fn new() -> Self {
        Self::of("process_app")
    }

    /// Like `new`, with another of the programs.
    pub fn of(example: &str) -> Self {
        let app = Self {
            folder: Folder::new(),
        };
        app.install(&program(example));
        app
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path("app")
    }

    pub fn control(&self) -> PathBuf {
        self.folder.path("control")
    }

    /// Returns a command that runs the app, which prints its address first.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.path());
        command.args(self.arguments(arguments));
        command
    }

    pub fn arguments(&self, more: &[&str]) -> Vec<String> {
        let control = self.control().to_str().unwrap().to_owned();
        let own = ["--control".to_owned(), control];
        own.into_iter()
            .chain(more.iter().map(|&argument| argument.to_owned()))
            .collect()
    }

    /// Replaces the program's file by another program, atomically.
    pub fn install(&self, program: &Path) {
        let new = self.folder.path("new");
        copy(program, &new);
        fs::rename(new, self.path()).unwrap();
    }

    /// Replaces the program's file by a script.
    pub fn install_script(&self, script: &str) {
        let written = self.folder.path("script");
        fs::write(&written, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&written, fs::Permissions::from_mode(0o755)).unwrap();
        self.install(&written);
    }

    /// Replaces the program's file by a script that waits before it runs `next`.
    pub fn install_held_script(&self, next: &str) -> HeldScript {
        let script = HeldScript {
            begun: self.folder.path("begun"),
            held: self.folder.path("held"),
        };
        self.install_script(&format!(
            "mkfifo {held}; : >{begun}; cat {held}; {next}",
            held = script.held.display(),
            begun = script.begun.display()
        ));
        script
    }

    /// Returns a script that runs the app with other options than the old master has.
    pub fn script(&self, arguments: &[&str]) -> String {
        self.script_of("process_app", arguments)
    }

    /// Like `script`, with another of the programs.
    pub fn script_of(&self, example: &str, arguments: &[&str]) -> String {
        let program = program(example);
        let arguments = self.arguments(arguments).join(" ");
        format!("exec {} {arguments}", program.display())
    }

    /// Returns the option by which later workers wait for their gates.
    pub fn gates(&self) -> String {
        format!("--gates={}", self.folder.as_path().display())
    }

    /// Lets the worker of this slot and generation become ready.
    pub fn open_gate(&self, slot: u32, generation: u64) {
        fs::write(self.folder.path(&format!("{slot}-{generation}")), "").unwrap();
    }

    /// Sends a request to the control socket, and returns the lines of the answer, or the
    /// error.
    pub fn ask(&self, request: &str) -> Result<String, String> {
        // The address is printed a little before the socket is bound.
        wait_until(|| self.control().exists());
        self.try_ask(request).unwrap()
    }

    /// Like `ask`, to a master that may have ended.
    pub fn try_ask(&self, request: &str) -> io::Result<Result<String, String>> {
        App::ask_at(&self.control(), request)
    }

    /// Like `try_ask`, at the control socket of this path.
    pub fn ask_at(control: &Path, request: &str) -> io::Result<Result<String, String>> {
        let mut stream = UnixStream::connect(control)?;
        stream.set_read_timeout(Some(2 * PATIENCE))?;
        writeln!(stream, "{request}")?;
        let mut answer = String::new();
        for line in BufReader::new(stream).lines() {
            let line = line?;
            if line == "ok" {
                return Ok(Ok(answer));
            }
            if let Some(error) = line.strip_prefix("error: ") {
                return Ok(Err(error.to_owned()));
            }
            answer.push_str(&line);
            answer.push('\n');
        }
        let unfinished = format!("no end of the answer to {request}: {answer}");
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, unfinished))
    }

    /// Returns the process that serves the control socket.
    pub fn master(&self) -> Pid {
        let status = self.ask("status").unwrap();
        number_after(&status, "master pid=").expect("a number")
    }

    /// Returns the workers that are ready.
    pub fn workers(&self) -> Vec<Pid> {
        self.workers_that("state=ready")
    }

    /// Returns all workers, in any state.
    pub fn all_workers(&self) -> Vec<Pid> {
        self.workers_that("")
    }

    fn workers_that(&self, words: &str) -> Vec<Pid> {
        let status = self.ask("status").unwrap();
        let rows = status.lines().filter(|row| row.starts_with("worker "));
        rows.filter(|row| row.contains(words))
            .filter_map(|row| number_after(row, " pid="))
            .collect()
    }
}

/// A test that fails leaves no masters behind that have replaced the one that it started.
impl Drop for App {
    fn drop(&mut self) {
        if thread::panicking() {
            let folder = self.folder.as_path().to_str().unwrap_or_default();
            proc::naming(folder).for_each(|process| {
                let _ = kill_process(process, Signal::KILL);
            });
        }
    }
}

/// A script that an upgrade starts, and that waits.
#[derive(Debug)]
pub struct HeldScript {
    begun: PathBuf,
    held: PathBuf,
}

impl HeldScript {
    /// Waits until the script has been started.
    pub fn wait_for_start(&self) {
        wait_until(|| self.begun.exists());
    }

    /// Lets the script go on.
    pub fn release(self) {
        fs::write(self.held, "").unwrap();
    }
}

/// Copies a program in another process. A file that this process has open for writing is also
/// open in a process that another test is just starting, and cannot be executed then.
pub fn copy(program: &Path, to: &Path) {
    let status = Command::new("cp").arg(program).arg(to).status().unwrap();
    assert!(status.success());
}

fn number_after(text: &str, name: &str) -> Option<Pid> {
    let (_, rest) = text.split_once(name)?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Pid::from_raw(digits.parse().ok()?)
}

/// A line that was read, and whether a test has waited for it.
#[derive(Debug)]
struct Seen {
    line: String,
    found: bool,
}

/// A process of a test, and the lines that it writes to its standard output and error. It is
/// killed if the test fails.
pub struct Master {
    process: Child,
    lines: Receiver<String>,
    seen: Vec<Seen>,
}

impl Master {
    /// Starts a command, which may be another program that runs the app.
    pub fn start(command: Command) -> Self {
        Master::start_with(command, Stdio::null())
    }

    /// Like `start`, with a standard input.
    pub fn start_with(mut command: Command, stdin: Stdio) -> Self {
        let mut process = command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let outputs: (Option<ChildStdout>, Option<ChildStderr>) =
            (process.stdout.take(), process.stderr.take());
        let readers: [Box<dyn Read + Send>; 2] =
            [Box::new(outputs.0.unwrap()), Box::new(outputs.1.unwrap())];
        for reader in readers {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(reader).lines().map_while(Result::ok) {
                    // The test may have ended.
                    let _ = sender.send(line);
                }
            });
        }
        Self {
            process,
            lines,
            seen: Vec::new(),
        }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits until the process, or one that it has started, writes a line with the words.
    /// Each line is found once. The lines of the two outputs may come in any order.
    pub fn line(&mut self, words: &str) -> String {
        let mut next = 0;
        loop {
            while next == self.seen.len() {
                let Ok(line) = self.lines.recv_timeout(PATIENCE) else {
                    panic!("no line with `{words}`");
                };
                self.seen.push(Seen { line, found: false });
            }
            let seen = &mut self.seen[next];
            if !seen.found && seen.line.contains(words) {
                seen.found = true;
                return seen.line.clone();
            }
            next += 1;
        }
    }

    /// Returns the lines that were read so far.
    pub fn seen(&self) -> Vec<&str> {
        self.seen.iter().map(|seen| seen.line.as_str()).collect()
    }

    /// Waits until this many more workers have become ready.
    pub fn ready(&mut self, workers: usize) {
        for _ in 0..workers {
            self.line(" is ready after ");
        }
    }

    /// Waits until the process prints its address.
    pub fn address(&mut self) -> SocketAddr {
        let line = self.line(", master ");
        let words = line.split([' ', ',']);
        words.filter_map(|word| word.parse().ok()).next().unwrap()
    }

    /// Waits until the process has ended by itself, and every process that holds its outputs.
    pub fn end(&mut self) -> ExitStatus {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.seen.push(Seen { line, found: false }),
                Err(RecvTimeoutError::Disconnected) => return self.end_of_first(),
                Err(RecvTimeoutError::Timeout) => panic!("it does not end"),
            }
        }
    }

    /// Waits until the process has ended by itself, although others may still run.
    pub fn end_of_first(&mut self) -> ExitStatus {
        if let Some(status) = self.process.try_wait().unwrap() {
            return status;
        }
        await_end(self.pid());
        self.process.wait().unwrap()
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        // Fails if the process has ended, as it should have.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if thread::panicking() {
            let seen = self.seen.drain(..).map(|seen| seen.line);
            let wrote: Vec<_> = seen.chain(self.lines.try_iter()).collect();
            eprintln!("it wrote: {wrote:#?}");
        }
    }
}

/// Sends a one-byte request on a new connection, and returns the line that the worker
/// answers.
pub fn ask_worker(address: SocketAddr, byte: u8) -> String {
    let stream = connect(address);
    ask_on(&stream, byte)
}

pub fn ask_on(mut stream: &TcpStream, byte: u8) -> String {
    stream.write_all(&[byte]).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

/// Returns the process that answers a new connection.
pub fn worker_at(address: SocketAddr) -> Pid {
    let line = ask_worker(address, b'p');
    let (pid, _) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?}"));
    Pid::from_raw(pid.parse().unwrap()).unwrap()
}

/// Waits until the process has ended, or is a zombie.
pub fn await_end(pid: Pid) {
    let process = match pidfd_open(pid, PidfdFlags::empty()) {
        Err(Errno::SRCH) => return,
        process => process.unwrap(),
    };
    let patience = Timespec::try_from(PATIENCE).unwrap();
    let ended = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&patience));
    assert_eq!(ended, Ok(1), "{pid:?} is still there");
}
