//! Whole programs with a pool: what is left of them when they are killed, what their workers
//! inherit, and what they do when they are out of descriptors, interrupted or replaced.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{PipeWriter, Write, pipe};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use coreloop_test_support::deadline::{Deadline, wait_until};
use coreloop_test_support::folder::Folder;
use coreloop_test_support::meeting::Meeting;
use coreloop_test_support::process::master::{Master, await_end, copy};
use coreloop_test_support::process::proc::{children, descriptors};
use coreloop_test_support::program::program;
use coreloop_test_support::size;
use rustix::process::{Pid, Signal, getpid, kill_process};

/// A program of `programs/pool_app.rs`, and its standard input.
struct App {
    master: Master,
    input: PipeWriter,
}

impl App {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(program("pool_app"));
        command.args(arguments);
        Self::start_command(command)
    }

    fn start_command(command: Command) -> Self {
        let (reader, input) = pipe().unwrap();
        let master = Master::start_with(command, Stdio::from(reader));
        Self { master, input }
    }

    /// Starts a program that can open this many descriptors.
    fn with_descriptors(limit: u32, arguments: &[&str]) -> Self {
        let mut command = Command::new("sh");
        command
            .args(["-c", "ulimit -n $0 && exec \"$@\""])
            .arg(limit.to_string())
            .arg(program("pool_app"))
            .args(arguments);
        Self::start_command(command)
    }

    /// Sends a request, and returns the rest of the line that begins with this word.
    fn ask(&mut self, request: &str, word: &str) -> String {
        writeln!(self.input, "{request}").unwrap();
        self.word(word)
    }

    fn word(&mut self, word: &str) -> String {
        let line = self.master.line(word);
        line.strip_prefix(word)
            .unwrap_or_else(|| panic!("{line}"))
            .trim()
            .to_owned()
    }

    fn workers(&mut self) -> Vec<Pid> {
        pids(&self.ask("workers", "workers"))
    }

    /// Ends the program in an orderly way, and checks that nothing is left.
    fn end(self) {
        let Self { mut master, input } = self;
        drop(input);
        let status = master.end();
        assert!(status.success(), "{status}");
    }
}

fn pids(words: &str) -> Vec<Pid> {
    let pids = words.split_whitespace();
    pids.map(|pid| Pid::from_raw(pid.parse().unwrap()).unwrap())
        .collect()
}

fn pid(word: &str) -> Pid {
    pids(word)[0]
}

/// The kernel kills the workers, although they never look at their sockets. Standard output,
/// which all of them hold, is closed then.
#[test]
fn nothing_is_left_when_the_master_is_killed() {
    let mut app = App::start(&["--workers=3", "--prefetch=1"]);
    app.ask("ready 3", "ready");
    let mut all = app.workers();
    for _ in 0..2 {
        app.ask("spin", "submitted");
        let spinning = pid(&app.word("spinning"));
        assert!(all.contains(&spinning));
    }
    all.push(app.master.pid());
    kill_process(app.master.pid(), Signal::KILL).unwrap();
    for process in all {
        await_end(process);
    }
    app.master.end();
}

/// The workers of a worker end with it.
#[test]
fn nothing_is_left_of_a_nested_pool_when_the_master_is_killed() {
    let mut app = App::start(&["--workers=1"]);
    app.ask("nest", "submitted");
    let outer = pid(&app.word("nesting"));
    let inner = pid(&app.word("spinning"));
    assert_eq!(children(outer), [inner]);
    kill_process(app.master.pid(), Signal::KILL).unwrap();
    for process in [outer, inner] {
        await_end(process);
    }
    app.master.end();
}

/// The end of a worker ends its own pool, and only that.
#[test]
fn nothing_is_left_of_a_nested_pool_when_its_worker_is_killed() {
    let mut app = App::start(&["--workers=1"]);
    app.ask("nest", "submitted");
    let outer = pid(&app.word("nesting"));
    let inner = pid(&app.word("spinning"));
    kill_process(outer, Signal::KILL).unwrap();
    await_end(inner);
    assert!(app.ask("square 3", "ok").starts_with("(9, "));
    app.end();
}

