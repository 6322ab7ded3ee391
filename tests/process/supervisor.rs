//! Supervised workers: what becomes of those that die, hang, are replaced, drain,
//! or are too many. The numbers are those of the list of failures that a supervisor
//! has to cope with.
#![cfg(not(miri))]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use coreloop_test_support::folder::Folder;
use coreloop_test_support::process::master::{Master, ask_on, ask_worker};
use coreloop_test_support::program::{PATIENCE, connect, program};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// More connections than chance gives to one of two workers.
const MANY: usize = 40;

fn start(arguments: &[&str]) -> (Master, SocketAddr) {
    let mut command = Command::new(program("process_app"));
    command.args(arguments);
    let mut app = Master::start(command);
    let address = app.address();
    (app, address)
}

/// Who answers a new connection: its process, slot and generation.
fn answer(address: SocketAddr) -> (Pid, u32, u64) {
    let line = ask_worker(address, b'p');
    let mut words = line.split(' ');
    let mut word = || words.next().unwrap_or_else(|| panic!("{line:?}"));
    let pid = Pid::from_raw(word().parse().unwrap()).unwrap();
    (pid, word().parse().unwrap(), word().parse().unwrap())
}

/// The process of each slot, found by asking until there are so many.
fn workers(address: SocketAddr, count: usize) -> BTreeMap<u32, Pid> {
    let mut workers = BTreeMap::new();
    while workers.len() < count {
        let (pid, slot, _) = answer(address);
        workers.insert(slot, pid);
    }
    workers
}

/// Asks for something that has no answer.
fn tell(address: SocketAddr, byte: u8) {
    let mut stream = connect(address);
    stream.write_all(&[byte]).unwrap();
    // The end of the connection; a worker that is killed resets it.
    let _ = stream.read(&mut [0]);
}

fn kill(pid: Pid) {
    kill_process(pid, Signal::KILL).unwrap();
}

/// Waits until there is no such process.
fn await_end(pid: Pid) {
    let until = Instant::now() + PATIENCE;
    while test_kill_process(pid).is_ok() {
        assert!(Instant::now() < until, "{pid} does not end");
        std::thread::yield_now();
    }
}

fn milliseconds_in(line: &str) -> f64 {
    let words: Vec<_> = line.split(' ').collect();
    let unit = words.iter().position(|word| *word == "ms").unwrap();
    words[unit - 1].parse().unwrap()
}

#[test]
fn a_killed_worker_is_replaced() {
    let (mut app, address) = start(&["--workers", "2", "--restarts", "100"]);
    app.ready(2);
    let mut times = Vec::new();
    for _ in 0..20 {
        let (pid, slot, generation) = answer(address);
        let killed = Instant::now();
        kill(pid);
        // Those that come to its socket meanwhile wait there.
        while answer(address) != (pid, slot, generation) {
            let (new, of, next) = answer(address);
            if of == slot {
                assert_ne!(new, pid);
                assert_eq!(next, generation + 1);
                break;
            }
        }
        times.push(killed.elapsed());
        app.ready(1);
    }
    times.sort_unstable();
    println!(
        "from kill -9 to an answer: median {:?}, longest {:?}",
        times[10], times[19]
    );
    app.signal(Signal::TERM);
    assert!(app.end().success());
}

/// 2.
#[test]
fn workers_are_added_and_taken_away() {
    let (mut app, address) = start(&["--workers", "2"]);
    app.ready(2);
    let before = workers(address, 2);
    app.signal(Signal::TTIN);
    app.line("there are 3 workers");
    let three = workers(address, 3);
    assert_eq!((three[&0], three[&1]), (before[&0], before[&1]));
    app.signal(Signal::TTOU);
    app.line("there are 2 workers");
    assert!((0..MANY).all(|_| answer(address).1 < 2));
    assert_eq!(workers(address, 2), before);
    app.signal(Signal::TERM);
    assert!(app.end().success());
}

/// 3.
#[test]
fn a_reload_replaces_all_workers_and_breaks_no_request() {
    let (mut app, address) = start(&["--workers", "2"]);
    app.ready(2);
    let old = workers(address, 2);
    // One that an old worker has begun.
    let stream = connect(address);
    let slow = std::thread::spawn(move || ask_on(&stream, b's'));
    app.signal(Signal::HUP);
    app.line("all workers were replaced");
    let new = workers(address, 2);
    assert!(new.values().all(|pid| old.values().all(|old| old != pid)));
    assert_eq!(slow.join().unwrap(), "slept");
    for &pid in old.values() {
        await_end(pid);
    }
    app.signal(Signal::TERM);
    assert!(app.end().success());
}

