//! What the kernel shows of a process in `/proc`.

use std::fs;

use rustix::process::Pid;

/// The processes that it has started and not reaped yet, so also dead ones.
pub fn children(process: Pid) -> Vec<Pid> {
    let list = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap();
    let numbers = list.split_ascii_whitespace();
    let pids = numbers.map(|number| Pid::from_raw(number.parse().unwrap()).unwrap());
    pids.collect()
}

/// What its descriptors are of.
pub fn descriptors(process: Pid) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    // One that is closed meanwhile is none.
    let targets = entries.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    targets
        .map(|target| target.to_str().unwrap().to_owned())
        .collect()
}

/// How often it has gone to sleep, and so how often something woke it.
pub fn wake_ups(process: Pid) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let mut lines = status.lines();
    let count = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    count.unwrap().trim().parse().unwrap()
}

/// Whether it runs: a process that is dead and not reaped yet does not.
pub fn is_running(process: Pid) -> bool {
    !matches!(state(process), None | Some('Z' | 'X'))
}

/// Whether it waits in a system call.
pub fn is_asleep(process: Pid) -> bool {
    state(process) == Some('S')
}

/// The hundredths of a second that it has computed.
pub fn computed(process: Pid) -> u64 {
    // User time; the state is the first field.
    let stat = stat(process).expect("a process");
    stat.split(' ').nth(11).unwrap().parse().unwrap()
}

fn state(process: Pid) -> Option<char> {
    stat(process)?.chars().next()
}

/// The fields of its status after its name, which may have spaces.
fn stat(process: Pid) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    Some(fields.to_owned())
}
