//! Functions that read the state of a process from `/proc`.

use std::fs;

use rustix::process::Pid;

/// Returns the children of a process, including zombies.
pub fn children(process: Pid) -> Vec<Pid> {
    let list = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap();
    let numbers = list.split_ascii_whitespace();
    let pids = numbers.map(|number| Pid::from_raw(number.parse().unwrap()).unwrap());
    pids.collect()
}

/// Returns what each descriptor of a process refers to.
pub fn descriptors(process: Pid) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    // A descriptor that is closed meanwhile is skipped.
    let targets = entries.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    targets
        .map(|target| target.to_str().unwrap().to_owned())
        .collect()
}

/// Returns the number of descriptors of a process, without the timer of its loop, which the loop
/// creates when it first waits for a deadline.
pub fn descriptor_count(process: Pid) -> usize {
    let descriptors = descriptors(process).into_iter();
    descriptors
        .filter(|target| target != "anon_inode:[timerfd]")
        .count()
}

/// Returns how many bytes of memory a process has.
pub fn resident(process: Pid) -> u64 {
    status(process, "VmRSS") * 1024
}

/// Returns how often a process has gone to sleep, and so how often it was woken.
pub fn wake_ups(process: Pid) -> u64 {
    status(process, "voluntary_ctxt_switches")
}

/// Returns a number of `proc_pid_status(5)`, which is in kilobytes if the number has a unit.
fn status(process: Pid, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let mut fields = status.lines().filter_map(|line| line.split_once(':'));
    let (_, number) = fields.find(|(field, _)| *field == name).unwrap();
    number.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Returns the processes with this text in their arguments, or in the title that they have
/// instead. None where there is no `/proc`.
pub fn naming(text: &str) -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(move |entry| {
        let entry = entry.ok()?;
        let arguments = fs::read(entry.path().join("cmdline")).ok()?;
        let names_it = String::from_utf8_lossy(&arguments).contains(text);
        let pid = entry.file_name().to_str()?.parse().ok()?;
        Pid::from_raw(pid).filter(|_| names_it)
    })
}

/// Returns whether a process runs. A zombie does not.
pub fn is_running(process: Pid) -> bool {
    !matches!(state(process), None | Some('Z' | 'X'))
}

/// Returns whether a process waits in a system call.
pub fn is_asleep(process: Pid) -> bool {
    state(process) == Some('S')
}

/// Returns whether each thread of a process waits in a system call. Then the process has handled
/// everything that had come: what comes to a descriptor makes the thread that waits for it run.
pub fn is_idle(process: Pid) -> bool {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    threads.flatten().all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat"));
        stat.is_ok_and(|stat| fields(&stat).is_some_and(|fields| fields.starts_with('S')))
    })
}

/// Returns the processor time of a process, in hundredths of a second.
pub fn computed(process: Pid) -> u64 {
    // The user time. The state is the first field.
    let stat = stat(process).expect("a process");
    stat.split(' ').nth(11).unwrap().parse().unwrap()
}

fn state(process: Pid) -> Option<char> {
    stat(process)?.chars().next()
}

/// Returns the fields of a process's status after its name.
fn stat(process: Pid) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    fields(&stat).map(str::to_owned)
}

/// Returns the fields after the name, which may have spaces.
fn fields(stat: &str) -> Option<&str> {
    stat.rsplit_once(") ").map(|(_, fields)| fields)
}
