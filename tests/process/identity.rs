//! What a process is: worker or master, its program, its directory, its signals, its name.
#![cfg(all(target_os = "linux", not(miri)))]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use coreloop_test_support::deadline::wait_until;
use coreloop_test_support::process::master::{App, Master, ask_worker, await_end, copy, worker_at};
use coreloop_test_support::program::{connect, exchange, program};
use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::{Pid, Signal, kill_process};

/// The child once took itself for a worker, and waited for messages from the Unix socket at its
/// standard input.
#[test]
fn a_server_that_a_worker_starts_is_a_master() {
    let app = App::new();
    let (mut master, address) = start(app.command(&["--workers=1"]));
    let line = ask_worker(address, b'm');
    assert!(line.starts_with("listening on 127.0.0.1:"), "{line:?}");
    stop(&mut master);
}

/// A parent may have blocked signals, and then the master could not be stopped. Its workers and
/// their children inherit the mask.
#[test]
fn blocked_signals_are_unblocked() {
    let app = App::new();
    let command = with_signals(&app, "--block-signal=TERM,HUP,USR2", &["--workers=1"]);
    let (mut master, address) = start(command);
    let blocked = "SigBlk: 0000000000000000";
    assert_eq!(ask_worker(address, b'k'), format!("0 {blocked}"));
    let worker = worker_at(address);
    let status = fs::read_to_string(format!("/proc/{worker}/status")).unwrap();
    assert!(status.replace('\t', " ").contains(blocked), "{status}");
    master.signal(Signal::HUP);
    master.line("all workers were replaced");
    master.signal(Signal::USR2);
    master.line("has taken over");
    assert!(master.end_of_first().success());
    kill_process(app.master(), Signal::TERM).unwrap();
    master.end();
}

/// The kernel forgets the status of a child at once if its parent ignores `CHLD`.
#[test]
fn an_ignored_signal_of_children_hides_no_end() {
    let app = App::new();
    let command = with_signals(&app, "--ignore-signal=CHLD", &["--workers=1"]);
    let (mut master, address) = start(command);
    kill_process(worker_at(address), Signal::KILL).unwrap();
    master.line("was killed by signal 9");
    master.ready(1);
    stop(&mut master);
}

/// `nohup` ignores `HUP`. For a master it is a request nevertheless.
#[test]
fn an_ignored_hangup_is_a_request_to_reload() {
    let app = App::new();
    let command = with_signals(&app, "--ignore-signal=HUP", &["--workers=1"]);
    let (mut master, _) = start(command);
    master.signal(Signal::HUP);
    master.line("all workers were replaced");
    stop(&mut master);
}

/// `QUIT` once killed the master, and so all workers.
#[test]
fn quit_drains_as_term_does() {
    let app = App::new();
    let (mut master, address) = start(app.command(&["--workers=1"]));
    let mut client = connect(address);
    exchange(&mut client, b"1");
    client.write_all(b"w").unwrap();
    // A terminal sends it to the workers too.
    kill_process(app.workers()[0], Signal::QUIT).unwrap();
    master.signal(Signal::QUIT);
    master.line("stopping: the workers drain");
    let mut answer = String::new();
    BufReader::new(client).read_line(&mut answer).unwrap();
    assert_eq!(answer, "waited\n");
    assert!(master.end().success());
}

/// The file is replaced while the first new program has not found out its own path. That path
/// was "app (deleted)" then, and no later upgrade could succeed.
#[test]
fn two_deployments_may_follow_each_other_at_once() {
    let app = App::new();
    let pipe = app.folder.path("pipe");
    mkfifoat(CWD, &pipe, Mode::RWXU).unwrap();
    let hold = format!("--hold-successor={}", pipe.display());
    let (mut master, _) = start(app.command(&["--workers=1", &hold]));
    for _ in 0..2 {
        let before = app.master();
        app.install(&program("process_app"));
        kill_process(before, Signal::USR2).unwrap();
        // This waits until the new program opens the pipe.
        let held = File::create(&pipe).unwrap();
        master.line("waits at its start");
        app.install(&program("process_app"));
        drop(held);
        master.line("has taken over");
        await_end(before);
    }
    let before = app.master();
    kill_process(before, Signal::USR2).unwrap();
    drop(File::create(&pipe).unwrap());
    master.line("has taken over");
    await_end(before);
    assert_eq!(executable(app.master()), app.path());
    app.ask("stop").unwrap();
    master.end();
}

