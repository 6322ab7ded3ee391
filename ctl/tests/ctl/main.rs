//! Runs `coreloop-ctl` as an operator does: against a master, against a socket that another
//! program serves, and against none.
#![cfg(test)]
#![cfg(all(target_os = "linux", not(miri)))]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread::{self, JoinHandle};

use coreloop_test_support::deadline::wait_until;
use coreloop_test_support::folder::Folder;
use coreloop_test_support::process::master::{App, Master, await_end, worker_at};
use rustix::process::Signal;

#[test]
fn the_commands_of_a_master_are_carried_out() {
    let app = App::new();
    let mut master = Master::start(app.command(&["--workers=1"]));
    let address = master.address();
    master.ready(1);
    let socket = app.control();

    let status = said(&run(&socket, &["status"]));
    let first = format!("master pid={} ", master.pid());
    assert!(status.starts_with(&first), "{status}");
    assert_eq!(status.lines().count(), 2);

    let before = worker_at(address);
    assert_eq!(said(&run(&socket, &["reload"])), "");
    // Until it drains it may accept another connection.
    await_end(before);
    assert_ne!(worker_at(address), before);

    said(&run(&socket, &["scale", "3"]));
    assert_eq!(app.workers().len(), 3);
    let json = said(&run(&socket, &["--json", "--timeout", "600", "scale", "1"]));
    assert_eq!(json, "{\"ok\":true}\n");
    assert_eq!(app.workers().len(), 1);

    said(&run(&socket, &["upgrade"]));
    assert!(master.end_of_first().success());
    let status = said(&run(&socket, &["raw", "status"]));
    assert!(!status.starts_with(&first), "{status}");
    assert!(said(&run(&socket, &["raw", "help"])).contains("\nscale N "));

    said(&run(&socket, &["stop"]));
    master.end();
    assert_eq!(run(&socket, &["status"]).status.code(), Some(3));
}

#[test]
fn errors_of_the_master_are_shown() {
    let app = App::new();
    let mut master = Master::start(app.command(&["--workers=1"]));
    master.ready(1);
    let socket = app.control();
    wait_until(|| socket.exists());
    for (arguments, error) in [
        (&["scale", "0"][..], "there must be at least one worker"),
        (
            &["raw", "frobnicate", "1"],
            "unknown command `frobnicate`: try `help`",
        ),
        (
            &["raw", "scale"],
            "`scale` takes the number of workers: `scale 4`",
        ),
    ] {
        let output = run(&socket, arguments);
        assert_eq!(failed(&output, 1), format!("coreloop-ctl: {error}\n"));
        assert!(output.stdout.is_empty());

        let output = run(&socket, &[&["--json"], arguments].concat());
        let json = format!("{{\"ok\":false,\"error\":\"{error}\"}}\n");
        assert_eq!(as_sorted(&output.stdout), as_sorted(json.as_bytes()));
        assert_eq!(failed(&output, 1), "");
    }
    master.signal(Signal::TERM);
    assert!(master.end().success());
}

/// The kernel still accepts connections for a stopped master.
#[test]
fn a_stopped_master_exceeds_the_time_limit() {
    let app = App::new();
    let mut master = Master::start(app.command(&["--workers=1"]));
    master.ready(1);
    wait_until(|| app.control().exists());
    master.signal(Signal::STOP);
    for command in ["status", "reload", "ready"] {
        let output = run(&app.control(), &["--timeout", "1", command]);
        let error = failed(&output, 4);
        assert!(error.ends_with(": no answer after 1s\n"), "{error}");
    }
    // Without a limit, the program finds out that the master does not answer at all.
    let output = run(&app.control(), &["reload", "--timeout=0"]);
    let error = failed(&output, 4);
    assert!(error.ends_with(": no answer after 10s\n"), "{error}");
    master.signal(Signal::CONT);
    master.signal(Signal::TERM);
    assert!(master.end().success());
}

