//! A run of this program under another one, which counts.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::process::{self, Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The time limit of a run. Even on a slow machine, a run takes less than a tenth of it.
const LIMIT: Duration = Duration::from_secs(120);

/// Lets malloc keep all freed memory by size. Otherwise its work depends on all earlier
/// allocations: the length of a path at the start changed the cost of a child of a scope by
/// a fifth.
const MALLOC: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=1000");

/// What the ending of the name of an output file begins with, if it has one.
pub(crate) const ENDING: &str = ".process";

/// An operation that is being counted. Dropping this ends the process.
pub(crate) struct Counted {
    name: String,
    process: Child,
    file: PathBuf,
}

impl Counted {
    /// Starts `program`, which counts while this program runs with the arguments `work`.
    /// `words` are the options of `program`, except the option `output`, which ends just
    /// before the name of the output file. `program` may add an ending to the name.
    pub(crate) fn start(
        program: &str,
        words: &[&str],
        (output, ending): (&str, &str),
        work: &[&str],
    ) -> io::Result<Counted> {
        let name = format!("{program}.{}", work.join("."));
        let file = env::temp_dir().join(format!("budgets.{}.{name}", process::id()));
        let mut option = OsString::from(output);
        option.push(&file);
        option.push(ending);
        let process = Command::new(program)
            // The user's settings of valgrind, strace or malloc must not have an effect.
            .env_clear()
            .envs(env::vars_os().filter(|(name, _)| name == "PATH" || name == "VALGRIND_LIB"))
            .env(MALLOC.0, MALLOC.1)
            .args(words)
            .arg(option)
            .arg(env::current_exe()?)
            .args(work)
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

    /// Waits for the end of the process, and returns the outputs of `program`, one for each
    /// file that it has written.
    pub(crate) fn outputs(mut self) -> io::Result<Vec<String>> {
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
        self.files()?.iter().map(fs::read_to_string).collect()
    }

    /// Returns the paths of the output file, or of several with an ending each.
    fn files(&self) -> io::Result<Vec<PathBuf>> {
        let file = self.file.as_os_str().as_encoded_bytes();
        let mut files = Vec::new();
        for entry in fs::read_dir(env::temp_dir())? {
            let path = entry?.path();
            let rest = path.as_os_str().as_encoded_bytes().strip_prefix(file);
            if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(ENDING.as_bytes())) {
                files.push(path);
            }
        }
        Ok(files)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        // These return errors if the process has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
        for file in self.files().unwrap_or_default() {
            let _ = fs::remove_file(file);
        }
    }
}

/// Returns the error for a program that cannot be started.
pub(crate) fn missing(program: &str, error: &io::Error) -> io::Error {
    let message =
        format!("{program} does not run: {error} (on Debian: apt-get install valgrind strace)");
    io::Error::new(error.kind(), message)
}