/// 21.
#[test]
fn connections_that_are_kept_alive_end_without_a_reset_on_reload() {
    let (mut app, address) = start(&["--workers", "2"]);
    app.ready(2);
    for _ in 0..3 {
        let streams: Vec<_> = (0..MANY).map(|_| connect(address)).collect();
        for stream in &streams {
            assert!(!ask_on(stream, b'p').is_empty());
        }
        app.signal(Signal::HUP);
        app.line("all workers were replaced");
        for mut stream in streams {
            // A reset would be an error.
            assert_eq!(stream.read(&mut [0; 64]).unwrap(), 0);
        }
    }
    app.signal(Signal::TERM);
    assert!(app.end().success());
}

/// 6.
#[test]
fn workers_are_started_though_the_program_was_replaced_on_disk() {
    let folder = Folder::new();
    let path = folder.path("app");
    fs::copy(program("process_app"), &path).unwrap();
    let mut command = Command::new(&path);
    command.args(["--workers", "1"]);
    let mut app = Master::start(command);
    let address = app.address();
    app.ready(1);
    let new = folder.path("new");
    fs::write(&new, "this is no program").unwrap();
    fs::rename(&new, &path).unwrap();
    let (old, _, _) = answer(address);
    kill(old);
    assert_ne!(answer(address).0, old);
    fs::remove_file(&path).unwrap();
    app.signal(Signal::HUP);
    app.line("all workers were replaced");
    assert_eq!(answer(address).2, 2);
    app.signal(Signal::TERM);
    assert!(app.end().success());
}

/// 7.
#[test]
fn a_sibling_serves_the_connections_of_a_slot_in_backoff() {
    let long = [
        "--restarts",
        "0",
        "--backoff",
        "600000",
        "--longest-backoff",
        "600000",
    ];
    let (mut app, address) = start(&[&["--workers", "2"], &long[..]].concat());
    app.ready(2);
    let workers = workers(address, 2);
    kill(workers[&0]);
    app.line("worker 0 is started again in ");
    // About half of them come to the socket of slot 0.
    for _ in 0..MANY {
        assert_eq!(answer(address).0, workers[&1]);
    }
    app.signal(Signal::TERM);
    assert!(app.end().success());
}

/// 8.
#[test]
fn a_crash_loop_is_slowed_down_as_the_policy_says() {
    let policy = [
        "--restarts",
        "2",
        "--backoff",
        "200",
        "--longest-backoff",
        "300",
    ];
    let (mut app, address) = start(&[&["--workers", "1"], &policy[..]].concat());
    app.ready(1);
    for _ in 0..2 {
        tell(address, b'c');
        app.line("was killed by signal 6");
        app.ready(1);
    }
    assert!(
        app.seen()
            .iter()
            .all(|line| !line.contains("is started again"))
    );
    for (least, most) in [(100.0, 200.0), (150.0, 300.0), (150.0, 300.0)] {
        tell(address, b'c');
        let line = app.line("is started again in ");
        let wait = milliseconds_in(&line);
        assert!((least..=most).contains(&wait), "{line}");
        app.ready(1);
    }
    assert_eq!(answer(address).2, 5);
    app.signal(Signal::TERM);
    assert!(app.end().success());
}

/// 8.
#[test]
fn a_program_whose_workers_are_never_ready_ends_and_says_why() {
    let options = ["--fail-before-ready", "--boots", "4", "--backoff", "10"];
    let (mut app, _) = start(&[&["--workers", "2"], &options[..]].concat());
    let status = app.end();
    assert_eq!(status.code(), Some(1));
    let seen = app.seen();
    let deaths = seen
        .iter()
        .filter(|line| line.contains(") failed: told to fail"));
    assert!(deaths.count() >= 4, "{seen:#?}");
    let why = "no worker became ready: 4 in a row died before, the last of them, worker ";
    assert!(seen.iter().any(|line| line.contains(why)), "{seen:#?}");
}

/// 8: a worker that hangs at its start.
#[test]
fn a_worker_that_is_not_ready_in_time_is_killed() {
    let (mut app, _) = start(&[
        "--workers",
        "1",
        "--never-ready",
        "--startup",
        "200",
        "--boots",
        "1",
    ]);
    app.line("was not ready in time and is killed");
    assert_eq!(app.end().code(), Some(1));
}

