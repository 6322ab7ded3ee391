//! A pool on a terminal, which sends Ctrl-C to all its processes.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use coreloop_test_support::meeting::Meeting;
use coreloop_test_support::process::master::Master;
use coreloop_test_support::program::program;

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
