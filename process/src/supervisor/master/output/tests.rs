//! Tests of a sink with its thread, and of the form of lines.

use std::fs::{self, File};
use std::io::{Read, pipe};
use std::os::unix::fs::symlink;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use coreloop_test_support::deadline::wait_until;
use coreloop_test_support::folder::Folder;
use rustix::io::ioctl_fionbio;

use super::*;
use crate::supervisor::log::{Form, LogLine};

const LIMIT: usize = 64 << 10;

fn format(form: Form) -> Format {
    Format::new(form, false, "echo")
}

fn text_to(file: LogFile, limit: usize) -> Rc<Sink> {
    let writer = Writer::to(Destination::File(file), format(Form::Text));
    Sink::start("test", writer, limit).unwrap()
}

fn lines_of(stream: LogStream, lines: &[u8]) -> Entry {
    let source = Source {
        slot: 7,
        pid: 42,
        stream,
    };
    Entry::Lines {
        source,
        time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_769_860_800_123),
        lines: lines.into(),
    }
}

fn write(sink: &Sink, lines: &str) {
    sink.write(lines_of(LogStream::Stdout, lines.as_bytes()));
}

fn event(event: &Event) -> Entry {
    Entry::Event(Box::new(EventEntry {
        time: SystemTime::UNIX_EPOCH,
        facts: EventFacts::of(event),
        text: event.to_string(),
    }))
}

fn reopen(sink: &Sink) -> Result<(), String> {
    sink.reopen().recv().unwrap()
}

fn finish(sink: Rc<Sink>) {
    Rc::into_inner(sink).unwrap().finish();
}

/// Returns the first numbers of the lines that tell of lost lines.
fn told(written: &str) -> Vec<u64> {
    let gaps = written.lines().filter(|line| line.contains(" lost here: "));
    gaps.map(|line| line[1..].split(' ').next().unwrap().parse().unwrap())
        .collect()
}

#[test]
fn lines_for_a_reader_that_is_slow_are_lost_counted_and_told() {
    let (mut reader, writer) = pipe().unwrap();
    let sink = text_to(LogFile::from_file(writer), LIMIT);
    let mut sent = 0;
    while sink.lost_lines() < 100 {
        write(&sink, &format!("{sent}\n"));
        sent += 1;
    }
    wait_until(|| {
        let _ = reader.read(&mut [0; 4096]).unwrap();
        let lost = sink.lost_lines();
        write(&sink, "next\n");
        lost == sink.lost_lines()
    });
    let lost = sink.lost_lines();
    drop(sink);
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert!(rest.contains(": the output was not read]\n[echo 7] next\n"));
    assert_eq!(told(&rest), [lost]);
}

/// The queue was bounded in pieces, and 512 pieces of empty lines became 576 MB with a long
/// name.
#[test]
fn the_queue_is_bounded_in_bytes_however_short_the_lines_and_long_the_name() {
    let (_reader, pipe) = pipe().unwrap();
    let format = Format::new(Form::Text, false, &"n".repeat(200));
    let writer = Writer::to(Destination::File(LogFile::from_file(pipe)), format);
    let sink = Sink::start("test", writer, LIMIT).unwrap();
    let empty = "\n".repeat(lines::MAX_LINE);
    for _ in 0..100 {
        write(&sink, &empty);
        write(&sink, "\n");
        let (accounted, taken) = sink.bytes();
        assert!(accounted <= LIMIT, "{accounted}");
        assert!(taken <= LIMIT, "{taken}");
    }
    for _ in 0..10_000 {
        write(&sink, "\n");
    }
    let (accounted, taken) = sink.bytes();
    assert!(accounted <= LIMIT && taken <= LIMIT, "{accounted}, {taken}");
    assert!(sink.lost_lines() > 100 * 10_000);
}

#[test]
fn a_queue_without_room_takes_one_entry_at_a_time() {
    let (mut reader, writer) = pipe().unwrap();
    let sink = text_to(LogFile::from_file(writer), 0);
    write(&sink, "one\n");
    wait_until(|| sink.bytes().0 == 0);
    write(&sink, "two\n");
    finish(sink);
    let mut written = String::new();
    reader.read_to_string(&mut written).unwrap();
    assert_eq!(written, "[echo 7] one\n[echo 7] two\n");
}

