//! This program, run by another one that counts.

use std::env;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::process::{self, Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::operation::Operation;

/// No run takes a tenth of that, on a slow machine.
const LIMIT: Duration = Duration::from_secs(120);

/// Has malloc keep what was freed by size, however much it is. Otherwise what it
/// does depends on all that it has done before: the length of a path at the start
/// was worth a fifth of a child of a scope.
const MALLOC: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=1000");

/// An operation that is being counted. Dropping it ends it.
pub(crate) struct Counted {
    name: String,
    process: Child,
    file: PathBuf,
}

impl Counted {
    /// Has `program` count what it takes to do `operation` so many times.
    /// `words` are its options, but for `output`, which the name of its file
    /// follows at once.
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
            // What a user has set for valgrind, strace or malloc is not for this.
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

    /// What the program wrote, once it is over.
    pub(crate) fn output(mut self) -> io::Result<String> {
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = self.process.try_wait()? {
                break status;
            }
            if Instant::now() > deadline {
                let message = format!("{} takes too long", self.name);
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
        // These fail where there is nothing left to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_file(&self.file);
    }
}

/// What to say of a program that does not start.
pub(crate) fn missing(program: &str, error: &io::Error) -> io::Error {
    let message =
        format!("{program} does not run: {error} (on Debian: apt-get install valgrind strace)");
    io::Error::new(error.kind(), message)
}
