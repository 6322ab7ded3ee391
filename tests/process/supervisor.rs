//! Supervised workers that die, hang, are replaced, drain, or are scaled down.
#![cfg(all(target_os = "linux", not(miri)))]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write, pipe};
use std::net::SocketAddr;
use std::process::Command;
use std::time::Instant;

use coreloop_test_support::deadline::{Deadline, wait_until};
use coreloop_test_support::folder::Folder;
use coreloop_test_support::process::master::{App, Master, ask_on, ask_worker, await_end, copy};
use coreloop_test_support::process::proc::wake_ups;
use coreloop_test_support::program::{Server, connect, program};
use rustix::process::{Pid, Signal, kill_process};

/// More connections than chance gives to one of two workers.
const MANY: usize = 40;

fn start(arguments: &[&str]) -> (Master, SocketAddr) {
    let mut command = Command::new(program("process_app"));
    command.args(arguments);
    let mut app = Master::start(command);
    let address = app.address();
    (app, address)
}

/// Returns the process, the slot and the generation of the worker that answers a new
/// connection.
fn answer(address: SocketAddr) -> (Pid, u32, u64) {
    let line = ask_worker(address, b'p');
    let mut words = line.split(' ');
    let mut word = || words.next().unwrap_or_else(|| panic!("{line:?}"));
    let pid = Pid::from_raw(word().parse().unwrap()).unwrap();
    (pid, word().parse().unwrap(), word().parse().unwrap())
}

/// Returns the process of each slot, found by connecting until there are `count` of them.
fn workers(address: SocketAddr, count: usize) -> BTreeMap<u32, Pid> {
    workers_of(address, count, 0)
}

/// Like `workers`, for workers of this generation or a later one. An old worker may accept
/// another connection until it reads the message to drain.
fn workers_of(address: SocketAddr, count: usize, generation: u64) -> BTreeMap<u32, Pid> {
    let mut workers = BTreeMap::new();
    let deadline = Deadline::new();
    while workers.len() < count {
        deadline.check();
        let (pid, slot, of) = answer(address);
        if of >= generation {
            workers.insert(slot, pid);
        }
    }
    workers
}

/// Sends a request that has no answer.
fn request(address: SocketAddr, byte: u8) {
    let mut stream = connect(address);
    stream.write_all(&[byte]).unwrap();
    // Waits for the end of the connection, which is a reset if the worker is killed.
    let _ = stream.read(&mut [0]);
}

fn kill(pid: Pid) {
    kill_process(pid, Signal::KILL).unwrap();
}

fn milliseconds_in(line: &str) -> f64 {
    let words: Vec<_> = line.split(' ').collect();
    let unit = words.iter().position(|word| *word == "ms").unwrap();
    words[unit - 1].parse().unwrap()
}