/// A program that ends in an orderly way does not wait for its workers: they are killed.
#[test]
fn a_program_that_ends_leaves_no_worker() {
    let mut app = App::start(&["--workers=2"]);
    app.ask("ready 2", "ready");
    let workers = app.workers();
    app.ask("spin", "submitted");
    app.word("spinning");
    app.end();
    for worker in workers {
        await_end(worker);
    }
}

/// A worker is started from the file that the program runs, even if that file has another name
/// by now, or none.
#[test]
fn workers_are_replaced_although_the_program_was_replaced_or_deleted() {
    let folder = Folder::new();
    let path = folder.path("app");
    copy(&program("pool_app"), &path);
    let mut command = Command::new(&path);
    command.arg("--workers=1");
    let mut app = App::start_command(command);
    let square = |app: &mut App| assert!(app.ask("square 3", "ok").starts_with("(9, "));
    square(&mut app);
    // Replaced by a program that would never be ready.
    fs::copy("/bin/true", folder.path("new")).unwrap();
    fs::rename(folder.path("new"), &path).unwrap();
    for _ in 0..3 {
        assert!(app.ask("exit 3", "broken").contains("exit status: 3"));
        square(&mut app);
    }
    fs::remove_file(&path).unwrap();
    for _ in 0..3 {
        assert!(app.ask("exit 3", "broken").contains("exit status: 3"));
        square(&mut app);
    }
    app.end();
}

/// The standard library says so on standard error, and aborts.
#[test]
fn a_stack_overflow_is_a_broken_worker() {
    let mut app = App::start(&["--workers=1"]);
    for _ in 0..2 {
        let text = app.ask("overflow", "broken");
        assert!(text.contains("signal: 6"), "{text}");
        app.master.line("has overflowed its stack");
        assert!(app.ask("square 4", "ok").starts_with("(16, "));
    }
    let text = app.ask("crash", "broken");
    assert!(text.contains("signal: 6"), "{text}");
    app.end();
}

/// A worker has its standard streams, the socket to the master, and nothing else. The page is
/// mapped, and its descriptor closed.
#[test]
fn a_worker_has_no_descriptors_but_its_own_and_a_clean_environment() {
    let inherited = numbered_descriptors(getpid());
    let mut command = Command::new(program("pool_app"));
    command.args(["--workers=3"]);
    for variable in ["LISTEN_FDS", "LISTEN_PID", "NOTIFY_SOCKET", "CORELOOP_SLOT"] {
        command.env(variable, "1");
    }
    command.env("LIKE_ANY_OTHER", "kept");
    let mut app = App::start_command(command);
    app.ask("hold", "held");
    app.ask("free 1000000", "freed");
    app.ask("ready 3", "ready");
    // The last one was started when the sockets of the others existed.
    for _ in 0..3 {
        app.ask("exit 3", "broken");
    }
    app.ask("ready 3", "ready");
    for worker in app.workers() {
        let mut own = numbered_descriptors(worker);
        // What this process has inherited itself, it leaves to the program, and this to its
        // workers.
        own.retain(|entry| entry.0 <= 2 || !inherited.contains(entry));
        let kinds: Vec<_> = own.iter().map(|(_, target)| kind(target)).collect();
        assert_eq!(kinds, ["/dev/null", "pipe", "pipe", "socket"], "{own:?}");
        let environment = fs::read(format!("/proc/{worker}/environ")).unwrap();
        let environment = String::from_utf8_lossy(&environment);
        let variables: BTreeSet<_> = environment
            .split('\0')
            .filter_map(|entry| Some(entry.split_once('=')?.0))
            .collect();
        assert!(variables.contains("LIKE_ANY_OTHER") && variables.contains("PATH"));
        let special: Vec<_> = variables
            .iter()
            .filter(|name| {
                name.starts_with("CORELOOP_")
                    || name.starts_with("LISTEN_")
                    || **name == "NOTIFY_SOCKET"
            })
            .collect();
        assert_eq!(special, [&"CORELOOP_POOL_WORKER"]);
    }
    app.end();
}

