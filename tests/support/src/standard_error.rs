//! [`StandardError`], which shows the standard error of a program when a test fails.

use std::io::{BufRead, BufReader};
use std::iter;
use std::process::ChildStderr;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// How long to wait for more output after the program was killed.
const PATIENCE: Duration = Duration::from_millis(200);

/// How much a failed test shows of a program that keeps writing.
const MOST: usize = 10_000;

/// Reads the standard error of a program, and shows it when it is dropped by a test
/// that fails.
pub struct StandardError {
    program: String,
    lines: Receiver<String>,
}

impl StandardError {
    /// Reads on its own thread, so that the pipe never gets full.
    pub fn read(program: &str, output: ChildStderr) -> Self {
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                // Keeps reading, although the test may have ended.
                let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
            }
        });
        Self {
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
        // The program has ended, but its workers may keep writing.
        let lines = iter::from_fn(|| self.lines.recv_timeout(PATIENCE).ok());
        for line in lines.take(MOST) {
            eprintln!("{}: {line}", self.program);
        }
    }
}
