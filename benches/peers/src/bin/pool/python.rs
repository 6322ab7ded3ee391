//! Python's pools, which `pool.py` measures.

use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/pool.py");

/// The figures of a turn, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) apply: f64,
    pub(crate) submit: f64,
    pub(crate) map: f64,
}

/// A running script. Dropping this ends it.
#[derive(Debug)]
pub(crate) struct Python {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Python {
    /// Starts the script, or returns why it does not run.
    pub(crate) fn start(workers: Option<u32>) -> io::Result<Python> {
        let mut child = Command::new("python3")
            .arg(SCRIPT)
            .args(workers.map(|workers| workers.to_string()))
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

    /// Lets the script measure once.
    pub(crate) fn turn(&mut self) -> io::Result<Turn> {
        self.input
            .as_mut()
            .ok_or(ErrorKind::BrokenPipe)?
            .write_all(b"turn\n")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let figures: Vec<f64> = line
            .split_whitespace()
            .filter_map(|figure| figure.parse().ok())
            .collect();
        let [apply, submit, map] = figures[..] else {
            return Err(io::Error::new(ErrorKind::InvalidData, line));
        };
        Ok(Turn { apply, submit, map })
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // The end of its input ends the script, which ends its own children.
        drop(self.input.take());
        let _ = self.child.wait();
    }
}
