//! The control socket of a master. Its client `coreloop-ctl` has tests of its own.
#![cfg(all(target_os = "linux", not(miri)))]

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;

use coreloop_test_support::deadline::wait_until;
use coreloop_test_support::process::master::{App, Master, await_end, worker_at};
use coreloop_test_support::program::{PATIENCE, connect, exchange};
use rustix::process::Signal;

#[test]
fn every_request_is_carried_out() {
    let app = App::new();
    let mut master = Master::start(app.command(&["--workers=1"]));
    let address = master.address();
    master.ready(1);
    let mode = fs::metadata(app.control()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);

    let status = app.ask("status").unwrap();
    assert!(
        status.starts_with(&format!("master pid={} ", master.pid())),
        "{status}"
    );
    assert_eq!(status.lines().count(), 2);

    let before = worker_at(address);
    app.ask("reload").unwrap();
    // Until it drains it may accept another connection.
    await_end(before);
    assert_ne!(worker_at(address), before);

    app.ask("scale 3").unwrap();
    assert_eq!(app.workers().len(), 3);
    app.ask("scale 1").unwrap();
    assert_eq!(app.workers().len(), 1);
    let error = app.ask("scale 0").unwrap_err();
    assert_eq!(error, "there must be at least one worker");

    app.ask("stop").unwrap();
    assert!(master.end().success());
    assert!(!app.control().exists());
}

#[test]
fn an_invalid_client_loses_only_its_own_connection() {
    let app = App::new();
    let mut master = Master::start(app.command(&["--workers=2"]));
    let address = master.address();
    master.ready(2);
    let workers: HashSet<_> = app.workers().into_iter().collect();
    let mut client = connect(address);
    exchange(&mut client, b"1");

    let silent: Vec<_> = (0..16)
        .map(|_| UnixStream::connect(app.control()).unwrap())
        .collect();
    for nonsense in [
        &b"\x00\xff\xfe\n"[..],
        b"\n",
        b"scale\n",
        b"scale 4294967296\n",
        b"scale -1\n",
        b"restart\n",
        &[b'x'; 4096],
    ] {
        let mut stream = UnixStream::connect(app.control()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(nonsense).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        // The end may be a reset, as the master has not read everything.
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("error: "), "{answer:?}");
        assert_eq!(answer.lines().count(), 1, "{answer:?}");
    }
    // A client that disconnects before its answer comes.
    let mut hasty = UnixStream::connect(app.control()).unwrap();
    hasty.write_all(b"status\nstatus\nscale 1").unwrap();
    drop(hasty);

    // The workers and other clients are not affected.
    assert_eq!(app.workers().into_iter().collect::<HashSet<_>>(), workers);
    assert_eq!(exchange(&mut client, b"2"), b"2");
    drop((silent, client));
    master.signal(Signal::TERM);
    assert!(master.end().success());
}

#[test]
fn a_socket_in_use_is_refused_and_a_stale_one_is_replaced() {
    let app = App::new();
    let mut first = Master::start(app.command(&["--workers=1"]));
    first.address();
    first.ready(1);
    let mut second = Master::start(app.command(&["--workers=1"]));
    second.line("another process serves");
    assert!(!second.end().success());
    assert_eq!(app.master(), first.pid());

    first.signal(Signal::KILL);
    assert!(!first.end().success());
    assert!(app.control().exists());
    let mut third = Master::start(app.command(&["--workers=1"]));
    third.address();
    third.ready(1);
    assert_eq!(app.master(), third.pid());
    third.signal(Signal::INT);
    assert!(third.end().success());
    assert!(!app.control().exists());
}

/// Both masters served, and one of them could not be reached.
#[test]
fn of_two_masters_that_find_a_stale_socket_one_serves() {
    let app = App::new();
    for _ in 0..5 {
        drop(UnixListener::bind(app.control()).unwrap());
        let mut masters = [(); 2].map(|()| Master::start(app.command(&["--workers=1"])));
        let mut lines = [(); 2].map(|()| String::new());
        for (master, line) in masters.iter_mut().zip(&mut lines) {
            *line = line_of(master, &[" is ready after ", "another process serves"]);
        }
        let winner = usize::from(lines[0].contains("another process serves"));
        let [mut first, mut second] = masters;
        let (wins, loses) = match winner {
            0 => (&mut first, &mut second),
            _ => (&mut second, &mut first),
        };
        assert!(lines[winner].contains(" is ready after "), "{lines:?}");
        assert_eq!(loses.end().code(), Some(1));
        assert_eq!(app.master(), wins.pid());
        app.ask("stop").unwrap();
        assert!(wins.end().success());
    }
}