#[test]
fn each_command_is_sent_as_one_line() {
    for (arguments, sent) in [
        (&["status"][..], "status"),
        (&["status", "--json"], "status json"),
        (&["ready"], "ready"),
        (&["live"], "live"),
        (&["restart", "3", "--timeout=60"], "restart 3"),
        (&["reload", "--timeout=60"], "reload"),
        (&["upgrade", "--timeout=60"], "upgrade"),
        (&["scale", "4", "--timeout=60"], "scale 4"),
        (&["stop"], "stop"),
        (&["reopen"], "reopen"),
        (&["metrics"], "metrics"),
        (&["raw", "set", "--level", "2"], "set --level 2"),
    ] {
        let folder = Folder::new();
        let path = folder.path("control");
        let server = serve(&path, &["ok\n"]);
        said(&run(&path, arguments));
        assert_eq!(server.join().unwrap(), [format!("{sent}\n")]);
    }
    // A command without a limit first finds out whether the master answers.
    let folder = Folder::new();
    let path = folder.path("control");
    let server = serve(&path, &["help\nok\n", "ok\n"]);
    assert_eq!(said(&run(&path, &["reload"])), "");
    assert_eq!(server.join().unwrap(), ["help\n", "reload\n"]);
}

#[test]
fn answers_of_any_length_are_printed() {
    let folder = Folder::new();
    let path = folder.path("control");
    let lines = "requests{worker=\"0\"} 1\n".repeat(20_000);
    let answer = format!("{lines}ok\n");

    let server = serve(&path, &[&answer]);
    assert_eq!(said(&run(&path, &["metrics"])), lines);
    server.join().unwrap();

    let server = serve(&path, &[&answer]);
    let json = said(&run(&path, &["--json", "metrics"]));
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["answer"], lines);
    server.join().unwrap();

    let server = serve(&path, &["{\"workers\":[]}\nok\n"]);
    let json = said(&run(&path, &["--json", "status"]));
    assert_eq!(json, "{\"workers\":[]}\n");
    server.join().unwrap();
}

