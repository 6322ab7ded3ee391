//! The statistics, metrics and health that a master reports, over the control socket
//! and over HTTP.
#![cfg(all(target_os = "linux", not(miri)))]

use std::collections::{BTreeMap, HashSet};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Command, Stdio};

use coreloop_test_support::deadline::wait_until;
use coreloop_test_support::process::master::{App, Master, ask_on, ask_worker, worker_at};
use coreloop_test_support::program::{PATIENCE, connect, exchange};
use coreloop_test_support::server_process::find;
use rustix::process::{Signal, kill_process};

/// The workers send no heartbeats, so each number was sent because it was asked for.
#[test]
fn status_shows_the_connections_of_each_worker() {
    for workers in ["--workers=2", "--threads=2"] {
        let app = App::new();
        let mut master = Master::start(app.command(&[workers, "--no-heartbeat"]));
        let address = master.address();
        master.ready(2);
        let mut clients: Vec<_> = (0..5).map(|_| connect(address)).collect();
        for client in &mut clients {
            exchange(client, b"1");
        }
        let status = app.ask("status").unwrap();
        let of_master = status.lines().next().unwrap();
        assert!(
            of_master.ends_with(" workers=2 connections=5 accepted=5 lost_lines=0"),
            "{status}"
        );
        let rows: Vec<_> = status.lines().skip(1).map(pairs).collect();
        assert_eq!(rows.len(), 2, "{status}");
        for key in ["connections", "accepted"] {
            let sum: u64 = rows
                .iter()
                .map(|row| row[key].parse::<u64>().unwrap())
                .sum();
            assert_eq!(sum, 5, "{status}");
        }
        for row in &rows {
            assert!(
                row["cpu"].ends_with('s') && row["beat_age"].ends_with('s'),
                "{status}"
            );
            assert_eq!(row["last_end"], "-");
            let is_process = workers == "--workers=2";
            assert_eq!(row["memory"].parse::<u64>().is_ok(), is_process, "{status}");
            assert_eq!(row["pid"] == "-", !is_process, "{status}");
        }
        let json = app.ask("status json").unwrap();
        assert_eq!(json.lines().count(), 1);
        assert!(
            json.contains("\"workers\":2,\"connections\":5,\"accepted\":5,\"lost_lines\":0}"),
            "{json}"
        );

        drop(clients);
        wait_until(|| {
            let status = app.ask("status").unwrap();
            status
                .lines()
                .next()
                .unwrap()
                .ends_with(" connections=0 accepted=5 lost_lines=0")
        });
        master.signal(Signal::TERM);
        assert!(master.end().success());
    }
}

#[test]
fn status_shows_how_the_last_worker_ended() {
    let app = App::new();
    let mut master = Master::start(app.command(&["--workers=1", "--restarts=9"]));
    let address = master.address();
    master.ready(1);
    let last_end = || {
        let status = app.ask("status").unwrap();
        let row = pairs(status.lines().nth(1).unwrap());
        row["last_end"].to_owned()
    };
    kill_process(worker_at(address), Signal::KILL).unwrap();
    master.ready(1);
    assert_eq!(last_end(), "was killed by signal 9");
    let mut client = connect(address);
    client.write_all(b"e").unwrap();
    master.ready(1);
    assert_eq!(last_end(), "failed: asked to end");
    assert!(app.ask("reload").is_ok());
    wait_until(|| last_end() == "drained");
    // The worker's counts stay when it has ended.
    let status = app.ask("status").unwrap();
    let of_master = pairs(status.lines().next().unwrap());
    assert_eq!(
        (
            of_master["connections"].as_str(),
            of_master["accepted"].as_str()
        ),
        ("0", "1")
    );
    master.signal(Signal::TERM);
    assert!(master.end().success());
}

