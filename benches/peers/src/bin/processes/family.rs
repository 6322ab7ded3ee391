//! A server of several processes: the one that was started, and its children.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Duration;

use nix::time::ClockId;
use nix::unistd::Pid;

#[derive(Debug)]
pub(crate) struct Family {
    /// The processes, the master first.
    pub(crate) members: Vec<u32>,
}

impl Family {
    /// Returns the process and its current children.
    pub(crate) fn of(master: u32) -> io::Result<Family> {
        let mut members = vec![master];
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            if parent(pid)? == Some(master) {
                members.push(pid);
            }
        }
        Ok(Family { members })
    }

    /// Returns the CPU time of all processes: the sum that `getrusage` splits into user and
    /// system.
    pub(crate) fn cpu_time(&self) -> io::Result<Duration> {
        let mut total = Duration::ZERO;
        for &pid in &self.members {
            let pid = Pid::from_raw(i32::try_from(pid).map_err(io::Error::other)?);
            total += Duration::from(ClockId::pid_cpu_clock_id(pid)?.now()?);
        }
        Ok(total)
    }

    /// Returns how often the threads of each process have slept and were woken.
    pub(crate) fn wake_ups(&self) -> io::Result<Vec<u64>> {
        let of_process = |pid| -> io::Result<u64> {
            let threads = fs::read_dir(format!("/proc/{pid}/task"))?;
            threads
                .map(|thread| waits(&thread?.path().join("status")))
                .sum()
        };
        self.members.iter().map(of_process).collect()
    }
}

fn waits(status: &Path) -> io::Result<u64> {
    let status = fs::read_to_string(status)?;
    let count = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    count
        .and_then(|count| count.trim().parse().ok())
        .ok_or_else(|| io::Error::from(ErrorKind::InvalidData))
}

/// Returns `None` if the process has ended meanwhile.
fn parent(pid: u32) -> io::Result<Option<u32>> {
    let stat = match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat,
        // `ESRCH` if the process ends while the file is read.
        Err(error) if error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(3) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    // The name may contain any character, and ends with the last parenthesis.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let parent = after_name.split_whitespace().nth(1);
    Ok(parent.and_then(|parent| parent.parse().ok()))
}