/// A pager that is closed early.
#[test]
fn output_that_is_not_read_is_no_error() {
    let folder = Folder::new();
    let path = folder.path("control");
    let answer = format!("{}ok\n", "a line\n".repeat(40_000));
    let server = serve(&path, &[&answer]);
    let mut command = command(&path, &["metrics"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    server.join().unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn a_service_that_is_not_ready_is_status_1() {
    for command in ["ready", "live"] {
        let folder = Folder::new();
        let path = folder.path("control");
        let server = serve(&path, &["error: 1 of 2 workers is ready\n"]);
        let output = run(&path, &[command]);
        assert_eq!(
            failed(&output, 1),
            "coreloop-ctl: 1 of 2 workers is ready\n"
        );
        server.join().unwrap();
    }
}

/// A title or an error can hold what its author likes.
#[test]
fn control_characters_are_printed_escaped() {
    let folder = Folder::new();
    let path = folder.path("control");
    let server = serve(&path, &["worker \u{1b}[2J\u{9b}1m\r\ta\nworker b\nok\n"]);
    let answer = said(&run(&path, &["raw", "status"]));
    assert_eq!(answer, "worker \\u{1b}[2J\\u{9b}1m\\r\ta\nworker b\n");
    server.join().unwrap();

    let server = serve(&path, &["error: \u{1b}]0;title\u{7}\n"]);
    let error = failed(&run(&path, &["reload"]), 1);
    assert_eq!(error, "coreloop-ctl: \\u{1b}]0;title\\u{7}\n");
    server.join().unwrap();

    let missing = folder.path("missing\nmaster");
    let error = failed(&run(&missing, &["status"]), 3);
    assert!(error.contains("missing\\nmaster: "), "{error}");
}

#[test]
fn an_error_without_a_reason_is_shown_as_such() {
    let folder = Folder::new();
    let path = folder.path("control");
    for answer in ["error: \n", "error:\n"] {
        let server = serve(&path, &[answer]);
        let error = failed(&run(&path, &["reload"]), 1);
        assert_eq!(
            error,
            "coreloop-ctl: the master has refused it without a reason\n"
        );
        server.join().unwrap();
    }
}

#[test]
fn a_socket_that_another_program_serves_is_reported() {
    let folder = Folder::new();
    let path = folder.path("control");
    for (answer, error) in [
        (&b""[..], "the master has closed the connection"),
        (
            b"220 mail.example.org\n",
            "the master has closed the connection",
        ),
        (b"\xff\xfe\n", "the answer is not text"),
    ] {
        let server = serve_bytes(&path, vec![answer.to_vec()]);
        let output = run(&path, &["status"]);
        let said = failed(&output, 1);
        assert!(said.contains(error), "{said}");
        assert!(said.contains(path.to_str().unwrap()), "{said}");
        server.join().unwrap();
    }
}

#[test]
fn a_socket_without_a_master_is_status_3() {
    let folder = Folder::new();
    let missing = folder.path("missing");
    let stale = folder.path("stale");
    drop(UnixListener::bind(&stale).unwrap());
    let file = folder.path("file");
    std::fs::write(&file, "").unwrap();
    for path in [missing, stale, file.clone(), file.join("below")] {
        let error = failed(&run(&path, &["status"]), 3);
        let begin = format!("coreloop-ctl: no master at {}: ", path.display());
        assert!(error.starts_with(&begin), "{error}");
        let output = run(&path, &["--json", "reload"]);
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(value["ok"], false);
        assert_eq!(output.status.code(), Some(3));
    }
}

#[test]
fn a_wrong_command_line_is_status_2() {
    let folder = Folder::new();
    let path = folder.path("control");
    for arguments in [
        &[][..],
        &["frobnicate"],
        &["scale"],
        &["scale", "many"],
        &["restart", "-1"],
        &["status", "now"],
        &["status", "--timeout", "soon"],
        &["raw"],
    ] {
        failed(&run(&path, arguments), 2);
    }
    let long = folder.path(&"x".repeat(200));
    failed(&run(&long, &["status"]), 2);

    let mut command = Command::new(env!("CARGO_BIN_EXE_coreloop-ctl"));
    command.arg("status").env_remove("CORELOOP_CONTROL");
    let error = failed(&command.output().unwrap(), 2);
    assert!(error.contains("CORELOOP_CONTROL"), "{error}");
}

#[test]
fn the_socket_may_be_named_by_the_environment() {
    let folder = Folder::new();
    let path = folder.path("control");
    let server = serve(&path, &["ok\n"]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_coreloop-ctl"));
    command.arg("live").env("CORELOOP_CONTROL", &path);
    said(&command.output().unwrap());
    server.join().unwrap();
}

#[test]
fn the_help_is_a_manual() {
    let unused = Path::new("unused");
    let manual = said(&run(unused, &["--help"]));
    for section in [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "COMMANDS",
        "OPTIONS",
        "TIME LIMITS",
        "EXIT STATUS",
        "EXAMPLES",
    ] {
        let is_there = manual.lines().any(|line| line == section);
        assert!(is_there, "{section}: {manual}");
    }
    for command in [
        "status", "ready", "live", "reload", "restart", "upgrade", "scale", "stop", "reopen",
        "metrics", "raw", "help",
    ] {
        let begin = format!("  {command} ");
        let is_there = manual.lines().any(|line| line.starts_with(&begin));
        assert!(is_there, "{command}: {manual}");
        if command != "help" {
            let help = said(&run(unused, &["help", command]));
            assert!(help.contains(&format!("coreloop-ctl {command}")), "{help}");
        }
    }
}

fn command(socket: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coreloop-ctl"));
    command.arg("--socket").arg(socket).args(arguments);
    command
}

fn run(socket: &Path, arguments: &[&str]) -> Output {
    command(socket, arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Returns what a command wrote to its standard error, which had this exit status.
fn failed(output: &Output, status: i32) -> String {
    assert_eq!(output.status.code(), Some(status), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn as_sorted(json: &[u8]) -> serde_json::Value {
    serde_json::from_slice(json).unwrap()
}

/// Serves one client: returns the lines that it sent, each of which got one of the answers.
fn serve(path: &Path, answers: &[&str]) -> JoinHandle<Vec<String>> {
    let answers = answers.iter().map(|answer| answer.as_bytes().to_vec());
    serve_bytes(path, answers.collect())
}

fn serve_bytes(path: &Path, answers: Vec<Vec<u8>>) -> JoinHandle<Vec<String>> {
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut lines = Vec::new();
        for answer in answers {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            lines.push(line);
            stream.write_all(&answer).unwrap();
        }
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty());
        lines
    })
}
