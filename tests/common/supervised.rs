//! The program `tests/process/app.rs`, in a folder of its own.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use crate::storm::example::{PATIENCE, program};

/// A master, or the one that has taken its place. It is ended with the test.
pub(crate) struct App {
    process: Child,
    pub(crate) address: SocketAddr,
    folder: PathBuf,
}

impl App {
    /// The name is that of the test.
    pub(crate) fn start(name: &str, arguments: &[&str]) -> App {
        let folder = env::temp_dir().join(format!("coreloop-{name}-{}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        install(&program("process_app"), &folder);
        let mut process = Command::new(folder.join("app"))
            .arg("--control")
            .arg(folder.join("control"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        // Its workers have a right to an output that somebody reads.
        thread::spawn(move || drop(output.lines().take_while(Result::is_ok).last()));
        let words = line.split([' ', ',']);
        let address = words.filter_map(|word| word.parse().ok()).next();
        App {
            address: address.unwrap_or_else(|| panic!("no address: {line:?}")),
            process,
            folder,
        }
    }

    /// Puts another program in the place of the one that was started.
    pub(crate) fn replace_program(&self, program: &Path) {
        install(program, &self.folder);
    }

    /// Puts a script there.
    pub(crate) fn replace_program_by_script(&self, script: &str) {
        let path = self.folder.join("script");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        install(&path, &self.folder);
    }

    /// What the control socket answers to a line, or why it refuses.
    pub(crate) fn request(&self, line: &str) -> Result<String, String> {
        let mut stream = self.connect();
        stream.set_read_timeout(Some(2 * PATIENCE)).unwrap();
        writeln!(stream, "{line}").unwrap();
        let mut answer = String::new();
        for line in BufReader::new(stream).lines() {
            let line = line.unwrap();
            if line == "ok" {
                return Ok(answer);
            }
            if let Some(reason) = line.strip_prefix("error: ") {
                return Err(reason.to_owned());
            }
            answer += &line;
            answer += "\n";
        }
        panic!("the master hung up after {answer:?}");
    }

    /// The address is known a little earlier than the control socket is there.
    fn connect(&self) -> UnixStream {
        let start = Instant::now();
        loop {
            match UnixStream::connect(self.folder.join("control")) {
                Err(error) if error.kind() == ErrorKind::NotFound && start.elapsed() < PATIENCE => {
                    thread::sleep(Duration::from_millis(5));
                }
                connected => return connected.unwrap(),
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(pid(self.master()), signal).unwrap();
    }

    /// The process that is the master now.
    pub(crate) fn master(&self) -> u32 {
        let status = self.request("status").unwrap();
        numbers_after(&status, "master pid=").remove(0)
    }

    /// The processes of all workers that there are.
    pub(crate) fn workers(&self) -> Vec<u32> {
        let status = self.request("status").unwrap();
        let rows = status.lines().filter(|row| row.starts_with("worker "));
        rows.flat_map(|row| numbers_after(row, " pid=")).collect()
    }

    /// Waits until the process that was started has ended by itself.
    pub(crate) fn await_first_end(&mut self) {
        let status = self.process.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for App {
    fn drop(&mut self) {
        // Whoever is master now. The second request does not wait for anybody.
        for _ in 0..2 {
            if let Ok(mut stream) = UnixStream::connect(self.folder.join("control")) {
                let _ = stream.write_all(b"stop\n");
                let _ = BufReader::new(stream).read_line(&mut String::new());
            }
        }
        // As it should have by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if thread::panicking() {
            let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines.len().saturating_sub(40);
            eprintln!("the end of the master's log:\n{}", lines[tail..].join("\n"));
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Waits until there is no such process, or only what its parent has to reap.
pub(crate) fn await_end(number: u32) {
    let process = match pidfd_open(pid(number), PidfdFlags::empty()) {
        Err(Errno::SRCH) => return,
        process => process.unwrap(),
    };
    let timeout = Timespec::try_from(PATIENCE).unwrap();
    let ended = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&timeout));
    assert_eq!(ended.unwrap(), 1, "{number} is still there");
}

/// At once, so that whoever starts it meanwhile gets the one or the other. Copied
/// by a process of its own: if this one had the file open for writing, so would
/// all that other tests start meanwhile, and it could not be run.
fn install(program: &Path, folder: &Path) {
    let new = folder.join("new");
    let copied = Command::new("cp").arg(program).arg(&new).status().unwrap();
    assert!(copied.success());
    fs::rename(&new, folder.join("app")).unwrap();
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(i32::try_from(number).unwrap()).unwrap()
}

fn numbers_after(text: &str, name: &str) -> Vec<u32> {
    let after = text.split(name).skip(1);
    let digits = after.filter_map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
    digits.filter_map(|digits| digits.parse().ok()).collect()
}