/// 9.
#[test]
fn a_worker_that_is_stuck_or_stopped_is_killed_and_replaced() {
    let (mut app, address) = start(&["--workers", "1", "--heartbeat", "400"]);
    app.ready(1);
    let (looping, _, _) = answer(address);
    let mut stream = connect(address);
    stream.write_all(b"h").unwrap();
    app.line("was silent too long and is killed");
    app.line("was killed by signal 9");
    let (stopped, _, generation) = answer(address);
    assert_ne!(stopped, looping);
    kill_process(stopped, Signal::STOP).unwrap();
    app.line("was silent too long and is killed");
    assert_eq!(answer(address).2, generation + 1);
    app.signal(Signal::TERM);
    assert!(app.end().success());
}

#[test]
fn a_worker_that_fails_or_panics_is_replaced_and_says_why() {
    let (mut app, address) = start(&["--workers", "1"]);
    app.ready(1);
    tell(address, b'e');
    app.line(") failed: told to end");
    app.ready(1);
    tell(address, b'x');
    app.line(") panicked: told to panic");
    app.ready(1);
    assert_eq!(answer(address).2, 2);
    app.signal(Signal::TERM);
    assert!(app.end().success());
}

/// The workers were killed with the master that it ended.
#[test]
fn a_hook_that_panics_ends_nobody() {
    let (mut app, address) = start(&["--workers", "1", "--panicking-hook"]);
    app.line("hooked: worker 0 ");
    let (pid, _, _) = answer(address);
    kill(pid);
    app.line(" was killed by signal 9");
    assert_ne!(answer(address).0, pid);
    app.signal(Signal::TERM);
    assert!(app.end().success());
}

#[test]
fn threads_are_restarted_replaced_and_drained_like_processes() {
    let (mut app, address) = start(&["--threads", "2"]);
    app.ready(2);
    let both = workers(address, 2);
    assert_eq!(both[&0], app.pid());
    assert_eq!(both[&1], app.pid());
    tell(address, b'x');
    app.line("panicked: told to panic");
    app.ready(1);
    app.signal(Signal::HUP);
    app.line("all workers were replaced");
    assert_eq!(workers(address, 2), both);
    let stream = connect(address);
    (&stream).write_all(b"p").unwrap();
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).unwrap();
    (&stream).write_all(b"s").unwrap();
    app.signal(Signal::TERM);
    app.line("the workers drain");
    line.clear();
    BufReader::new(&stream).read_line(&mut line).unwrap();
    assert_eq!(line, "slept\n");
    assert!(app.end().success());
}

/// 20.
#[test]
fn a_request_of_five_seconds_survives_a_drain_of_thirty_and_not_one_of_one() {
    for (drain, survives) in [("30000", true), ("1000", false)] {
        let (mut app, address) = start(&["--workers", "2", "--drain", drain]);
        app.ready(2);
        let stream = connect(address);
        assert!(!ask_on(&stream, b'p').is_empty());
        (&stream).write_all(b"s").unwrap();
        // It is on its way to the worker before the signal is to the master.
        app.signal(Signal::TERM);
        app.line("the workers drain");
        let mut answer = String::new();
        let read = (&stream).read_to_string(&mut answer);
        assert_eq!(answer == "slept\n", survives, "{read:?}: {answer:?}");
        assert!(app.end().success());
    }
}

/// 20: the second signal does not wait.
#[test]
fn the_second_signal_kills() {
    let (mut app, address) = start(&["--workers", "1", "--drain", "600000"]);
    app.ready(1);
    let stream = connect(address);
    assert!(!ask_on(&stream, b'p').is_empty());
    (&stream).write_all(b"h").unwrap();
    app.signal(Signal::TERM);
    app.line("the workers drain");
    app.signal(Signal::INT);
    app.line("has to end at once and is killed");
    assert!(app.end().success());
}

/// 20: what does not obey is killed at the deadline.
#[test]
fn a_worker_that_does_not_drain_is_killed_at_the_deadline() {
    let (mut app, address) = start(&["--workers", "1", "--drain", "300"]);
    app.ready(1);
    let mut stream = connect(address);
    stream.write_all(b"h").unwrap();
    app.signal(Signal::TERM);
    app.line("did not end in time and is killed");
    assert!(app.end().success());
}