/// A worker whose loop stands still was not waited for without a limit, and questions did not
/// fill its socket.
#[test]
fn a_silent_worker_is_shown_with_its_last_numbers() {
    let app = App::new();
    let mut master = Master::start(app.command(&["--workers=2", "--no-heartbeat"]));
    let address = master.address();
    master.ready(2);
    app.ask("status").unwrap();
    let stopped = worker_at(address);
    kill_process(stopped, Signal::STOP).unwrap();
    let row = |status: &str| {
        let pid = format!(" pid={} ", stopped.as_raw_nonzero());
        pairs(status.lines().find(|line| line.contains(&pid)).unwrap())
    };
    let age = |row: &BTreeMap<String, String>| {
        let seconds = row["beat_age"].strip_suffix('s').unwrap();
        seconds.parse::<f64>().unwrap()
    };
    let before = row(&app.ask("status").unwrap());
    wait_until(|| age(&row(&app.ask("status").unwrap())) > age(&before) + 0.5);
    for command in ["metrics", "status json"].repeat(5) {
        app.ask(command).unwrap();
    }
    kill_process(stopped, Signal::CONT).unwrap();
    wait_until(|| age(&row(&app.ask("status").unwrap())) < 0.2);
    assert_eq!(app.workers().len(), 2);
    master.signal(Signal::TERM);
    assert!(master.end().success());
}

