//! A server in another process, seen from the measuring side.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::time::ClockId;
use nix::unistd::{Pid, alarm};

/// A running server. Dropping it ends the process.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    port: u16,
}

impl Server {
    /// Runs `serve` of this program with these words, and waits for the port.
    pub(crate) fn start(words: &[OsString]) -> io::Result<Server> {
        Server::start_under::<&str>(&[], words)
    }

    /// Starts a server under another program, such as valgrind.
    pub(crate) fn start_under<S: AsRef<OsStr>>(
        prefix: &[S],
        words: &[OsString],
    ) -> io::Result<Server> {
        let own = env::current_exe()?;
        let mut prefix = prefix.iter().map(AsRef::as_ref).chain([own.as_os_str()]);
        let mut command = Command::new(prefix.next().unwrap_or_default());
        command.args(prefix).arg("serve").args(words);
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(output) = process.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let mut server = Server { process, port: 0 };
        server.port = line
            .trim()
            .parse()
            .map_err(|_| io::Error::other(format!("the server did not start: {words:?}")))?;
        Ok(server)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the CPU time of the process: the sum that `getrusage` splits into user and
    /// system.
    pub(crate) fn cpu_time(&self) -> io::Result<Duration> {
        Ok(ClockId::pid_cpu_clock_id(self.pid()?)?.now()?.into())
    }

    /// Returns the resident memory, counted page by page.
    pub(crate) fn resident_bytes(&self) -> io::Result<u64> {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.id()))?;
        rollup
            .lines()
            .find_map(|line| {
                line.strip_prefix("Rss:")?
                    .trim()
                    .strip_suffix(" kB")?
                    .parse::<u64>()
                    .ok()
            })
            .map(|kibibytes| kibibytes * 1024)
            .ok_or_else(|| io::Error::other("smaps_rollup has no Rss line"))
    }

    /// Returns the id of the process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits until the server has ended by itself.
    pub(crate) fn wait(mut self, limit: Duration) -> io::Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.process.try_wait()? {
                return if status.success() {
                    Ok(())
                } else {
                    Err(io::Error::other(format!("the server ended with {status}")))
                };
            }
            if Instant::now() > deadline {
                return Err(io::Error::new(
                    ErrorKind::TimedOut,
                    "the server did not end",
                ));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn pid(&self) -> io::Result<Pid> {
        i32::try_from(self.id())
            .map(Pid::from_raw)
            .map_err(io::Error::other)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both return errors if the process has ended, which is fine.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Ends this process, and with it every server, if the measurement takes longer than the
/// limit, so that nothing hangs.
pub(crate) fn limit_time(seconds: u32) {
    alarm::set(seconds);
}

/// Keeps this process on one core.
pub(crate) fn pin_to_core(core: usize) -> io::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &cores)?)
}

/// Raises this process's limit on descriptors to the maximum, and returns it.
pub(crate) fn raise_descriptor_limit() -> io::Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}

/// Returns the name of an option's value on the command line.
pub(crate) fn value_name(value: &impl ValueEnum) -> String {
    value
        .to_possible_value()
        .map(|name| name.get_name().to_owned())
        .unwrap_or_default()
}
