//! `coreloop-ctl`, which sends a command to the control socket of a running master and prints
//! the answer. `coreloop-ctl --help` is its manual.
//!
//! # Invariants
//!
//! 1. The program knows only the names of commands. The master decides what a command means,
//!    so a command that an older master does not know fails with that master's error.
//! 2. With `--json`, the standard output is one JSON value after each command, also when it
//!    fails. Usage errors are the exception.
//! 3. Output that is not read is no error: the exit status is the result of the command.
//! 4. Text that comes from elsewhere controls no terminal: control characters are printed in the
//!    form of Rust's string literals.

mod failure;
mod options;
mod printable;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use coreloop::process::Control;
use serde_json::json;

use failure::{Failure, Step};
use options::{Command, Options};
use printable::printable;

/// The limit for finding out that a master answers at all, before a command without a limit.
const PROBE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let options = Options::parse();
    let Some(path) = &options.socket else {
        let what = "no control socket: give --socket PATH, or set CORELOOP_CONTROL";
        Options::command()
            .error(ErrorKind::MissingRequiredArgument, what)
            .exit();
    };
    let limit = match options.timeout {
        None => options.command.time_limit(),
        Some(0) => None,
        Some(seconds) => Some(Duration::from_secs(seconds)),
    };
    let line = options.command.line(options.json);
    let answer = coreloop::block_on(ask(path, &line, limit));
    if options.json {
        write(io::stdout(), &as_json(&options.command, &answer));
    }
    match answer {
        Ok(text) => {
            if !options.json {
                let lines = text.split_terminator('\n');
                let text: String = lines.map(|line| printable(line) + "\n").collect();
                write(io::stdout(), &text);
            }
            ExitCode::SUCCESS
        }
        Err(failure) => {
            if !options.json {
                let failure = printable(&failure.to_string());
                write(io::stderr(), &format!("coreloop-ctl: {failure}\n"));
            }
            ExitCode::from(failure.exit_status())
        }
    }
}

/// Sends a command, and returns the lines of the answer. The limit is for both the connection
/// and the answer.
async fn ask(path: &Path, line: &str, limit: Option<Duration>) -> Result<String, Failure> {
    let exchange = async {
        let connected = Control::connect_timeout(path, limit.unwrap_or(PROBE)).await;
        let mut control = connected.map_err(|error| Failure::new(path, Step::Connect, error))?;
        if limit.is_none() {
            control.set_timeout(Some(PROBE));
            let known = control.command("help").await;
            known.map_err(|error| Failure::new(path, Step::Answer, error))?;
            control.set_timeout(None);
        }
        let answer = control.command(line).await;
        answer.map_err(|error| Failure::new(path, Step::Answer, error))
    };
    match limit {
        None => exchange.await,
        Some(limit) => coreloop::time::timeout(limit, exchange)
            .await
            .unwrap_or_else(|_| Err(Failure::timed_out(path, limit))),
    }
}

fn as_json(command: &Command, answer: &Result<String, Failure>) -> String {
    let value = match answer {
        // The master's answer is JSON already.
        Ok(text) if matches!(command, Command::Status) => return text.clone(),
        Ok(text) if text.is_empty() => json!({ "ok": true }),
        Ok(text) => json!({ "ok": true, "answer": text }),
        Err(failure) => json!({ "ok": false, "error": failure.to_string() }),
    };
    format!("{value}\n")
}

/// Writes a text. An error is ignored, because the command has been carried out whether its
/// answer is read or not.
fn write(mut to: impl Write, text: &str) {
    let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
}