/// Counters fell when a worker was replaced.
#[test]
fn counters_never_fall_and_are_valid() {
    let app = App::new();
    let mut master = Master::start(app.command(&["--workers=2", "--no-heartbeat", "--restarts=9"]));
    let address = master.address();
    master.ready(2);
    let asked = r#"asked_total{by="\"a\\b\n\""}"#;
    let count = || metrics(&app)[asked];
    for _ in 0..6 {
        assert_eq!(ask_worker(address, b'q'), "counted");
    }
    let before = metrics(&app);
    assert!((before[asked] - 6.0).abs() < 0.1);
    assert!((before[r#"coreloop_worker_up{worker="0"}"#] - 1.0).abs() < 0.1);
    assert!(before[r#"coreloop_polls_total{worker="1"}"#] > 0.0);
    assert!(before.contains_key(r#"coreloop_worker_memory_bytes{worker="0"}"#));
    let slots = before["last_slot"];
    assert!((1.0..=3.0).contains(&slots), "{slots}");

    // The last known value of a killed worker stays counted.
    for pid in app.workers() {
        kill_process(pid, Signal::KILL).unwrap();
        master.ready(1);
    }
    assert!((count() - 6.0).abs() < 0.1);
    // A gauge has the values of living workers only.
    assert!(!metrics(&app).contains_key("last_slot"));
    // What a worker counts at its end is sent at its end.
    assert_eq!(ask_worker(address, b'q'), "counted");
    let old: HashSet<_> = app.workers().into_iter().collect();
    app.ask("reload").unwrap();
    wait_until(|| app.all_workers().iter().all(|pid| !old.contains(pid)));
    wait_until(|| (count() - 7.0).abs() < 0.1);
    let after = metrics(&app);
    for (sample, value) in before.iter().filter(|(name, _)| name.contains("_total")) {
        assert!(
            after.get(sample).is_some_and(|now| now >= value),
            "{sample} fell"
        );
    }
    master.signal(Signal::TERM);
    assert!(master.end().success());
}

/// The threads of a process share its metrics, which were counted once for each thread.
#[test]
fn the_metrics_of_threads_are_counted_once() {
    let app = App::new();
    let mut master = Master::start(app.command(&["--threads=3"]));
    let address = master.address();
    master.ready(3);
    for _ in 0..4 {
        assert_eq!(ask_worker(address, b'q'), "counted");
    }
    let all = metrics(&app);
    assert!((all[r#"asked_total{by="\"a\\b\n\""}"#] - 4.0).abs() < 0.1);
    master.signal(Signal::TERM);
    assert!(master.end().success());
}

#[test]
fn health_and_metrics_are_served_over_http_through_upgrades() {
    let app = App::new();
    let late = app.folder.path("late");
    let arguments = [
        "--workers=2",
        "--observe=127.0.0.1:0",
        &format!("--late={}", late.display()),
    ];
    let mut master = Master::start(app.command(&arguments));
    let observed = observed(&mut master);
    let address = master.address();
    let starting = get(observed, "GET /readyz HTTP/1.1\r\n\r\n");
    assert!(
        starting.starts_with("HTTP/1.1 503 Service Unavailable\r\n"),
        "{starting}"
    );
    assert!(
        starting.ends_with("\r\n\r\nthe workers are starting\n"),
        "{starting}"
    );
    assert_eq!(app.ask("ready").unwrap_err(), "the workers are starting");
    assert_eq!(app.ask("live").unwrap(), "");
    std::fs::write(&late, "").unwrap();
    master.ready(2);
    wait_until(|| app.ask("ready").is_ok());
    assert_eq!(ask_worker(address, b'q'), "counted");

    for path in ["/livez", "/readyz"] {
        let healthy = get(observed, &format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(healthy.starts_with("HTTP/1.1 200 OK\r\n"), "{healthy}");
        assert!(healthy.ends_with("\r\n\r\nok\n"), "{healthy}");
    }
    let plain = get(observed, "GET /metrics HTTP/1.1\r\n\r\n");
    assert!(plain.contains("text/plain; version=0.0.4"), "{plain}");
    assert!(plain.contains("# TYPE asked_total counter\n"), "{plain}");
    let (_, body) = plain.split_once("\r\n\r\n").unwrap();
    check_with_promtool(body);
    let open = get(
        observed,
        "GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text; version=1.0.0\r\n\r\n",
    );
    assert!(
        open.contains(
            "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"
        )
    );
    let (_, body) = open.split_once("\r\n\r\n").unwrap();
    parse(body);
    let head = get(observed, "HEAD /metrics HTTP/1.1\r\n\r\n");
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    for (request, status) in [
        ("GET /x HTTP/1.1\r\n\r\n", "404 Not Found"),
        (
            "POST /metrics HTTP/1.1\r\nContent-Length: 2\r\n\r\nab",
            "405 Method Not Allowed",
        ),
        ("nonsense\r\n\r\n", "400 Bad Request"),
        (
            &format!("GET / HTTP/1.1\r\nA: {}", "x".repeat(9000)),
            "431 ",
        ),
    ] {
        let answer = get(observed, request);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{request}: {answer}"
        );
    }
    master.signal(Signal::TERM);
    assert!(master.end().success());
}

/// A probe was answered only when the time of the silent clients had passed.
#[test]
fn silent_clients_of_the_http_server_make_room_for_others() {
    let (app, mut master, observed) = start_observed();
    let silent: Vec<_> = (0..33)
        .map(|_| TcpStream::connect(observed).unwrap())
        .collect();
    let healthy = get(observed, "GET /livez HTTP/1.1\r\n\r\n");
    assert!(healthy.starts_with("HTTP/1.1 200 OK\r\n"), "{healthy}");
    // 32 are served at a time. The first ones are closed without an answer.
    for mut oldest in &silent[..2] {
        oldest.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answer = String::new();
        oldest.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "");
    }
    let mut last = &silent[32];
    last.write_all(b"GET /livez HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = String::new();
    last.read_to_string(&mut answer).unwrap();
    // On a slow machine, it may have been silent for too long.
    assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    app.ask("stop").unwrap();
    assert!(master.end().success());
}

/// The new master could not bind the address of the old one, or a client was refused meanwhile.
#[test]
fn no_client_of_the_http_server_is_refused_during_upgrades() {
    let (app, mut master, observed) = start_observed();
    for _ in 0..2 {
        let before = app.master();
        std::thread::scope(|scope| {
            let upgrade = scope.spawn(|| app.ask("upgrade"));
            while !upgrade.is_finished() {
                let healthy = get(observed, "GET /readyz HTTP/1.1\r\n\r\n");
                assert!(healthy.ends_with("\r\n\r\nok\n"), "{healthy}");
            }
            upgrade.join().unwrap().unwrap();
        });
        wait_until(|| kill_process(before, Signal::CONT).is_err() || app.master() != before);
        assert_ne!(app.master(), before);
        for _ in 0..20 {
            let text = get(observed, "GET /metrics HTTP/1.1\r\n\r\n");
            assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        }
    }
    app.ask("stop").unwrap();
    assert!(master.end().success());
}

#[test]
fn during_the_drain_delay_a_master_is_not_ready_and_its_workers_accept() {
    let app = App::new();
    // Longer than the test.
    let arguments = [
        "--workers=1",
        "--observe=127.0.0.1:0",
        "--drain-delay=1000000",
    ];
    let mut master = Master::start(app.command(&arguments));
    let observed = observed(&mut master);
    let address = master.address();
    master.ready(1);
    let worker = worker_at(address);
    master.signal(Signal::TERM);
    wait_until(|| app.ask("ready").is_err());
    assert_eq!(app.ask("ready").unwrap_err(), "the master is ending");
    let unready = get(observed, "GET /readyz HTTP/1.1\r\n\r\n");
    assert!(unready.starts_with("HTTP/1.1 503 "), "{unready}");
    assert_eq!(app.ask("live").unwrap(), "");
    assert_eq!(worker_at(address), worker);
    assert!(app.ask("reload").is_err());
    // A worker that dies is replaced.
    kill_process(worker, Signal::KILL).unwrap();
    master.ready(1);
    assert_ne!(worker_at(address), worker);
    // The second signal skips the delay, and kills.
    let waits = connect(address);
    (&waits).write_all(b"w").unwrap();
    master.signal(Signal::TERM);
    assert!(master.end().success());
    drop(waits);
}

#[test]
fn after_the_drain_delay_the_workers_drain() {
    let app = App::new();
    let mut master = Master::start(app.command(&["--workers=1", "--drain-delay=50"]));
    let address = master.address();
    master.ready(1);
    let client = connect(address);
    assert!(!ask_on(&client, b'p').is_empty());
    (&client).write_all(b"w").unwrap();
    master.signal(Signal::TERM);
    let mut answer = String::new();
    (&client).read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "waited\n");
    assert!(master.end().success());
}

/// Starts an app with one worker, and returns the address of its HTTP server too.
fn start_observed() -> (App, Master, SocketAddr) {
    let app = App::new();
    let mut master = Master::start(app.command(&["--workers=1", "--observe=127.0.0.1:0"]));
    let observed = observed(&mut master);
    master.address();
    master.ready(1);
    (app, master, observed)
}

fn observed(master: &mut Master) -> SocketAddr {
    let line = master.line("observed at ");
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Sends a request as it is, and returns the whole answer.
fn get(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let _ = stream.shutdown(Shutdown::Both);
    answer
}

/// Returns the `key=value` pairs of a line of the status. The last value may have spaces.
fn pairs(line: &str) -> BTreeMap<String, String> {
    let (line, last_end) = line.split_once(" last_end=").unwrap_or((line, ""));
    let mut pairs: BTreeMap<_, _> = line
        .split(' ')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    pairs.insert("last_end".to_owned(), last_end.to_owned());
    pairs
}

fn metrics(app: &App) -> BTreeMap<String, f64> {
    parse(&app.ask("metrics").unwrap())
}

/// Parses the text of OpenMetrics strictly, and returns the samples.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let text = text.strip_suffix("# EOF\n").expect("the end of the text");
    let mut families = HashSet::new();
    let (mut family, mut suffix) = ("", "");
    let mut helped = "";
    let mut samples = BTreeMap::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            helped = help.split_once(' ').expect("a help text").0;
        } else if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').expect("a type");
            assert!(families.insert(name), "{name} comes twice");
            assert!(helped.is_empty() || helped == name, "the help of {helped}");
            helped = "";
            family = name;
            suffix = match kind {
                "counter" => "_total",
                "gauge" => "",
                other => panic!("{other}"),
            };
        } else {
            let (sample, value) = line.rsplit_once(' ').expect("a value");
            let name = sample.split('{').next().unwrap();
            assert_eq!(name, format!("{family}{suffix}"), "{line}");
            assert!(
                sample.len() == name.len() || sample.ends_with("\"}"),
                "{line}"
            );
            let value: f64 = value.parse().unwrap();
            assert!(value >= 0.0 || suffix.is_empty(), "{line}");
            assert!(
                samples.insert(sample.to_owned(), value).is_none(),
                "{line} comes twice"
            );
        }
    }
    samples
}

/// Checks metrics in the older format by the program of Prometheus, if it is installed.
fn check_with_promtool(text: &str) {
    let Some(promtool) = find("promtool", &[]) else {
        return;
    };
    let mut promtool = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = promtool.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{text}");
}