/// Lines were lost without a word when the pipe was full.
#[test]
fn a_pipe_that_does_not_block_is_waited_for() {
    let (mut reader, writer) = pipe().unwrap();
    ioctl_fionbio(&writer, true).unwrap();
    let sink = text_to(LogFile::from_file(writer), 1 << 20);
    let mut expected = String::new();
    for number in 0..2_000 {
        let line = format!("{number} {}\n", "x".repeat(number % 150));
        write(&sink, &line);
        expected.push_str(&format!("[echo 7] {line}"));
    }
    assert_eq!(sink.lost_lines(), 0);
    // The thread ends when all is written, and closes the pipe.
    drop(sink);
    let mut written = String::new();
    reader.read_to_string(&mut written).unwrap();
    assert!(written == expected, "{} bytes", written.len());
}

/// `/dev/full` is a disk that is full, on systems that have it.
#[test]
fn lines_that_a_full_disk_refuses_are_counted_and_told_when_it_has_room() {
    if !fs::exists("/dev/full").unwrap() {
        return;
    }
    let folder = Folder::new();
    let path = folder.path("log");
    symlink("/dev/full", &path).unwrap();
    let sink = text_to(LogFile::open(&path).unwrap(), LIMIT);
    write(&sink, "one\ntwo\n");
    write(&sink, "three\n");
    wait_until(|| sink.lost_lines() == 3);
    fs::remove_file(&path).unwrap();
    assert_eq!(reopen(&sink), Ok(()));
    write(&sink, "four\n");
    assert_eq!(sink.lost_lines(), 3);
    finish(sink);
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        "[3 lines were lost here: No space left on device]\n[echo 7] four\n"
    );
}

#[test]
fn a_reader_that_has_ended_is_an_error_and_its_lines_are_counted() {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let sink = text_to(LogFile::from_file(writer), LIMIT);
    write(&sink, "one\ntwo\n");
    wait_until(|| sink.lost_lines() == 2);
    finish(sink);
}

#[test]
fn reopened_files_have_each_line_once() {
    let folder = Folder::new();
    let (path, old) = (folder.path("log"), folder.path("log.1"));
    let sink = text_to(LogFile::open(&path).unwrap(), LIMIT);
    write(&sink, "one\n");
    fs::rename(&path, &old).unwrap();
    write(&sink, "two\n");
    assert_eq!(reopen(&sink), Ok(()));
    write(&sink, "three\n");
    finish(sink);
    let old = fs::read_to_string(&old).unwrap();
    assert_eq!(old, "[echo 7] one\n[echo 7] two\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), "[echo 7] three\n");
}

#[test]
fn a_file_that_cannot_be_reopened_stays_in_use() {
    let folder = Folder::new();
    let path = folder.path("log");
    let sink = text_to(LogFile::open(&path).unwrap(), LIMIT);
    let old = folder.path("old");
    fs::rename(&path, &old).unwrap();
    fs::create_dir(&path).unwrap();
    let error = reopen(&sink).unwrap_err();
    assert!(error.starts_with(&format!("cannot open the log file {}: ", path.display())));
    write(&sink, "one\n");
    finish(sink);
    assert_eq!(fs::read_to_string(&old).unwrap(), "[echo 7] one\n");
}

#[test]
fn a_hook_gets_each_line_and_its_panics_are_counted() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let seen_by_hook = Arc::clone(&seen);
    let hook = move |line: &LogLine<'_>| {
        let text = String::from_utf8_lossy(line.message).into_owned();
        assert_ne!(text, "panic");
        let LogLine {
            slot,
            stream,
            event,
            program,
            ..
        } = *line;
        assert_eq!(program, "echo");
        let event = event.map(str::to_owned);
        seen_by_hook
            .lock()
            .unwrap()
            .push((stream, slot, event, text));
    };
    let sink = Sink::start("test", Writer::hook(Arc::new(hook), "echo"), LIMIT).unwrap();
    sink.write(lines_of(LogStream::Stderr, b"one\npanic\n"));
    sink.write(event(&Event::Stopping));
    wait_until(|| seen.lock().unwrap().len() == 3);
    assert_eq!(sink.lost_lines(), 1);
    finish(sink);
    let text = |text: &str| text.to_owned();
    assert_eq!(
        *seen.lock().unwrap(),
        [
            (LogStream::Stderr, Some(7), None, text("one")),
            (
                LogStream::Master,
                None,
                Some(text("lost")),
                text("1 line was lost here: the hook panicked")
            ),
            (
                LogStream::Master,
                None,
                Some(text("stopping")),
                text("stopping: the workers drain")
            ),
        ]
    );
}