/// With any limit of descriptors the app either serves and obeys signals, or ends with an
/// error. It once continued without handling signals.
#[test]
fn a_master_with_too_few_descriptors_serves_fully_or_ends() {
    let app = App::new();
    let mut served = 0;
    for most in (4..64).step_by(2) {
        let mut command = Command::new("sh");
        command
            .args(["-c", "ulimit -n $0 && exec \"$@\"", &most.to_string()])
            .arg(app.path())
            .args(app.arguments(&["--workers=1", "--boots=2", "--backoff=1"]));
        let mut master = Master::start(command);
        let words = [" is ready after ", "Too many open files", "os error 24"];
        if line_of(&mut master, &words).contains(words[0]) {
            master.signal(Signal::TERM);
            assert!(master.end().success(), "{most}");
            served += 1;
        } else {
            assert_eq!(master.end().code(), Some(1), "{most}");
        }
    }
    assert!(served > 0);
}

/// The connection was closed without a line, so that a client could not see that its request
/// had failed.
#[test]
fn requests_that_wait_are_answered_when_the_master_ends() {
    for request in ["reload", "scale 3", "upgrade"] {
        let app = App::new();
        let late = app.folder.path("late");
        fs::write(&late, "").unwrap();
        let late_argument = format!("--late={}", late.display());
        let mut master =
            Master::start(app.command(&["--workers=2", "--drain=60000", &late_argument]));
        let address = master.address();
        master.ready(2);
        fs::remove_file(&late).unwrap();
        // It keeps a worker until the second signal.
        let mut connected = connect(address);
        exchange(&mut connected, b"1");
        if request.starts_with("scale") {
            app.ask("scale 1").unwrap();
        }

        let mut waiting = UnixStream::connect(app.control()).unwrap();
        waiting.set_read_timeout(Some(PATIENCE)).unwrap();
        app.install_script("echo the successor starts; exec sleep 600");
        writeln!(waiting, "{request}").unwrap();
        match request {
            "reload" => master.ready(1),
            "upgrade" => drop(master.line("the successor starts")),
            _ => wait_until(|| app.ask("status").unwrap().contains("worker 1 ")),
        }
        let mut idle = UnixStream::connect(app.control()).unwrap();
        idle.set_read_timeout(Some(PATIENCE)).unwrap();
        master.signal(Signal::TERM);
        master.line("stopping");
        master.signal(Signal::TERM);

        for stream in [&mut waiting, &mut idle] {
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert_eq!(answer, "error: the master is ending\n", "{request}");
        }
        master.end();
    }
}

/// It was answered with `ok` when the later request had succeeded, whatever number that had set.
#[test]
fn a_request_to_scale_fails_when_a_later_one_sets_another_number() {
    let app = App::new();
    let late = app.folder.path("late");
    let late_argument = format!("--late={}", late.display());
    let mut master = Master::start(app.command(&["--workers=1", &late_argument]));
    master.ready(1);
    let waiting = ["scale 2", "scale 2"].map(|request| {
        let mut client = UnixStream::connect(app.control()).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        writeln!(client, "{request}").unwrap();
        // When this is answered, the master has the request.
        app.ask("status").unwrap();
        client
    });
    app.ask("scale 1").unwrap();
    for client in waiting {
        let mut answer = String::new();
        BufReader::new(client).read_line(&mut answer).unwrap();
        let error = "error: a later request has set the number of workers to 1\n";
        assert_eq!(answer, error);
    }
    app.ask("stop").unwrap();
    assert!(master.end().success());
}

/// Returns the next line that has one of the words.
fn line_of(master: &mut Master, words: &[&str]) -> String {
    loop {
        let line = master.line("");
        if words.iter().any(|words| line.contains(words)) {
            return line;
        }
    }
}
