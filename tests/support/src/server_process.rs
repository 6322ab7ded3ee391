//! A server of another project, which a test starts and ends.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::{env, thread};

use crate::folder::Folder;
use crate::program::PATIENCE;
use crate::skip::skipped;

/// A server process. Dropping it ends the process by its id, also when the test fails.
pub struct Server {
    process: Child,
    /// Taken when the server is killed.
    folder: Option<Folder>,
}

impl Server {
    /// Starts `command`, and waits until its output contains `ready`.
    ///
    /// `folder` is removed when the server is dropped.
    pub fn start(mut command: Command, folder: Folder, ready: &str) -> Server {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let process = command
            .stdin(Stdio::null())
            .stdout(writer.try_clone().expect("a pipe"))
            .stderr(writer)
            .spawn()
            .expect("the server starts");
        // The command holds a writing end of the pipe too, which would keep it open.
        drop(command);
        let server = Server {
            process,
            folder: Some(folder),
        };
        let (sender, lines) = mpsc::channel();
        // Reads to the end, because a server whose output is not read may wait for ever.
        thread::spawn(move || {
            for line in BufReader::new(reader).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut said = String::new();
        loop {
            let line = lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|why| panic!("the server is not ready, {why}:\n{said}"));
            if line.contains(ready) {
                return server;
            }
            said.push_str(&line);
            said.push('\n');
        }
    }
}

impl Server {
    /// Kills the server without a warning, and returns its folder, in which another one can
    /// continue.
    pub fn kill(mut self) -> Folder {
        self.process.kill().expect("a kill");
        self.process.wait().expect("the end of the server");
        self.folder.take().expect("the folder of a running server")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.folder.is_none() {
            return;
        }
        // A signal comes first, because the server may have child processes to end. Errors
        // are ignored: they only mean that the server has already ended.
        let id = self.process.id().to_string();
        let asked = Command::new("kill").args(["-INT", &id]).status();
        if !asked.is_ok_and(|status| status.success()) {
            drop(self.process.kill());
        }
        drop(self.process.wait());
    }
}

/// Returns a port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    listener.local_addr().expect("address").port()
}

/// Returns the path of a program. If it is not installed, prints that the tests with it are
/// skipped, and returns `None`.
pub fn find(program: &str, also_in: &[PathBuf]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path)
        .chain(also_in.iter().cloned())
        .map(|folder| folder.join(program))
        .find(|file| Path::is_file(file));
    if found.is_none() {
        skipped(format_args!(
            "{program} is not installed, so the tests with it did not run"
        ));
    }
    found
}
