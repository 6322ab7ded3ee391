//! [`Meeting`], where a test meets the jobs that it has sent to other processes.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use coreloop::net::{UnixListener, UnixStream};
use coreloop::pool::job;
use coreloop::time::timeout;
use rustix::process::Pid;

use crate::folder::Folder;
use crate::program::PATIENCE;

/// A socket to which jobs connect. It says when they start, and lets them go on.
pub struct Meeting {
    folder: Folder,
    listener: UnixListener,
}

/// A job that has arrived at a [`Meeting`].
#[derive(Debug)]
pub struct Arrival {
    /// The process that runs the job.
    pub pid: Pid,
    /// The attempt of the job.
    pub attempt: u32,
    /// What the job was given as a name.
    pub name: String,
    stream: UnixStream,
}

impl Meeting {
    /// Creates the socket. Has to be called on a loop.
    pub fn new() -> Self {
        let folder = Folder::new();
        let listener = UnixListener::bind(folder.path("meeting")).unwrap();
        Self { folder, listener }
    }

    /// Returns the path of the socket, which jobs get as an argument.
    pub fn path(&self) -> PathBuf {
        self.folder.path("meeting")
    }

    /// Waits for the next job.
    pub async fn arrival(&self) -> Arrival {
        let (mut stream, _) = soon(self.listener.accept()).await.unwrap();
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let mut byte = [0];
            let count = soon(stream.read(&mut byte)).await.unwrap();
            assert_eq!(count, 1, "the job has ended while it introduced itself");
            line.push(byte[0]);
        }
        let line = String::from_utf8(line).unwrap();
        let mut words = line.trim_end().splitn(3, ' ');
        let mut word = || words.next().unwrap();
        Arrival {
            pid: Pid::from_raw(word().parse().unwrap()).unwrap(),
            attempt: word().parse().unwrap(),
            name: word().to_owned(),
            stream,
        }
    }

    /// Returns whether a job waits to be met.
    pub async fn is_empty(&self) -> bool {
        timeout(Duration::ZERO, self.listener.accept())
            .await
            .is_err()
    }
}

impl Arrival {
    /// Lets the job continue.
    pub async fn release(mut self) {
        // A process that was killed meanwhile does not read it.
        let _ = self.stream.write_all(b"!").await;
    }

    /// Waits until the job says its next word.
    pub async fn word(&mut self) -> char {
        let mut byte = [0];
        let count = soon(self.stream.read(&mut byte)).await.unwrap();
        assert_eq!(count, 1, "the job of {:?} has ended", self.pid);
        char::from(byte[0])
    }

    /// Waits until the process has ended, or the job has left.
    pub async fn end(mut self) {
        let count = soon(self.stream.read(&mut [0])).await;
        assert!(
            !matches!(count, Ok(1)),
            "the job has said another word instead"
        );
    }
}

/// The side of a job.
#[derive(Debug)]
pub struct Visit(StdStream);

impl Visit {
    /// Connects, and says which process, attempt and job this is.
    pub fn new(path: &Path, name: &str) -> io::Result<Self> {
        let mut stream = StdStream::connect(path)?;
        let attempt = job::attempt().unwrap_or(0);
        stream.write_all(format!("{} {attempt} {name}\n", process::id()).as_bytes())?;
        Ok(Self(stream))
    }

    /// Waits until the test lets the job continue, or has ended.
    pub fn wait(&mut self) {
        let _ = self.0.read(&mut [0]);
    }

    /// Says something.
    pub fn say(&mut self, word: u8) {
        // The test may have ended.
        let _ = self.0.write_all(&[word]);
    }
}

/// Connects, and waits until the test lets the job continue.
pub fn meet(path: &Path, name: &str) {
    // A test that has ended does not wait for the job.
    if let Ok(mut visit) = Visit::new(path, name) {
        visit.wait();
    }
}

/// Fails the test if the future does not complete.
pub async fn soon<F: Future>(future: F) -> F::Output {
    match timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("what is awaited does not happen"),
    }
}

/// Reads the lines of a file; none if there is no file.
pub fn lines(path: &Path) -> Vec<String> {
    let Ok(file) = std::fs::File::open(path) else {
        return Vec::new();
    };
    BufReader::new(file).lines().map_while(Result::ok).collect()
}
