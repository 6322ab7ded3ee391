//! A run of this program under another one, which counts.

use std::env;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::process::{self, Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::operation::Operation;

/// The time limit of a run. Even on a slow machine, a run takes less than a tenth of it.
const LIMIT: Duration = Duration::from_secs(120);

/// Lets malloc keep all freed memory by size. Otherwise its work depends on all earlier
/// allocations: the length of a path at the start changed the cost of a child of a scope by
/// a fifth.
const MALLOC: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=1000");

/// An operation that is being counted. Dropping this ends the process.
pub(crate) struct Counted {
    name: String,
    process: Child,
    file: PathBuf,
}

impl Counted {
    /// Starts `program`, which counts while `operation` is done `times` times. `words` are
    /// the options of `program`, except the option `output`, which ends just before the
    /// name of the output file.
    pub(crate) fn start(
        program: &str,
        words: &[&str],
        output: &str,
        operation: Operation,
        times: u64,
    ) -> io::Result<Counted> {
        let name = format!("{program}.{}.{times}", operation.name());
        let file = env::temp_dir().join(format!("budgets.{}.{name}", process::id()));
        let mut option = OsString::from(output);
        option.push(&file);
        let process = Command::new(program)
            // The user's settings of valgrind, strace or malloc must not have an effect.
            .env_clear()
            .envs(env::vars_os().filter(|(name, _)| name == "PATH" || name == "VALGRIND_LIB"))
            .env(MALLOC.0, MALLOC.1)
            .args(words)
            .arg(option)
            .arg(env::current_exe()?)
            .args(["run", operation.name(), &times.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| missing(program, &error))?;
        Ok(Counted {
            name,
            process,
            file,
        })
    }

    /// Waits for the end of the process, and returns the output of `program`.
    pub(crate) fn output(mut self) -> io::Result<String> {
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = self.process.try_wait()? {
                break status;
            }
            if Instant::now() > deadline {
                let message = format!("{} exceeds its time limit", self.name);
                return Err(io::Error::new(ErrorKind::TimedOut, message));
            }
            thread::sleep(Duration::from_millis(5));
        };
        if !status.success() {
            let message = format!("{} ended with {status}", self.name);
            return Err(io::Error::other(message));
        }
        std::fs::read_to_string(&self.file)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        // These return errors if the process has ended and the file is gone.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_file(&self.file);
    }
}

/// Returns the error for a program that cannot be started.
pub(crate) fn missing(program: &str, error: &io::Error) -> io::Error {
    let message =
        format!("{program} does not run: {error} (on Debian: apt-get install valgrind strace)");
    io::Error::new(error.kind(), message)
}
