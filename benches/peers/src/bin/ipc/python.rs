//! Python's pipes, queues and managers, which `ipc.py` measures.

use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/ipc.py");

/// A running script. Dropping this ends it.
#[derive(Debug)]
pub(crate) struct Python {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Python {
    /// Starts the script, or returns why it does not run.
    pub(crate) fn start() -> io::Result<Python> {
        let mut child = Command::new("python3")
            .arg(SCRIPT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or(ErrorKind::BrokenPipe)?;
        Ok(Python {
            child,
            input,
            output: BufReader::new(output),
        })
    }

    /// Lets the script measure a case once, and returns the microseconds of CPU time of each.
    pub(crate) fn turn(&mut self, case: &str) -> io::Result<f64> {
        self.input
            .as_mut()
            .ok_or(ErrorKind::BrokenPipe)?
            .write_all(format!("{case}\n").as_bytes())?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        line.trim()
            .parse()
            .map_err(|_| io::Error::new(ErrorKind::InvalidData, format!("{case}: {line:?}")))
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // The end of its input ends the script, which ends its own children.
        drop(self.input.take());
        let _ = self.child.wait();
    }
}
