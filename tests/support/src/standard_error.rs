//! [`StandardError`]: what a program says there, for those who look into a failure.

use std::io::{BufRead, BufReader};
use std::iter;
use std::process::ChildStderr;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// How long to wait for more of it, when the program has been killed.
const PATIENCE: Duration = Duration::from_millis(200);

/// What a failed test shows of a program that writes on.
const MOST: usize = 10_000;

/// Reads the standard error of a program, and shows it when it is dropped by a test
/// that fails.
pub struct StandardError {
    program: String,
    lines: Receiver<String>,
}

impl StandardError {
    /// Reads on a thread of its own, so that the program never waits for room.
    pub fn read(program: &str, output: ChildStderr) -> StandardError {
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                // Read on though the test may be over.
                let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
            }
        });
        StandardError {
            program: program.to_owned(),
            lines,
        }
    }
}

impl Drop for StandardError {
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        // The program has ended, but its workers may write on.
        let lines = iter::from_fn(|| self.lines.recv_timeout(PATIENCE).ok());
        for line in lines.take(MOST) {
            eprintln!("{}: {line}", self.program);
        }
    }
}
