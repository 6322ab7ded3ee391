//! The files of `examples/deployment`, run as far as one machine can: systemd and Prometheus check
//! their files, `logrotate` uses its file, and the program serves with the options of the files.
#![cfg(all(target_os = "linux", not(miri)))]

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use coreloop_test_support::deadline::wait_until;
use coreloop_test_support::folder::Folder;
use coreloop_test_support::process::master::{App, Master};
use coreloop_test_support::program::{connect, exchange, program};
use coreloop_test_support::server_process::{find, free_port};
use rustix::process::Signal;

/// The example, in a folder that has the place of `/run/echo` and of `/var/log/echo`.
struct Echo {
    folder: Folder,
    master: Master,
    address: SocketAddr,
    observed: SocketAddr,
}

impl Echo {
    fn start() -> Self {
        let folder = Folder::new();
        // Without this, `logrotate` refuses a folder in which a group may write.
        fs::set_permissions(folder.as_path(), Permissions::from_mode(0o755)).unwrap();
        let observed = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut command = Command::new(program("deployed_echo"));
        command
            .args(["--addr", "127.0.0.1:0", "--observe"])
            .arg(observed.to_string())
            .arg("--run-dir")
            .arg(folder.as_path())
            .arg("--log-file")
            .arg(folder.path("echo.log"));
        let mut echo = Self {
            folder,
            master: Master::start(command),
            address: observed,
            observed,
        };
        wait_until(|| echo.log().contains(" is ready after "));
        let log = echo.log();
        let (_, rest) = log.split_once("listening on tcp ").unwrap();
        echo.address = rest.lines().next().unwrap().parse().unwrap();
        wait_until(|| echo.get("/readyz").starts_with("HTTP/1.1 200 "));
        echo
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path("echo.log")).unwrap_or_default()
    }

    fn control(&self) -> PathBuf {
        self.folder.path("control.sock")
    }

    fn reload(&self) {
        App::ask_at(&self.control(), "reload").unwrap().unwrap();
    }

    /// Returns the answer to a request by HTTP; nothing if the program has ended.
    fn get(&self, path: &str) -> String {
        let mut answer = String::new();
        if let Ok(mut stream) = TcpStream::connect(self.observed) {
            let _ = write!(stream, "GET {path} HTTP/1.1\r\n\r\n");
            let _ = stream.read_to_string(&mut answer);
        }
        answer
    }

    /// Ends the program by two signals, without the time to drain.
    fn end(mut self) {
        self.master.signal(Signal::TERM);
        wait_until(|| self.log().contains("stopping: the workers drain in 5s"));
        self.master.signal(Signal::TERM);
        assert!(self.master.end().success());
    }
}

#[test]
fn deployed_echo_serves_is_ready_and_stops() {
    let mut echo = Echo::start();
    let mut client = connect(echo.address);
    assert_eq!(exchange(&mut client, b"hello"), b"hello");
    assert!(echo.get("/livez").starts_with("HTTP/1.1 200 "));
    assert!(
        echo.get("/metrics")
            .contains("\necho_connections_total 1\n")
    );
    let pid = fs::read_to_string(echo.folder.path("pid")).unwrap();
    assert_eq!(
        pid.trim(),
        echo.master.pid().as_raw_nonzero().to_string(),
        "the file that logrotate reads"
    );
    // A message during a reload is answered by the old worker.
    echo.reload();
    assert_eq!(exchange(&mut client, b"again"), b"again");

    // What the kubelet does: the probe fails, and the program ends by itself after the delay and
    // the drain.
    echo.master.signal(Signal::TERM);
    wait_until(|| !echo.get("/readyz").starts_with("HTTP/1.1 200 "));
    assert!(echo.master.end().success());
    assert!(echo.log().contains("stopping: the workers drain in 5s"));
}