/// Three deployments through a link, by a program that leaves its directory after it has read
/// its configuration. The directories of old releases are removed.
#[test]
fn deployments_go_through_a_link() {
    let app = App::new();
    let releases = Releases::new(&app);
    releases.point_at(1);
    let command = releases.start_in("current", &["--config=app.conf", "--leave"]);
    let (mut master, address) = start(command);
    assert_eq!(ask_worker(address, b'r'), releases.place(1));
    for number in 2..=4 {
        releases.point_at(number);
        let old = app.master();
        app.ask("upgrade").unwrap();
        await_end(old);
        fs::remove_dir_all(releases.path(number - 1)).unwrap();
        assert_eq!(executable(app.master()), releases.path(number).join("app"));
        assert_eq!(ask_worker(address, b'r'), releases.place(number));
        app.ask("reload").unwrap();
        wait_until(|| ask_worker(address, b'r') == releases.place(number));
    }
    app.ask("stop").unwrap();
    master.end();
}

/// Workers of the old program start in the directory of the next release, as they find their
/// files through the link.
#[test]
fn a_reload_follows_the_link_of_the_directory() {
    let app = App::new();
    let releases = Releases::new(&app);
    releases.point_at(1);
    let link = app.folder.path("current");
    let directory = format!("--current-dir={}", link.display());
    for (place, options) in [("current", &[][..]), ("1", &[directory.as_str()])] {
        releases.point_at(1);
        let options = [&["--config=app.conf"], options].concat();
        let (mut master, address) = start(releases.start_in(place, &options));
        assert_eq!(ask_worker(address, b'r'), releases.place(1));
        releases.point_at(2);
        app.ask("reload").unwrap();
        wait_until(|| ask_worker(address, b'r') == releases.place(2));
        assert_eq!(executable(app.master()), releases.path(1).join("app"));
        stop(&mut master);
    }
}

#[test]
fn a_directory_that_was_removed_stops_no_reload() {
    let app = App::new();
    let releases = Releases::new(&app);
    let (mut master, address) = start(releases.start_in("1", &[]));
    let before = worker_at(address);
    fs::remove_dir_all(releases.path(1)).unwrap();
    app.ask("reload").unwrap();
    wait_until(|| worker_at(address) != before);
    stop(&mut master);
}

#[test]
fn a_directory_that_is_not_there_is_refused() {
    let app = App::new();
    let mut master = Master::start(app.command(&["--current-dir=/no/such/place"]));
    master.line("/no/such/place");
    assert!(!master.end().success());
}

/// The name once broke the line, and the title.
#[test]
fn a_name_breaks_no_line() {
    let app = App::new();
    let (mut master, address) = start(app.command(&["--workers=1", "--name=a\nb"]));
    master.line("[a\\nb master] listening on");
    assert_eq!(title(worker_at(address)), "a\\nb: worker 0");
    stop(&mut master);
}

#[test]
fn a_worker_may_keep_the_name_of_its_program() {
    let app = App::new();
    let (mut master, address) = start(app.command(&["--workers=1", "--no-title"]));
    assert_eq!(title(worker_at(address)), app.path().to_str().unwrap());
    stop(&mut master);
}

