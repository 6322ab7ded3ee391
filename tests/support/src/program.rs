//! Examples, run as a user runs them.

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::standard_error::StandardError;

/// The time limit of reads, which turns a hang into a failure.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

pub fn exchange(stream: &mut TcpStream, message: &[u8]) -> Vec<u8> {
    stream.write_all(message).unwrap();
    let mut echo = vec![0; message.len()];
    stream.read_exact(&mut echo).unwrap();
    echo
}

/// A server process. If the test fails, it is killed and its standard error is shown.
pub struct Server {
    pub process: Child,
    pub output: BufReader<Box<dyn Read>>,
    _errors: StandardError,
}

impl Server {
    /// Starts an example, whose outputs are read.
    pub fn start(example: &str, arguments: &[&str]) -> Self {
        let mut process = Command::new(program(example))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = process.stdout.take().unwrap();
        let errors = process.stderr.take().unwrap();
        Self {
            process,
            output: BufReader::new(Box::new(output)),
            _errors: StandardError::read(example, errors),
        }
    }

    /// Reads until a line has the address, with the port that the system chose for port 0.
    pub fn read_address(&mut self) -> SocketAddr {
        let mut seen = String::new();
        loop {
            let from = seen.len();
            let read = self.output.read_line(&mut seen).unwrap();
            assert_ne!(read, 0, "the server printed no address, only: {seen}");
            let words = seen[from..].split([' ', ',', ';', '\n']);
            if let Some(address) = words.filter_map(|word| word.parse().ok()).next() {
                return address;
            }
        }
    }

    /// Sends the signal of Ctrl-C.
    pub fn interrupt(&self) {
        let status = Command::new("kill")
            .args(["-INT", &self.process.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Waits for the end of the server, and returns its output until then.
    pub fn finish(&mut self) -> String {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        let status = self.process.wait().unwrap();
        assert!(status.success(), "{status}: {rest}");
        rest
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails if the process has ended, as it should have.
        let _: io::Result<()> = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the path of an example, which `cargo test` builds beside the tests.
pub fn program(example: &str) -> PathBuf {
    let mut path = env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples");
    path.push(format!("{example}{}", env::consts::EXE_SUFFIX));
    assert!(
        path.exists(),
        "{} is missing: run `cargo build --examples` at the root of the workspace",
        path.display()
    );
    path
}
