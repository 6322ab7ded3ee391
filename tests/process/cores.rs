//! How many workers there are, and on which cores, where the processor time is limited.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use coreloop_test_support::deadline::wait_until;
use coreloop_test_support::process::master::{App, Master, ask_worker};
use coreloop_test_support::skip::skipped;

/// A group of processes that have the time of one core, which may be of any cores.
struct Group(PathBuf);

impl Group {
    fn new(name: &str) -> io::Result<Self> {
        let name = format!("coreloop-test-{}-{name}", process::id());
        let root = Path::new("/sys/fs/cgroup");
        let controllers = fs::read_to_string(root.join("cgroup.controllers"));
        let group = if controllers.is_ok_and(|list| list.split_whitespace().any(|is| is == "cpu")) {
            // The controller may not be enabled for groups below the root.
            let group = Self::create(root.join(name))?;
            fs::write(group.0.join("cpu.max"), "100000 100000")?;
            group
        } else {
            let group = Self::create(root.join("cpu").join(name))?;
            fs::write(group.0.join("cpu.cfs_period_us"), "100000")?;
            fs::write(group.0.join("cpu.cfs_quota_us"), "100000")?;
            group
        };
        Ok(group)
    }

    fn create(path: PathBuf) -> io::Result<Self> {
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    /// Returns a command that runs another one in the group.
    fn command(&self, inside: &Command) -> Command {
        let mut shell = Command::new("sh");
        let script = "echo $$ > \"$0\" && exec \"$@\"";
        shell.arg("-c").arg(script).arg(self.0.join("cgroup.procs"));
        shell.arg(inside.get_program()).args(inside.get_args());
        shell
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The kernel may count a process that has ended for a moment.
        wait_until(|| fs::remove_dir(&self.0).is_ok());
    }
}

fn all_cores() -> String {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let mut lines = status.lines();
    let cores = lines.find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    cores.unwrap().trim().to_owned()
}

/// Otherwise all services of a machine, each with a quota of its own, would run on the first
/// cores, and the other cores would have nothing to do.
#[test]
fn workers_with_a_quota_of_time_may_run_on_any_core() {
    let group = match Group::new("quota") {
        Ok(group) => group,
        Err(error) => {
            skipped(format_args!("there can be no group with a quota: {error}"));
            return;
        }
    };
    let app = App::of("process_confined");
    let mut master = Master::start(group.command(&app.command(&["--per-core"])));
    let address = master.address();
    master.ready(1);
    assert_eq!(app.workers().len(), 1);
    assert_eq!(ask_worker(address, b'a'), all_cores());
    app.ask("stop").unwrap();
    assert!(master.end().success());
}

#[test]
fn workers_without_a_quota_have_a_core_each() {
    let app = App::of("process_confined");
    let mut master = Master::start(app.command(&["--per-core"]));
    let address = master.address();
    let cores = std::thread::available_parallelism().unwrap().get();
    master.ready(cores);
    let found: BTreeSet<_> = (0..50 * cores).map(|_| ask_worker(address, b'a')).collect();
    // A quota of the machine that runs the test.
    if found.contains(&all_cores()) {
        assert_eq!(found.len(), 1);
    } else {
        assert_eq!(found.len(), cores);
    }
    app.ask("stop").unwrap();
    assert!(master.end().success());
}
