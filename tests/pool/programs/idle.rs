//! An idle pool, which wakes no process.

use std::fs;
use std::thread;
use std::time::Duration;

use coreloop_test_support::deadline::Deadline;
use coreloop_test_support::size;
use rustix::process::Pid;

use super::App;

/// An idle pool does nothing: none of its processes is woken.
#[test]
fn an_idle_pool_sleeps() {
    let mut app = App::start(&["--workers=3"]);
    app.ask("ready 3", "ready");
    app.ask("many 100", "ok");
    let mut all = app.workers();
    all.push(app.master.pid());
    let count = || -> u64 { all.iter().map(|&process| switches(process)).sum() };
    let quiet = |time| {
        let before = count();
        thread::sleep(time);
        count() == before
    };
    // What the jobs have left is done at some time.
    let deadline = Deadline::new();
    while !quiet(Duration::from_secs(1)) {
        deadline.check();
    }
    if size::pick(false, true) {
        assert!(quiet(Duration::from_secs(10)));
    }
    app.end();
}

/// Returns how often the threads of a process have gone to sleep.
fn switches(process: Pid) -> u64 {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let count = |status: String| -> u64 {
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.unwrap().trim().parse().unwrap()
    };
    threads
        .map(|thread| count(fs::read_to_string(thread.unwrap().path().join("status")).unwrap()))
        .sum()
}