/// Returns the descriptors of a process, each its number and what it refers to.
fn numbered_descriptors(process: Pid) -> BTreeSet<(u32, String)> {
    let entries = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let entry = |path: PathBuf| {
        let number = path.file_name()?.to_str()?.parse().ok()?;
        // One that is closed meanwhile is skipped.
        let target = fs::read_link(path).ok()?;
        Some((number, target.to_str()?.to_owned()))
    };
    entries
        .filter_map(|found| entry(found.unwrap().path()))
        .collect()
}

fn kind(target: &str) -> &str {
    target.split_once(':').map_or(target, |(kind, _)| kind)
}

#[test]
fn a_worker_costs_the_master_three_descriptors_and_a_queued_job_none() {
    let count = |workers: u32| {
        let mut app = App::start(&[&format!("--workers={workers}")]);
        app.ask(&format!("ready {workers}"), "ready");
        app.ask("many 100", "ok");
        let idle = descriptors(app.master.pid()).len();
        for _ in 0..workers {
            app.ask("spin", "submitted");
        }
        for _ in 0..workers {
            app.word("spinning");
        }
        app.ask("queue 1000", "queued");
        assert_eq!(descriptors(app.master.pid()).len(), idle);
        app.end();
        idle
    };
    let (one, five) = (count(1), count(5));
    assert!(
        five - one <= 3 * 4,
        "{one} descriptors with one worker, {five} with five"
    );
}

/// Killing workers and running jobs leaves no descriptor and no zombie behind.
#[test]
fn the_descriptors_stay_the_same_while_workers_are_replaced() {
    let mut app = App::start(&["--workers=2"]);
    app.ask("ready 2", "ready");
    app.ask("many 10", "ok");
    let master = app.master.pid();
    let before = descriptors(master).len();
    for number in 0..size::pick(20, 300) {
        app.ask("ready 2", "ready");
        let worker = app.workers()[number % 2];
        // It may have ended since.
        let _ = kill_process(worker, Signal::KILL);
        assert_eq!(app.ask("many 20", "ok"), "20");
    }
    app.ask("ready 2", "ready");
    wait_until(|| children(master).len() == 2);
    wait_until(|| descriptors(master).len() == before);
    app.end();
}

/// Without descriptors no worker can be started. The pool tries some times, with pauses, and
/// then all jobs fail.
#[test]
fn jobs_fail_with_the_reason_when_no_worker_can_be_started() {
    let mut app = App::with_descriptors(64, &["--workers=2", "--backoff=10", "--hold"]);
    for _ in 0..2 {
        let text = app.ask("square 3", "no worker");
        assert!(text.contains("could not be started"), "{text}");
        assert!(text.contains("Too many open files"), "{text}");
    }
    app.end();
}

/// The program has room for some of its workers, and the failures come before these are ready.
#[test]
fn a_pool_runs_jobs_with_the_workers_that_there_is_room_for() {
    let mut app = App::with_descriptors(40, &["--workers=64", "--failed-starts=1"]);
    assert!(app.ask("square 3", "ok").starts_with("(9, "));
    let workers = app.workers().len();
    assert!((2..40).contains(&workers), "{workers} workers");
    app.end();
}

/// Once a worker was ready, the pool never gives up: jobs that wait fail, and later ones run
/// when there are descriptors again. Meanwhile the pauses get longer.
#[test]
fn a_pool_recovers_when_workers_can_be_started_again() {
    let mut app = App::with_descriptors(64, &["--workers=1", "--backoff=10"]);
    assert!(app.ask("square 3", "ok").starts_with("(9, "));
    app.ask("hold", "held");
    // Of the descriptors of the worker that ends here, at least one is used up.
    kill_process(app.workers()[0], Signal::KILL).unwrap();
    let mut tries = 0;
    let deadline = Deadline::new();
    loop {
        deadline.check();
        app.ask("hold", "held");
        writeln!(app.input, "square 3").unwrap();
        let line = app.master.line(" ");
        if line.starts_with("no worker") {
            assert!(line.contains("Too many open files"), "{line}");
            break;
        }
        tries += 1;
        assert!(tries < 1_000);
    }
    app.ask("free 1000", "freed");
    let deadline = Deadline::new();
    loop {
        deadline.check();
        writeln!(app.input, "square 3").unwrap();
        if app.master.line("").starts_with("ok (9, ") {
            break;
        }
    }
    app.end();
}

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

