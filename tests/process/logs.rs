//! Where the lines of workers and masters go, and what becomes of lines that cannot be written.
#![cfg(all(target_os = "linux", not(miri)))]

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write, pipe};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;

use coreloop_test_support::deadline::{wait_for, wait_until};
use coreloop_test_support::folder::Folder;
use coreloop_test_support::process::master::await_end;
use coreloop_test_support::process::proc::{children, descriptor_count, is_idle};
use coreloop_test_support::program::{PATIENCE, program};
use rustix::io::ioctl_fionbio;
use rustix::process::{Pid, Signal, kill_process};

/// A supervised program, in a folder with its sockets and its outputs.
struct App {
    folder: Folder,
    process: Option<Child>,
}

impl App {
    fn new() -> Self {
        Self {
            folder: Folder::new(),
            process: None,
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("process_logs"));
        self.add_arguments(&mut command, arguments);
        command
    }

    /// Returns a command that sets a limit of the shell before it starts the program.
    fn limited(&self, limit: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("ulimit {limit} && exec \"$@\""), "sh"])
            .arg(program("process_logs"));
        self.add_arguments(&mut command, arguments);
        command
    }

    fn add_arguments(&self, command: &mut Command, arguments: &[&str]) {
        command
            .arg("--socket")
            .arg(self.folder.path("socket"))
            .arg("--control")
            .arg(self.folder.path("control"))
            .args(arguments)
            .stdin(Stdio::null());
    }

    /// Starts the command with its standard output and error in files of the folder.
    fn start(&mut self, mut command: Command) {
        command
            .stdout(File::create(self.path("stdout")).unwrap())
            .stderr(File::create(self.path("stderr")).unwrap());
        self.start_as_it_is(command);
    }

    fn start_as_it_is(&mut self, mut command: Command) {
        self.process = Some(command.spawn().unwrap());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }

    fn pid(&self) -> Pid {
        Pid::from_child(self.process.as_ref().unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Has a worker carry out a request, and returns its process id.
    fn ask(&self, request: &str) -> Pid {
        let socket = self.path("socket");
        let mut stream = wait_for(|| UnixStream::connect(&socket).ok());
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        writeln!(stream, "{request}").unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        Pid::from_raw(answer.trim().parse().unwrap()).unwrap()
    }

    /// Sends a request to the master, and returns the last line of the answer.
    fn control(&self, request: &str) -> String {
        let socket = self.path("control");
        let mut stream = wait_for(|| UnixStream::connect(&socket).ok());
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        writeln!(stream, "{request}").unwrap();
        let mut lines = BufReader::new(stream).lines();
        let last = lines.find(|line| {
            let line = line.as_ref().unwrap();
            line == "ok" || line.starts_with("error: ")
        });
        last.unwrap().unwrap()
    }

    fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.path(name)).unwrap_or_default()).into_owned()
    }

    /// Waits until a file of the folder has these words.
    #[track_caller]
    fn await_words(&self, name: &str, words: &str) {
        wait_until(|| self.text(name).contains(words));
    }

    fn stop(mut self) -> Folder {
        self.signal(Signal::TERM);
        await_end(self.pid());
        let status = self.process.take().unwrap().wait().unwrap();
        assert!(status.success(), "{status}: {}", self.text("stderr"));
        std::mem::replace(&mut self.folder, Folder::new())
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
        if thread::panicking() {
            eprintln!("stderr: {}", self.text("stderr"));
        }
    }
}

/// Lines to a pipe that does not block, as node and some shells leave it, were lost without a
/// word when the pipe was full.
#[test]
fn a_pipe_that_does_not_block_loses_no_line() {
    const LINES: usize = 5_000;
    let mut app = App::new();
    let (mut reader, writer) = pipe().unwrap();
    ioctl_fionbio(&writer, true).unwrap();
    let mut command = app.command(&[]);
    command
        .stdout(writer)
        .stderr(File::create(app.path("stderr")).unwrap());
    app.start_as_it_is(command);
    // The pipe has room for 64 KiB, and is read only now.
    let worker = app.ask(&format!("lines {LINES}"));
    app.signal(Signal::TERM);
    let mut written = String::new();
    reader.read_to_string(&mut written).unwrap();
    let expected: String = (0..LINES)
        .map(|number| format!("[app 0] line {number} of 0 by {worker}\n"))
        .collect();
    assert!(written == expected, "{} bytes", written.len());
    let _ = app.stop();
}

