//! An example that runs as a user runs it, and says where it listens.

use std::env;
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

/// A server that is running. Killed if the test fails.
pub(crate) struct Program {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Program {
    /// Starts an example on a port that is free.
    pub(crate) fn start(example: &str) -> Program {
        let mut process = Command::new(path(example))
            .args(["--addr", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = process.stdout.take().unwrap();
        Program {
            process,
            output: BufReader::new(output),
        }
    }

    /// Reads on until a line names the address that port 0 became.
    pub(crate) fn read_address(&mut self) -> SocketAddr {
        let mut seen = String::new();
        loop {
            let from = seen.len();
            let read = self.output.read_line(&mut seen).unwrap();
            assert_ne!(read, 0, "it said no address, only: {seen}");
            let words = seen[from..].split([' ', ',', ';', '\n']);
            if let Some(address) = words.filter_map(|word| word.parse().ok()).next() {
                return address;
            }
        }
    }

    /// Presses Ctrl-C.
    pub(crate) fn interrupt(&self) {
        let status = Command::new("kill")
            .args(["-INT", &self.process.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Waits for the end, and returns what it says until then.
    pub(crate) fn finish(&mut self) -> String {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        let status = self.process.wait().unwrap();
        assert!(status.success(), "{status}: {rest}");
        rest
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails if it has ended already, as it should have.
        let _: io::Result<()> = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `cargo test` builds the examples beside the tests.
pub(crate) fn path(example: &str) -> PathBuf {
    let mut path = env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples");
    path.push(format!("{example}{}", env::consts::EXE_SUFFIX));
    assert!(
        path.exists(),
        "{} is missing: run `cargo build --examples`",
        path.display()
    );
    path
}