/// Each line of the log is in one of the files while `logrotate` replaces them, and the program
/// writes to the new one.
#[test]
fn logrotate_loses_no_line() {
    let Some(logrotate) = find("logrotate", &["/usr/sbin".into()]) else {
        return;
    };
    let echo = Echo::start();
    let here = echo.folder.as_path().to_str().unwrap();
    let rules = file("echo.logrotate")
        .replace("/var/log/echo", here)
        .replace("/run/echo", here);
    let path = echo.folder.path("echo.logrotate");
    fs::write(&path, rules).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    for round in 1..=3 {
        let control = echo.control();
        let reloads = thread::spawn(move || {
            for _ in 0..3 {
                App::ask_at(&control, "reload").unwrap().unwrap();
            }
        });
        let mut rotate = Command::new(&logrotate);
        rotate.args(["-f", "-s"]).arg(echo.folder.path("state"));
        succeeds(rotate.arg(&path));
        reloads.join().unwrap();
        // The signal of the file is obeyed in its time.
        wait_until(|| echo.log().contains("the log files were reopened"));
        assert!(echo.folder.path("echo.log.1").exists(), "round {round}");
    }
    echo.reload();
    wait_until(|| echo.log().contains("all workers were replaced"));
    let written = || {
        let mut all = echo.log();
        all += &fs::read_to_string(echo.folder.path("echo.log.1")).unwrap();
        for number in 2..=3 {
            let packed = echo.folder.path(&format!("echo.log.{number}.gz"));
            let unpacked = succeeds(Command::new("gzip").arg("-dc").arg(packed));
            all += &String::from_utf8(unpacked.stdout).unwrap();
        }
        all
    };
    wait_until(|| written().matches("all workers were replaced").count() == 10);
    let all = written();
    assert_eq!(all.matches("the log files were reopened").count(), 3);
    for line in all.lines() {
        assert!(line.contains("Z [echo master] "), "a broken line: {line}");
    }
    echo.end();
}

/// Each unit alone, and with each of its drop-ins.
#[test]
fn systemd_accepts_the_units() {
    let Some(analyze) = find("systemd-analyze", &[]) else {
        return;
    };
    let said = succeeds(Command::new(&analyze).arg("--version"));
    let said = String::from_utf8(said.stdout).unwrap();
    let version: u32 = said.split_whitespace().nth(1).unwrap().parse().unwrap();
    let drop_ins = ["before-253.conf", "log-file.conf"];
    for chosen in [&[][..], &drop_ins[..1], &drop_ins[1..], &drop_ins] {
        let folder = Folder::new();
        // systemd looks for the programs.
        let fake = folder.path("program");
        fs::write(&fake, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&fake, Permissions::from_mode(0o755)).unwrap();
        let copy = |name: &str| {
            let text = file(name)
                .replace("/usr/local/bin/echo-server", fake.to_str().unwrap())
                .replace("/usr/local/bin/coreloop-ctl", fake.to_str().unwrap());
            fs::write(folder.path(name), text).unwrap();
        };
        copy("echo.socket");
        copy("echo.service");
        fs::create_dir(folder.path("echo.service.d")).unwrap();
        for name in chosen {
            copy(&format!("echo.service.d/{name}"));
        }
        let mut verify = Command::new(&analyze);
        verify.arg("verify").arg(folder.path("echo.service"));
        let said = succeeds(verify.arg(folder.path("echo.socket"))).stderr;
        let said = String::from_utf8(said).unwrap();
        let here = folder.as_path().to_str().unwrap();
        // It warns about the units of this machine too.
        for line in said.lines().filter(|line| line.contains(here)) {
            assert!(
                version < 253 && line.ends_with("service type, ignoring: notify-reload"),
                "with {chosen:?}: {line}"
            );
        }
    }
}

#[test]
fn prometheus_accepts_its_file() {
    let Some(promtool) = find("promtool", &[]) else {
        return;
    };
    let path = folder().join("prometheus.yml");
    succeeds(Command::new(promtool).args(["check", "config"]).arg(path));
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/deployment")
}

fn file(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap()
}

fn succeeds(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output
}