/// `SIGXFSZ` once killed the master, and so its workers. Lines beyond the limit of the file are
/// counted, and the number is told when the file has room again. No line is torn.
#[test]
fn lines_beyond_the_limit_of_a_file_are_counted_and_kill_no_process() {
    const LINES: usize = 2_000;
    let mut app = App::new();
    // Blocks of 512 bytes, in `dash`; bash counts in KiB.
    let mut command = app.limited("-f 16", &[]);
    let log = File::options()
        .append(true)
        .create(true)
        .open(app.path("stdout"))
        .unwrap();
    command
        .stdout(log)
        .stderr(File::create(app.path("stderr")).unwrap());
    app.start_as_it_is(command);
    let worker = app.ask(&format!("lines {LINES}"));
    // Otherwise the lines that are left would fill the file again.
    wait_until(|| app.text("stdout").len() >= 16 * 512 && is_idle(app.pid()));
    let first = app.text("stdout");
    File::options()
        .write(true)
        .open(app.path("stdout"))
        .unwrap()
        .set_len(0)
        .unwrap();
    wait_until(|| {
        assert_eq!(app.ask("say more"), worker);
        app.text("stdout").contains("[app 0] more\n")
    });
    let rest = app.text("stdout");
    let all = format!("{first}{rest}");
    let whole = (0..LINES)
        .take_while(|number| all.contains(&format!("[app 0] line {number} of 0 by {worker}\n")))
        .count();
    let told: usize = all
        .lines()
        .filter_map(|line| {
            line.strip_prefix('[')?
                .split_once(" lines were lost here: ")
        })
        .map(|(count, why)| {
            assert!(why.contains("File too large"), "{why}");
            count.parse::<usize>().unwrap()
        })
        .sum();
    let more = all.matches("[app 0] more\n").count();
    let lines = all.lines().count();
    assert!(
        whole > 0 && told >= LINES - whole,
        "{whole}, {told}: {rest}"
    );
    // All lines that are there are whole.
    assert_eq!(lines, whole + more + 1, "{rest}");
    let _ = app.stop();
}

/// The master kept two descriptors and two tasks for each worker that had left a child behind.
#[test]
fn children_that_outlive_their_workers_keep_nothing_of_the_master() {
    let mut app = App::new();
    app.start(app.command(&[]));
    app.ask("say ready");
    app.control("status");
    let before = descriptor_count(app.pid());
    for reload in 0..20 {
        let worker = app.ask(if reload % 2 == 0 { "orphan" } else { "chatter" });
        assert_eq!(app.control("reload"), "ok");
        await_end(worker);
    }
    wait_until(|| descriptor_count(app.pid()) <= before);
    let _ = app.stop();
}

/// `USR1` once killed the master and its workers.
#[test]
fn usr1_ends_neither_the_master_nor_its_workers() {
    let mut app = App::new();
    app.start(app.command(&["--workers", "2"]));
    app.ask("say ready");
    wait_until(|| app.text("stderr").matches(" is ready after ").count() == 2);
    let workers = children(app.pid());
    assert_eq!(workers.len(), 2);
    app.signal(Signal::USR1);
    app.await_words("stderr", "the log files were reopened");
    for &worker in &workers {
        kill_process(worker, Signal::USR1).unwrap();
    }
    assert_eq!(app.control("reopen"), "ok");
    assert_eq!(children(app.pid()), workers);
    let _ = app.stop();
}

/// A worker whose `main` has not come to `run` yet would be killed by `USR1`. It gets the signal
/// when it can: its files may be open already.
#[test]
fn a_worker_that_starts_gets_usr1_when_it_can_take_it() {
    let mut app = App::new();
    let late = app.path("late");
    app.start(app.command(&["--late", late.to_str().unwrap()]));
    app.await_words("stdout", "a worker waits");
    assert_eq!(app.control("reopen"), "ok");
    File::create(&late).unwrap();
    app.ask("say ready");
    app.await_words("stderr", " is ready after ");
    assert!(!app.text("stderr").contains("killed"));
    let _ = app.stop();
}

/// Workers that have log files of their own open them again at the signal that the master
/// passes on.
#[test]
fn workers_get_usr1_and_open_their_own_files_again() {
    let mut app = App::new();
    app.start(app.command(&[]));
    let (own, old) = (app.path("own"), app.path("own.1"));
    let worker = app.ask(&format!("own {}", own.display()));
    std::fs::rename(&own, old).unwrap();
    app.signal(Signal::USR1);
    app.await_words("own", &format!("reopened by {worker}\n"));
    assert_eq!(app.text("own.1"), "");
    assert_eq!(app.ask("say there"), worker);
    let _ = app.stop();
}