/// A worker that is killed has a successor in its slot, of the next generation, which
/// serves the connections that came to its socket meanwhile.
#[test]
fn a_killed_worker_is_replaced() {
    let (mut app, address) = start(&["--workers", "2", "--restarts", "100"]);
    app.ready(2);
    let mut times = Vec::new();
    for _ in 0..20 {
        let (pid, slot, generation) = answer(address);
        let killed = Instant::now();
        kill(pid);
        // Until it has ended it may accept one more connection.
        await_end(pid);
        let deadline = Deadline::new();
        let (new, next) = loop {
            deadline.check();
            let (new, of, next) = answer(address);
            if of == slot {
                break (new, next);
            }
        };
        times.push(killed.elapsed());
        assert_ne!(new, pid);
        assert_eq!(next, generation + 1);
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

/// When the master is scaled up and down again, the workers that stay keep their
/// processes and serve all connections.
#[test]
fn workers_are_added_and_retired() {
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

/// A reload replaces every worker, and an old worker finishes the request that it has
/// begun.
#[test]
fn a_reload_replaces_all_workers_and_breaks_no_request() {
    let (mut app, address) = start(&["--workers", "2"]);
    app.ready(2);
    let old = workers(address, 2);
    let mut begun = connect(address);
    begun.write_all(b"s").unwrap();
    app.signal(Signal::HUP);
    app.line("all workers were replaced");
    let new = workers_of(address, 2, 1);
    assert!(new.values().all(|pid| old.values().all(|old| old != pid)));
    assert_eq!(ask_on(&begun, b'!'), "served");
    drop(begun);
    for &pid in old.values() {
        await_end(pid);
    }
    app.signal(Signal::TERM);
    assert!(app.end().success());
}

/// A client whose connection is kept alive reads its end on a reload, and no reset.
#[test]
fn kept_alive_connections_end_without_a_reset_on_reload() {
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

/// The master starts workers from the program that it runs, even if the program's file was
/// replaced or removed.
#[test]
fn workers_are_started_after_the_program_was_replaced_on_disk() {
    let folder = Folder::new();
    let path = folder.path("app");
    copy(&program("process_app"), &path);
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
    await_end(old);
    let (next, _, generation) = answer(address);
    assert_eq!(generation, 1);
    fs::remove_file(&path).unwrap();
    app.signal(Signal::HUP);
    app.line("all workers were replaced");
    await_end(next);
    assert_eq!(answer(address).2, 2);
    app.signal(Signal::TERM);
    assert!(app.end().success());
}

/// While a slot is in back-off, the other worker serves the connections to its socket.
#[test]
fn another_worker_serves_the_connections_of_a_slot_in_backoff() {
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

/// A worker that crashes repeatedly is started again at once at first, and then after the
/// growing waits of the policy.
#[test]
fn a_crash_loop_is_slowed_down_by_the_policy() {
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
        request(address, b'c');
        app.line("was killed by signal 6");
        app.ready(1);
    }
    assert!(
        app.seen()
            .iter()
            .all(|line| !line.contains("is started again"))
    );
    for (least, most) in [(100.0, 200.0), (150.0, 300.0), (150.0, 300.0)] {
        request(address, b'c');
        let line = app.line("is started again in ");
        let wait = milliseconds_in(&line);
        assert!((least..=most).contains(&wait), "{line}");
        app.ready(1);
    }
    assert_eq!(answer(address).2, 5);
    app.signal(Signal::TERM);
    assert!(app.end().success());
}

/// A program whose workers all die before they are ready ends with a failure and the
/// reason, instead of starting workers for ever.
#[test]
fn a_program_whose_workers_are_never_ready_ends_and_says_why() {
    let options = ["--fail-before-ready", "--boots", "4", "--backoff", "10"];
    let (mut app, _) = start(&[&["--workers", "2"], &options[..]].concat());
    let status = app.end();
    assert_eq!(status.code(), Some(1));
    let seen = app.seen();
    let deaths = seen
        .iter()
        .filter(|line| line.contains(") failed: asked to fail"));
    assert!(deaths.count() >= 4, "{seen:#?}");
    let why = "no worker became ready: 4 in a row died before, the last of them, worker ";
    assert!(seen.iter().any(|line| line.contains(why)), "{seen:#?}");
}

/// Such an end was not counted, because the worker drains before: the program was restarted for
/// ever.
#[test]
fn a_program_whose_workers_return_before_they_are_ready_ends_and_says_why() {
    let (mut app, _) = start(&["--return-before-ready=0", "--boots=4", "--backoff=10"]);
    assert!(!app.end().success());
    let lines = app.seen().join("\n");
    assert!(
        lines.contains("no worker became ready: 4 in a row died before"),
        "{lines}"
    );
}

/// The request was never answered.
#[test]
fn scaling_to_a_worker_that_returns_before_it_is_ready_is_answered() {
    let app = App::new();
    let mut master = Master::start(app.command(&["--workers=1", "--return-before-ready=1"]));
    master.ready(1);
    let error = app.ask("scale 2").unwrap_err();
    assert_eq!(error, "worker 1 ended before it was ready");
    master.signal(Signal::TERM);
    assert!(master.end().success());
}

/// A worker that is stopped or busy keeps its share of the connections waiting only until the
/// master misses a heartbeat.
#[test]
fn another_worker_serves_the_connections_of_a_worker_that_is_silent() {
    let (mut app, address) = start(&["--workers=2", "--heartbeat=12000"]);
    app.ready(2);
    let before = workers(address, 2);
    kill_process(before[&0], Signal::STOP).unwrap();
    // Half of them wait for the stopped worker at first.
    let waiting: Vec<_> = (0..32).map(|_| connect(address)).collect();
    for stream in &waiting {
        let line = ask_on(stream, b'p');
        assert!(line.starts_with(&format!("{} ", before[&1])), "{line}");
    }
    kill_process(before[&0], Signal::CONT).unwrap();
    assert_eq!(workers(address, 2), before, "it serves again");
    app.signal(Signal::TERM);
    assert!(app.end().success());
}

/// The master kills a worker that hangs at its start.
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

/// The master kills and replaces a worker whose loop does not run, because the worker is in
/// an endless loop or was stopped.
#[test]
fn a_worker_that_is_stuck_or_stopped_is_killed_and_replaced() {
    let (mut app, address) = start(&["--workers", "1", "--heartbeat", "1000"]);
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
fn a_worker_that_fails_or_panics_is_replaced_and_reports_why() {
    let (mut app, address) = start(&["--workers", "1"]);
    app.ready(1);
    request(address, b'e');
    app.line(") failed: asked to end");
    app.ready(1);
    request(address, b'x');
    app.line(") panicked: asked to panic");
    app.ready(1);
    assert_eq!(answer(address).2, 2);
    app.signal(Signal::TERM);
    assert!(app.end().success());
}

/// A panic of the hook once ended the master, and so all workers.
#[test]
fn a_hook_that_panics_ends_no_process() {
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
    request(address, b'x');
    app.line("panicked: asked to panic");
    app.ready(1);
    app.signal(Signal::HUP);
    app.line("all workers were replaced");
    assert_eq!(workers(address, 2), both);
    let mut stream = connect(address);
    assert!(!ask_on(&stream, b'p').is_empty());
    stream.write_all(b"s").unwrap();
    app.signal(Signal::TERM);
    app.line("the workers drain");
    assert_eq!(ask_on(&stream, b'!'), "served");
    assert!(app.end().success());
}

/// A draining worker finishes its request if the time to drain is long enough, and drops the
/// request if not.
#[test]
fn a_request_survives_only_a_drain_that_is_longer_than_it() {
    for (drain, survives) in [("600000", true), ("300", false)] {
        let (mut app, address) = start(&["--workers", "2", "--drain", drain]);
        app.ready(2);
        let mut stream = connect(address);
        assert!(!ask_on(&stream, b'p').is_empty());
        stream.write_all(b"s").unwrap();
        // The request is sent to the worker before the signal to the master.
        app.signal(Signal::TERM);
        app.line("the workers drain");
        // Otherwise the request runs as long as the worker.
        if survives {
            stream.write_all(b"!").unwrap();
        }
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        assert_eq!(answer == "served\n", survives, "{read:?}: {answer:?}");
        assert!(app.end().success());
    }
}

/// The second signal ends the workers at once, however long they may drain.
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

/// The master kills a worker that has not ended when the time to drain has passed.
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

/// Ctrl-C at a terminal reaches the workers too, as they are in the foreground with their
/// master. Still they drain once: no worker is killed or started again.
#[test]
fn ctrl_c_at_a_terminal_is_one_graceful_drain() {
    let mut command = Command::new("script");
    let app = program("process_app");
    // A shell that stayed would get the signal too, and not every shell then ends with the
    // status of the program.
    let line = format!("exec {} --workers 2", app.display());
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    let (input, mut keyboard) = pipe().unwrap();
    let mut terminal = Master::start_with(command, input.into());
    terminal.ready(2);
    keyboard.write_all(b"\x03").unwrap();
    assert!(terminal.end().success());
    let shown = terminal.seen();
    let count = |words: &str| shown.iter().filter(|line| line.contains(words)).count();
    assert_eq!(count(") ended"), 2, "{shown:#?}");
    assert_eq!(count("the workers drain"), 1, "{shown:#?}");
    assert_eq!(count("killed") + count("started again"), 0, "{shown:#?}");
}

#[test]
fn the_lines_of_workers_are_prefixed() {
    let (mut app, address) = start(&["--workers", "1"]);
    app.ready(1);
    assert_eq!(ask_worker(address, b'o'), "written");
    app.line("[app 0] a line of output");
    assert_eq!(ask_worker(address, b'o'), "written");
    app.line("[app 0] a line of errors");
    app.signal(Signal::TERM);
    assert!(app.end().success());
}

/// Output that is not read is lost, and blocks neither the workers nor the master.
#[test]
fn output_that_is_not_read_blocks_no_process() {
    let arguments = ["--workers", "1", "--no-heartbeat"];
    let mut app = Server::start("process_app", &arguments);
    // The pipe is not read any further; it has room for 64 KiB.
    let address = app.read_address();
    let (pid, _, _) = answer(address);
    let mut stream = connect(address);
    let requests = [b'o'; 6400];
    stream.write_all(&requests).unwrap();
    let mut answers = vec![0; requests.len() * "written\n".len()];
    stream.read_exact(&mut answers).unwrap();
    assert_eq!(answer(address).0, pid);
    let master = Pid::from_child(&app.process);
    kill_process(master, Signal::TERM).unwrap();
    await_end(master);
    app.finish();
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

/// A worker that has reached the maximum age is replaced without a request, and is not
/// killed.
#[test]
fn workers_of_the_maximum_age_are_replaced() {
    let (mut app, address) = start(&["--workers", "1", "--max-age", "500"]);
    app.ready(3);
    workers_of(address, 1, 2);
    assert!(app.seen().iter().all(|line| !line.contains("killed")));
    app.signal(Signal::TERM);
    app.line("the workers drain");
    assert!(app.end().success());
}

/// A worker that has more than the maximum memory is replaced. The master checks every five
/// seconds, and here the maximum is one byte.
#[test]
fn workers_with_too_much_memory_are_replaced() {
    let (mut app, address) = start(&["--workers", "1", "--max-memory", "1"]);
    app.ready(2);
    workers_of(address, 1, 1);
    assert!(app.seen().iter().all(|line| !line.contains("killed")));
    app.signal(Signal::TERM);
    assert!(app.end().success());
}

/// A master that was stopped for longer than a worker may be silent reads the heartbeats
/// that have come meanwhile, and does not kill the worker.
#[test]
fn a_master_that_was_stopped_kills_no_worker() {
    let (mut app, address) = start(&["--workers", "1", "--heartbeat", "1000"]);
    app.ready(1);
    let (pid, _, _) = answer(address);
    app.signal(Signal::STOP);
    // The worker sends four heartbeats in the time that it may be silent.
    let before = wake_ups(pid);
    wait_until(|| wake_ups(pid) >= before + 12);
    app.signal(Signal::CONT);
    assert_eq!(answer(address).0, pid);
    app.signal(Signal::TERM);
    assert!(app.end().success());
    assert!(app.seen().iter().all(|line| !line.contains("silent")));
}