/// 23.
#[test]
fn ctrl_c_at_a_terminal_is_one_graceful_drain() {
    let mut command = Command::new("script");
    let app = program("process_app");
    // A shell that stayed would get the signal too, and not every one then ends
    // with the status of the program.
    let line = format!("exec {} --workers 2", app.display());
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    let mut terminal = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut keyboard = terminal.stdin.take().unwrap();
    let mut screen = BufReader::new(terminal.stdout.take().unwrap());
    let mut shown = String::new();
    let mut read_until = |words: &str, count: usize| {
        while shown.matches(words).count() < count {
            assert_ne!(
                screen.read_line(&mut shown).unwrap(),
                0,
                "no {words}: {shown}"
            );
        }
    };
    read_until(" is ready after ", 2);
    keyboard.write_all(b"\x03").unwrap();
    read_until(") ended", 2);
    screen.read_to_string(&mut shown).unwrap();
    assert!(terminal.wait().unwrap().success(), "{shown}");
    assert_eq!(shown.matches("the workers drain").count(), 1, "{shown}");
    assert!(
        !shown.contains("killed") && !shown.contains("started again"),
        "{shown}"
    );
}

#[test]
fn the_lines_of_workers_have_their_names() {
    let (mut app, address) = start(&["--workers", "1"]);
    app.ready(1);
    assert_eq!(ask_worker(address, b'o'), "written");
    app.line("[app 0] a line of output");
    assert_eq!(ask_worker(address, b'o'), "written");
    app.line("[app 0] a line of errors");
    app.signal(Signal::TERM);
    assert!(app.end().success());
}

/// What nobody reads is lost, and holds up neither workers nor master.
#[test]
fn output_that_nobody_reads_stops_nobody() {
    let mut process = Command::new(program("process_app"))
        .args(["--workers", "1", "--heartbeat", "1000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Not read any further; it has room for 64 KiB.
    let mut output = BufReader::with_capacity(128, process.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let words = line.split([' ', ',']);
    let address = words.filter_map(|word| word.parse().ok()).next().unwrap();
    let (pid, _, _) = answer(address);
    let mut stream = connect(address);
    let mut answers = vec![0; 64 * "written\n".len()];
    for _ in 0..100 {
        stream.write_all(&[b'o'; 64]).unwrap();
        stream.read_exact(&mut answers).unwrap();
    }
    assert_eq!(answer(address).0, pid);
    kill_process(Pid::from_child(&process), Signal::TERM).unwrap();
    assert!(process.wait().unwrap().success());
}

#[test]
fn the_pid_file_is_there_as_long_as_the_master() {
    let folder = Folder::new();
    let path = folder.path("pid");
    let (mut app, _) = start(&["--workers", "1", "--pid-file", path.to_str().unwrap()]);
    app.ready(1);
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text, format!("{}\n", app.pid()));
    app.signal(Signal::TERM);
    assert!(app.end().success());
    assert!(!path.exists());
}

#[test]
fn old_workers_are_replaced_without_a_word_of_yours() {
    let (mut app, address) = start(&["--workers", "1", "--max-age", "500"]);
    app.ready(3);
    // The one before drains, but may have accepted one until then.
    while answer(address).2 < 2 {}
    assert!(app.seen().iter().all(|line| !line.contains("killed")));
    app.signal(Signal::TERM);
    app.line("the workers drain");
    assert!(app.end().success());
}

/// Every worker has more than a byte; it is looked at every five seconds.
#[test]
fn large_workers_are_replaced_too() {
    let (mut app, address) = start(&["--workers", "1", "--max-memory", "1"]);
    app.ready(2);
    while answer(address).2 < 1 {}
    assert!(app.seen().iter().all(|line| !line.contains("killed")));
    app.signal(Signal::TERM);
    assert!(app.end().success());
}

#[test]
fn a_master_that_was_stopped_kills_nobody_for_its_own_silence() {
    let (mut app, address) = start(&["--workers", "1", "--heartbeat", "400"]);
    app.ready(1);
    let (pid, _, _) = answer(address);
    app.signal(Signal::STOP);
    std::thread::sleep(Duration::from_millis(1500));
    app.signal(Signal::CONT);
    assert_eq!(answer(address).0, pid);
    app.signal(Signal::TERM);
    assert!(app.end().success());
    assert!(app.seen().iter().all(|line| !line.contains("silent")));
}