/// What `logrotate` does: the file is renamed while lines are written, and then `USR1` is sent.
/// Each line is in one of the files.
#[test]
fn rotated_files_have_each_line_once() {
    const ROTATIONS: usize = 5;
    const LINES: usize = 3_000;
    let mut app = App::new();
    let log = app.path("log");
    let queue = (16 << 20).to_string();
    let file = log.to_str().unwrap().to_owned();
    app.start(app.command(&["--file", &file, "--queue", &queue]));
    let worker = app.ask("say ready");
    for rotation in 0..ROTATIONS {
        thread::scope(|scope| {
            let app = &app;
            let asking = scope.spawn(move || app.ask(&format!("lines {LINES}")));
            std::fs::rename(&log, app.path(&format!("log.{rotation}"))).unwrap();
            if rotation % 2 == 0 {
                app.signal(Signal::USR1);
                wait_until(|| log.exists());
            } else {
                assert_eq!(app.control("reopen"), "ok");
                assert!(log.exists());
            }
            asking.join().unwrap();
        });
    }
    app.ask("say finished");
    app.await_words("log", "[app 0] finished\n");
    let names = (0..ROTATIONS).map(|rotation| format!("log.{rotation}"));
    let files: Vec<_> = names
        .chain(["log".to_owned()])
        .map(|name| app.text(&name))
        .collect();
    assert!(
        files
            .iter()
            .all(|text| text.is_empty() || text.ends_with('\n'))
    );
    let all = files.concat();
    assert_eq!(
        all.matches(" the log files were reopened\n").count(),
        ROTATIONS
    );
    let mut numbers = all
        .lines()
        .filter_map(|line| line.strip_prefix("[app 0] line "));
    for _ in 0..ROTATIONS {
        for number in 0..LINES {
            assert_eq!(numbers.next(), Some(&*format!("{number} of 0 by {worker}")));
        }
    }
    assert_eq!(numbers.next(), None);
    let mode = std::fs::metadata(app.path("log")).unwrap().permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o133, 0);
    let _ = app.stop();
}

/// A file that cannot be opened at the start is an error of `run`.
#[test]
fn a_log_file_that_cannot_be_opened_is_an_error_at_the_start() {
    let mut app = App::new();
    let file = app.path("missing/log");
    app.start(app.command(&["--file", file.to_str().unwrap()]));
    let status = app.process.take().unwrap().wait().unwrap();
    assert_eq!(status.code(), Some(1));
    let error = format!("cannot open the log file {}: No such file", file.display());
    assert!(
        app.text("stderr").contains(&error),
        "{}",
        app.text("stderr")
    );
}

/// A file that cannot be opened again is reported in the old one, which stays in use.
#[test]
fn a_log_file_that_cannot_be_reopened_is_reported_and_the_old_one_is_used() {
    let mut app = App::new();
    let folder = app.path("logs");
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("log");
    app.start(app.command(&["--file", file.to_str().unwrap()]));
    app.ask("say one");
    std::fs::rename(&folder, app.path("moved")).unwrap();
    let answer = app.control("reopen");
    assert!(
        answer.starts_with("error: cannot open the log file "),
        "{answer}"
    );
    app.ask("say two");
    app.await_words("moved/log", "[app 0] two\n");
    let text = app.text("moved/log");
    assert!(
        text.contains("[app master] the log files were not reopened: cannot open"),
        "{text}"
    );
    let _ = app.stop();
}

#[test]
fn json_lines_hold_what_workers_and_the_master_write() {
    let mut app = App::new();
    let (out, err) = (app.path("out"), app.path("err"));
    let files = [out.to_str().unwrap(), err.to_str().unwrap()].map(str::to_owned);
    app.start(app.command(&["--json", "--name", "a b", "--file", &files[0], &files[1]]));
    let worker = app.ask("say plain \"text\"");
    app.ask("say {\"level\":\"warn\"}");
    app.ask("errors 1");
    app.await_words("out", "\"data\":{\"level\":\"warn\"}}\n");
    app.await_words("err", "\"stream\":\"stderr\"");
    let (out, err) = (app.text("out"), app.text("err"));
    let origin =
        format!("Z\",\"program\":\"a b\",\"slot\":0,\"pid\":{worker},\"stream\":\"stdout\"");
    assert!(
        out.lines()
            .all(|line| line.starts_with("{\"time\":\"2") && line.contains(&origin))
    );
    assert!(
        out.contains(",\"message\":\"plain \\\"text\\\"\"}\n"),
        "{out}"
    );
    let ready = format!(
        "\"stream\":\"master\",\"level\":\"info\",\"event\":\"ready\",\"worker\":{worker},"
    );
    assert!(err.contains(&ready), "{err}");
    let said = format!("\"stream\":\"stderr\",\"message\":\"line 0 of 0 by {worker}\"}}\n");
    assert!(err.contains(&said), "{err}");
    assert_eq!(
        (app.text("stdout"), app.text("stderr")),
        (String::new(), String::new())
    );
    let _ = app.stop();
}

