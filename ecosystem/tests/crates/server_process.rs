//! A server of another project, started for one test and ended with it.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process, thread};

/// A process, ended by its id when the test is over or has failed.
pub(crate) struct Server {
    process: Child,
    folder: PathBuf,
}

impl Server {
    /// Starts `command`, and waits until it says `ready` on its output.
    ///
    /// `folder` is removed with the server.
    pub(crate) fn start(mut command: Command, folder: PathBuf, ready: &str) -> Server {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let process = command
            .stdin(Stdio::null())
            .stdout(writer.try_clone().expect("a pipe"))
            .stderr(writer)
            .spawn()
            .expect("the server starts");
        // It has the other end of the pipe too.
        drop(command);
        let server = Server { process, folder };
        let mut lines = BufReader::new(reader).lines();
        let mut said = String::new();
        loop {
            let Some(Ok(line)) = lines.next() else {
                panic!("the server ended before it was ready:\n{said}");
            };
            if line.contains(ready) {
                break;
            }
            said.push_str(&line);
            said.push('\n');
        }
        // A server whose output nobody reads waits for ever.
        thread::spawn(move || lines.for_each(drop));
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Asked first: it may have processes of its own to end. Those that have
        // ended already give errors that say nothing new.
        let id = self.process.id().to_string();
        let asked = Command::new("kill").args(["-INT", &id]).status();
        if !asked.is_ok_and(|status| status.success()) {
            drop(self.process.kill());
        }
        drop(self.process.wait());
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// An empty folder of this test's own.
pub(crate) fn folder(name: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = env::temp_dir().join(format!("coreloop-{name}-{}-{count}", process::id()));
    fs::create_dir_all(&path).expect("a folder");
    path
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    listener.local_addr().expect("address").port()
}

/// Where a program is, or nothing and a line that says what is not tested.
pub(crate) fn find(program: &str, also_in: &[PathBuf]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path)
        .chain(also_in.iter().cloned())
        .map(|folder| folder.join(program))
        .find(|file| Path::is_file(file));
    if found.is_none() {
        // Past the harness, which shows nothing of tests that succeed.
        let line = format!("SKIPPED: {program} is not installed, so its client is not tested\n");
        drop(std::io::Write::write_all(
            &mut std::io::stderr(),
            line.as_bytes(),
        ));
    }
    found
}
