//! System calls per echo, by name, and per job of a pool, from strace's list.
//!
//! As with instructions, the difference between two runs is the cost of the operations.

use std::collections::BTreeMap;
use std::io;

use crate::child::Counted;
use crate::operation::Operation;
use crate::work;

/// The number of rounds in the shorter run. Each round makes the same calls, so a few
/// suffice.
const ROUNDS: u64 = 100;

/// How often a call is made per echo.
pub(crate) type Calls = BTreeMap<String, f64>;

/// Counts the system calls of the server per echo.
pub(crate) fn per_echo() -> io::Result<Calls> {
    let echoes = ROUNDS * work::CONNECTIONS;
    let mut longer = echo(2 * echoes)?;
    let shorter = echo(echoes)?;
    for (name, count) in shorter {
        *longer.entry(name).or_default() -= count;
    }
    longer.retain(|_, count| *count != 0.0);
    for count in longer.values_mut() {
        *count /= echoes as f64;
    }
    Ok(longer)
}

/// Counts the system calls of a pool's master per job, if each job is awaited before the
/// next.
pub(crate) fn per_job() -> io::Result<f64> {
    let jobs = |times| calls_of_master(&["run", Operation::PoolJob.name()], times);
    let calls = (jobs(2 * JOBS)? - jobs(JOBS)?) / JOBS as f64;
    // Two starts of a pool differ by a few calls, because a worker may be ready sooner or later.
    Ok((calls * 100.0).round() / 100.0)
}

/// Counts the system calls of a pool's master per job, if all are queued at once.
pub(crate) fn per_queued_job() -> io::Result<f64> {
    let jobs = |times| calls_of_master(&["run-queued"], times);
    Ok((jobs(2 * QUEUED_JOBS)? - jobs(QUEUED_JOBS)?) / QUEUED_JOBS as f64)
}

/// The number of jobs in the shorter run.
const JOBS: u64 = 2_000;
const QUEUED_JOBS: u64 = 5_000;

/// Counts the system calls of the pool's own process. The calls of its worker do not count.
fn calls_of_master(work: &[&str], times: u64) -> io::Result<f64> {
    let times = times.to_string();
    let work = [work, &[times.as_str()]].concat();
    Ok(strace(&[], &work)?.values().sum())
}

fn echo(echoes: u64) -> io::Result<Calls> {
    let work = ["run", Operation::Echo.name(), &echoes.to_string()];
    strace(&["-f"], &work)
}

fn strace(more: &[&str], work: &[&str]) -> io::Result<Calls> {
    // Strings are not needed.
    let words = ["-qq", "-e", "signal=none", "-s", "0"];
    let words = [more, &words].concat();
    let counted = Counted::start("strace", &words, ("--output=", ""), work)?;
    let lists = counted.outputs()?;
    let list = lists.first().ok_or(io::ErrorKind::NotFound)?;
    Ok(count(list))
}

/// Counts each call in the list, without the calls of the client.
fn count(list: &str) -> Calls {
    let mut calls = Calls::new();
    let mut in_client = false;
    for name in list.lines().filter_map(name) {
        if name == work::MARK {
            in_client = !in_client;
        } else if !in_client {
            *calls.entry(name.to_owned()).or_default() += 1.0;
        }
    }
    calls
}

/// Returns the name of the call that a line begins with, after the number of the thread, or
/// `None` for a line that only ends a call.
fn name(line: &str) -> Option<&str> {
    let line = line.trim_start_matches(|character: char| character.is_ascii_digit());
    let (name, _) = line.trim_start().split_once('(')?;
    let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    name.chars().all(is_name).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_between_the_marks_are_the_clients() {
        let list = "\
            71 epoll_wait(3, [{events=EPOLLIN, data=0x1}], 1024, -1) = 1\n\
            71 recvfrom(7, \"\"..., 1024, 0, NULL, NULL) = 64\n\
            71 getppid() = 70\n\
            71 poll([{fd=8, events=POLLIN}], 1, -1) = 1\n\
            71 getppid() = 70\n\
            71 sendto(7, \"\"..., 64, MSG_NOSIGNAL, NULL, 0) = 64\n\
            71 futex(0x1, FUTEX_WAIT, 1, NULL <unfinished ...>\n\
            72 recvfrom(7, 0x7f, 1024, 0, NULL, NULL) = -1 EAGAIN (not ready)\n\
            71 <... futex resumed>) = 0\n\
            71 +++ exited with 0 +++\n";
        let calls = [
            ("epoll_wait", 1.0),
            ("futex", 1.0),
            ("recvfrom", 2.0),
            ("sendto", 1.0),
        ];
        let expected = calls.map(|(name, count)| (name.to_owned(), count));
        assert_eq!(count(list), Calls::from(expected));
    }

    #[test]
    fn a_thread_without_a_number_is_understood() {
        assert_eq!(name("accept4(3, NULL) = 4"), Some("accept4"));
        assert_eq!(name("+++ exited with 0 +++"), None);
    }
}