#[test]
fn timestamps_come_first_and_all_lines_can_go_to_the_standard_error() {
    let mut app = App::new();
    app.start(app.command(&["--timestamps", "--stderr", "--name", "a\nb"]));
    app.ask("say \\e[31mred");
    app.await_words("stderr", "Z [a\\nb 0] \x1b[31mred\n");
    app.await_words("stderr", "Z [a\\nb master] worker 0 (pid ");
    assert!(
        app.text("stderr")
            .lines()
            .all(|line| line.starts_with("20"))
    );
    assert_eq!(app.text("stdout"), "");
    let _ = app.stop();
}

#[test]
fn a_hook_gets_the_lines_and_may_panic() {
    let mut app = App::new();
    app.start(app.command(&["--hook"]));
    app.ask("say one");
    app.ask("say panic");
    app.ask("say two");
    app.await_words("stderr", "hook: Stdout Some(0) two\n");
    let seen = app.text("stderr");
    assert!(seen.contains("hook: Stdout Some(0) one\n"), "{seen}");
    assert!(
        seen.contains("hook: Master None 1 line was lost here: the hook panicked\n"),
        "{seen}"
    );
    assert!(
        seen.contains("hook: Master Some(0) worker 0 (pid "),
        "{seen}"
    );
    let _ = app.stop();
}

/// A quiet master writes of failures only.
#[test]
fn a_quiet_master_reports_failures_only() {
    let mut app = App::new();
    app.start(app.command(&["--quiet"]));
    let worker = app.ask("say one");
    kill_process(worker, Signal::KILL).unwrap();
    await_end(worker);
    app.ask("say two");
    assert_eq!(app.control("reload"), "ok");
    assert_eq!(app.control("reopen"), "ok");
    app.await_words("stdout", "[app 0] two\n");
    let folder = app.stop();
    let reported = std::fs::read_to_string(folder.path("stderr")).unwrap();
    assert_eq!(
        reported,
        format!("[app master] worker 0 (pid {worker}) was killed by signal 9\n")
    );
}

#[cfg(feature = "tracing")]
mod by_tracing {
    use std::io;

    use coreloop::process::{Log, Supervisor, Workers};
    use coreloop_test_support::rerun::{is_rerun, rerun};
    use rustix::process::{Signal, getpid, kill_process};

    /// Runs a master in a process of its own, and returns what it writes to the standard output,
    /// as the subscriber does, and to the standard error.
    fn outputs_of(test: &str) -> (String, String) {
        let output = rerun(module_path!(), test);
        assert!(output.status.success());
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr))
    }

    fn run_master(supervisor: Supervisor) {
        let subscriber = tracing_subscriber::fmt().with_ansi(false).finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
        let function = async |worker: coreloop::process::Worker| {
            worker.ready();
            kill_process(getpid(), Signal::TERM)?;
            worker.draining().await;
            io::Result::Ok(())
        };
        supervisor
            .workers(Workers::threads(1))
            .run(function)
            .unwrap();
    }

    #[test]
    fn events_of_the_master_are_events_of_tracing() {
        let test = "events_of_the_master_are_events_of_tracing";
        if is_rerun(test) {
            return run_master(Supervisor::new());
        }
        let (traced, written) = outputs_of(test);
        let has = |words: &str| assert!(traced.contains(words), "{traced}");
        has(" INFO coreloop: worker 0 is ready after ");
        has(" event=\"ready\" slot=0\n");
        has(" INFO coreloop: stopping: the workers drain event=\"stopping\"\n");
        assert!(!written.contains(" is ready after "), "{written}");
    }

    #[test]
    fn events_are_written_too_if_a_log_was_set() {
        let test = "events_are_written_too_if_a_log_was_set";
        if is_rerun(test) {
            return run_master(Supervisor::new().name("app").log(Log::text()));
        }
        let (traced, written) = outputs_of(test);
        assert!(traced.contains(" INFO coreloop: worker 0 is ready after "));
        assert!(written.contains("[app master] worker 0 is ready after "));
    }
}