/// Neither the loop nor the workers wait for a hook that blocks.
#[test]
fn a_hook_that_blocks_delays_no_write() {
    let (let_go, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let hook = move |_: &LogLine<'_>| {
        let _ = gate.lock().unwrap().recv();
    };
    let sink = Sink::start("test", Writer::hook(Arc::new(hook), "echo"), LIMIT).unwrap();
    for _ in 0..100_000 {
        write(&sink, "line\n");
    }
    assert!(sink.lost_lines() > 0);
    drop(let_go);
    finish(sink);
}

fn formatted(format: &Format, line: &LogLine<'_>) -> String {
    let mut written = Vec::new();
    format.line(&mut written, line);
    String::from_utf8(written).unwrap()
}

fn line(message: &[u8]) -> LogLine<'_> {
    LogLine {
        time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_769_860_800_123),
        program: "",
        slot: Some(7),
        pid: 42,
        worker: None,
        stream: LogStream::Stdout,
        event: None,
        is_failure: false,
        message,
    }
}

#[test]
fn text_has_the_time_if_asked_for_and_no_control_character_in_the_name() {
    let plain = Format::new(Form::Text, false, "a\nb\x1b[2J\u{e9}");
    let prefix = "[a\\nb\\u{1b}[2J\u{e9} 7]";
    // What the worker writes itself passes through.
    let colored = line(b"\x1b[31mred\x1b[0m");
    assert_eq!(
        formatted(&plain, &colored),
        format!("{prefix} \x1b[31mred\x1b[0m\n")
    );
    assert_eq!(formatted(&plain, &line(b"")), format!("{prefix} \n"));
    let timed = Format::new(Form::Text, true, "echo");
    assert_eq!(
        formatted(&timed, &line(b"hello")),
        "2026-01-31T12:00:00.123Z [echo 7] hello\n"
    );
}

/// The message of a panic has several lines, of which the second had no prefix.
#[test]
fn each_line_of_an_event_has_the_prefix() {
    let event = LogLine {
        stream: LogStream::Master,
        message: b"worker 7 panicked: one\ntwo",
        ..line(b"")
    };
    assert_eq!(
        formatted(&format(Form::Text), &event),
        "[echo master] worker 7 panicked: one\n[echo master] two\n"
    );
}

#[test]
fn json_lines_are_valid_whatever_a_worker_writes() {
    let json = Format::new(Form::Json, false, "e\"c\nho");
    let start = "{\"time\":\"2026-01-31T12:00:00.123Z\",\"program\":\"e\\\"c\\nho\",\"slot\":7,\
                 \"pid\":42,\"stream\":\"stdout\",";
    for (message, expected) in [
        (&b"hello"[..], "\"message\":\"hello\""),
        (b"", "\"message\":\"\""),
        (
            b"tab\t \"quoted\" \x1b[1m",
            "\"message\":\"tab\\t \\\"quoted\\\" \\u001b[1m\"",
        ),
        (b"\xff\xfe!", "\"message\":\"\u{fffd}\u{fffd}!\""),
        (b"{\"a\": [1, {}]} ", "\"data\":{\"a\": [1, {}]}"),
        (b"{\"a\": }", "\"message\":\"{\\\"a\\\": }\""),
        (
            b"{\"a\": \"\xff\"}",
            "\"message\":\"{\\\"a\\\": \\\"\u{fffd}\\\"}\"",
        ),
        (b"[1, 2]", "\"message\":\"[1, 2]\""),
        (b"3", "\"message\":\"3\""),
    ] {
        let written = formatted(&json, &line(message));
        assert_eq!(written, format!("{start}{expected}}}\n"));
        serde_json::from_str::<serde_json::Value>(&written).unwrap();
    }
}

#[test]
fn json_events_have_a_level_a_kind_and_the_worker() {
    let killed = Event::Killed {
        slot: 3,
        pid: Some(99),
        why: "was silent too long",
    };
    let folder = Folder::new();
    let path = folder.path("log");
    let file = LogFile::from_file(File::create(&path).unwrap());
    let writer = Writer::to(Destination::File(file), format(Form::Json));
    let sink = Sink::start("test", writer, LIMIT).unwrap();
    sink.write(event(&killed));
    finish(sink);
    let master = std::process::id();
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        format!(
            "{{\"time\":\"1970-01-01T00:00:00.000Z\",\"program\":\"echo\",\"slot\":3,\
             \"pid\":{master},\"stream\":\"master\",\"level\":\"error\",\"event\":\"killed\",\
             \"worker\":99,\"message\":\"worker 3 (pid 99) was silent too long and is killed\"}}\n"
        )
    );
}