/// A terminal sends the signal to the workers too. They leave it to the master, which lets the
/// job that runs finish.
#[test]
fn ctrl_c_on_a_terminal_ends_the_program_once_and_no_job() {
    let (mut terminal, shell) = open_terminal();
    coreloop::block_on(async {
        let at = Meeting::new();
        let mut command = Command::new("setsid");
        command
            .args(["--ctty", "--wait"])
            .arg(program("pool_app"))
            .args(["--workers=2", "--meeting"])
            .arg(at.path());
        let mut app = Master::start_with(command, Stdio::from(shell));
        terminal.write_all(b"ready 2\ninterrupt\n").unwrap();
        app.line("ready");
        let arrived = at.arrival().await;
        let worker = arrived.pid;
        terminal.write_all(b"\x03").unwrap();
        app.line("interrupted");
        arrived.release().await;
        let line = app.line("stopped");
        assert_eq!(line, format!("stopped ok {worker}, 0 killed"));
        // The end of the input: Ctrl-D on an empty line.
        terminal.write_all(b"\x04").unwrap();
        let status = app.end();
        assert!(status.success(), "{status}");
        let stops = app
            .seen()
            .into_iter()
            .filter(|line| line.starts_with("stopped"));
        assert_eq!(stops.count(), 1);
        let errors = app
            .seen()
            .into_iter()
            .find(|line| line.contains("panicked"));
        assert_eq!(errors, None);
    });
}

/// Opens a terminal. Returns the side of the user and the side of the program.
fn open_terminal() -> (File, OwnedFd) {
    use rustix::fs::{Mode, OFlags, open};
    use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};

    let user = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    unlockpt(&user).unwrap();
    let name = ptsname(&user, Vec::new()).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let program = open(name.as_c_str(), flags, Mode::empty()).unwrap();
    (File::from(user), program)
}

/// Builds the program in another profile, with these options of the profile.
fn build(name: &str, options: &[&str]) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(root)
        .args(["build", "--quiet", "--release", "--example=pool_app"])
        .args(["--package=coreloop-test-support", "--target-dir"])
        .arg(&target);
    for option in options {
        command
            .arg("--config")
            .arg(format!("profile.release.{option}"));
    }
    let output = command.stdin(Stdio::null()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    target.join("release/examples/pool_app")
}

/// Runs jobs in a program that was built in another way.
fn runs_jobs(program: &Path, panic: &str) {
    let mut command = Command::new(program);
    command.arg("--workers=2");
    let mut app = App::start_command(command);
    assert_eq!(app.ask("many 100", "ok"), "100");
    let text = app.ask("panic", panic);
    assert!(text.contains("pool_app::panic_in_a_job"), "{text}");
    assert!(app.ask("exit 0", "broken").contains("exit status: 0"));
    assert!(app.ask("overflow", "broken").contains("signal: 6"));
    assert_eq!(app.ask("many 100", "ok"), "100");
    app.end();
}

/// The linker keeps the list of the jobs, and a panic that aborts is the end of a worker.
#[test]
fn optimized_programs_run_jobs() {
    // Takes minutes.
    if size::pick(true, false) {
        return;
    }
    let optimized = build("lto", &["lto=\"fat\"", "codegen-units=1"]);
    runs_jobs(&optimized, "panicked");
    let aborts = build(
        "abort",
        &["lto=\"fat\"", "codegen-units=1", "panic=\"abort\""],
    );
    runs_jobs(&aborts, "broken");
}