#[test]
fn a_second_server_does_not_take_the_pid_file_of_the_first() {
    let app = App::new();
    let pid_file = app.folder.path("pid");
    let option = format!("--pid-file={}", pid_file.display());
    let (mut master, _) = start(app.command(&["--workers=1", &option]));
    let mut second = Command::new(app.path());
    second.args(["--workers=1", &option]);
    let mut second = Master::start(second);
    second.line(&format!("with the process id {}", master.pid()));
    assert!(!second.end().success());
    let content = format!("{}\n", master.pid());
    assert_eq!(fs::read_to_string(&pid_file).unwrap(), content);

    // A master that was killed leaves its file, which the next one replaces.
    master.signal(Signal::KILL);
    master.end();
    assert_eq!(fs::read_to_string(&pid_file).unwrap(), content);
    let (mut master, _) = start(app.command(&["--workers=1", &option]));
    let content = format!("{}\n", master.pid());
    assert_eq!(fs::read_to_string(&pid_file).unwrap(), content);
    stop(&mut master);
    assert!(!pid_file.exists());
}

#[test]
fn a_reload_brings_back_files_that_were_removed() {
    let app = App::new();
    let pid_file = app.folder.path("pid");
    let option = format!("--pid-file={}", pid_file.display());
    let (mut master, _) = start(app.command(&["--workers=1", &option]));
    app.ask("status").unwrap();
    fs::remove_file(app.control()).unwrap();
    fs::remove_file(&pid_file).unwrap();
    master.signal(Signal::HUP);
    master.line("all workers were replaced");
    let content = format!("{}\n", master.pid());
    assert_eq!(fs::read_to_string(&pid_file).unwrap(), content);
    assert_eq!(app.master(), master.pid());
    stop(&mut master);
    assert!(!pid_file.exists() && !app.control().exists());
}

/// Four releases of the app, each in a directory, and a link to the current one.
struct Releases<'a>(&'a App);

impl<'a> Releases<'a> {
    fn new(app: &'a App) -> Self {
        let releases = Self(app);
        for number in 1..=4 {
            let path = releases.path(number);
            fs::create_dir(&path).unwrap();
            copy(&program("process_app"), &path.join("app"));
            fs::write(path.join("app.conf"), format!("release {number}\n")).unwrap();
        }
        releases
    }

    fn path(&self, number: u32) -> PathBuf {
        self.0.folder.path(&number.to_string())
    }

    fn point_at(&self, number: u32) {
        let new = self.0.folder.path("link");
        symlink(self.path(number), &new).unwrap();
        fs::rename(new, self.0.folder.path("current")).unwrap();
    }

    /// Returns a command that starts the app in a directory, by a shell.
    fn start_in(&self, directory: &str, options: &[&str]) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", "cd \"$0\" && exec ./app \"$@\""])
            .arg(self.0.folder.path(directory))
            .args(self.0.arguments(&["--workers=1"]))
            .args(options);
        command
    }

    /// Returns what a worker answers that has read the configuration of a release.
    fn place(&self, number: u32) -> String {
        format!("release {number} in {}", self.path(number).display())
    }
}

/// Starts a master, and waits until it serves.
fn start(command: Command) -> (Master, SocketAddr) {
    let mut master = Master::start(command);
    let address = master.address();
    master.ready(1);
    (master, address)
}

/// Returns a command that starts the app with other signals than usual.
fn with_signals(app: &App, option: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("env");
    command
        .arg(option)
        .arg(app.path())
        .args(app.arguments(arguments));
    command
}

fn stop(master: &mut Master) {
    master.signal(Signal::TERM);
    assert!(master.end().success());
}

fn executable(process: Pid) -> PathBuf {
    fs::read_link(format!("/proc/{process}/exe")).unwrap()
}

/// Returns the `argv[0]` of a process.
fn title(process: Pid) -> String {
    let words = fs::read(Path::new("/proc").join(process.to_string()).join("cmdline")).unwrap();
    let first = words.split(|&byte| byte == 0).next().unwrap();
    str::from_utf8(first).unwrap().to_owned()
}
