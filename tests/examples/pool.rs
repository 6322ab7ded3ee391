//! The examples of functions in other processes.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::Command;

use coreloop_test_support::folder::Folder;
use coreloop_test_support::program::{Server, connect, program};

use crate::run;

#[test]
fn a_pool_counts_the_words_of_each_file_of_a_folder() {
    let folder = Folder::new();
    let inner = folder.path("inner");
    fs::create_dir(&inner).unwrap();
    for words in 1..=100 {
        let place = if words % 2 == 0 {
            inner.clone()
        } else {
            folder.as_path().to_owned()
        };
        fs::write(place.join(format!("{words} words")), "word ".repeat(words)).unwrap();
    }
    let output = Command::new(program("pool_map"))
        .args(["--workers", "3", "--folder"])
        .arg(folder.as_path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    // Without a terminal there is no progress bar.
    assert_eq!(output.stderr, b"");
    let said = String::from_utf8(output.stdout).unwrap();
    let mut lines = said.lines();
    let first = lines.next().unwrap();
    assert!(first.starts_with("5050 words in 100 files"), "{said}");
    for (words, line) in (96..=100).rev().zip(lines.by_ref()) {
        let (count, path) = line.trim_start().split_once(' ').unwrap();
        assert_eq!(count, words.to_string());
        assert!(path.ends_with(&format!("/{words} words")), "{said}");
    }
    assert_eq!(lines.next(), None);
}

#[test]
fn threads_processes_and_the_loop_find_the_same_primes() {
    for (on, processes) in [("threads", 0), ("processes", 2), ("inline", 0)] {
        let output = Command::new(program("prime_executor"))
            .args(["--workers", "2", "--on", on])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        let expected = format!(
            "\
112272535095293 is prime
112582705942171 is prime
112272535095293 is prime
115280095190773 is prime
115797848077099 is prime
1099726899285419 is not prime
in {processes} other processes
"
        );
        assert_eq!(said, expected, "{on}");
    }
}

#[test]
fn a_process_is_joined_terminated_and_killed() {
    let expected = "\
the sum is 6
the first ended by signal: 15 (SIGTERM)
the second ended by signal: 9 (SIGKILL)
exit code Some(3)
";
    assert_eq!(run("process_spawn"), expected);
}

#[test]
fn processes_count_in_one_number() {
    let output = Command::new(program("shared_counter"))
        .args(["--workers", "4", "--counts", "100000"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let mut lines = said.lines();
    assert_eq!(lines.next(), Some("in one step: 400000 of 400000"));
    // How many counts are lost depends on which processes run at the same time.
    let two_steps = lines.next().unwrap().strip_prefix("in two steps: ");
    let (count, total) = two_steps.unwrap().split_once(" of ").unwrap();
    assert!((1..=400_000).contains(&count.parse().unwrap()));
    assert_eq!((total, lines.next()), ("400000", None));
}

#[test]
fn a_table_of_several_processes_is_in_memory_once() {
    let output = Command::new(program("shared_table"))
        .args(["--workers", "4", "--megabytes", "24", "--numbers", "20000"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let mut lines = said.lines();
    assert_eq!(lines.next(), Some("found 10000 of 20000 numbers"));
    if cfg!(target_os = "linux") {
        let processes = lines
            .by_ref()
            .take_while(|line| line.starts_with("process"));
        assert_eq!(processes.count(), 5, "{said}");
        let last = said.lines().last().unwrap();
        let numbers = last.split(|c: char| !c.is_ascii_digit());
        let numbers: Vec<u32> = numbers.filter_map(|number| number.parse().ok()).collect();
        let [each, once] = numbers[..] else {
            panic!("{said}");
        };
        // Four processes have the table of 24 MB. Numbers are rounded down.
        assert!(each >= 4 * 24 && each >= once + 3 * 24 - 5, "{said}");
    }
}

#[test]
fn a_decoder_that_crashes_costs_one_client_an_error() {
    let mut server = Server::start("crashing_codec", &["--addr", "127.0.0.1:0"]);
    let address = server.read_address();
    let mut harmless = BufReader::new(connect(address));
    let mut hostile = BufReader::new(connect(address));
    for _ in 0..3 {
        assert_eq!(ask(&mut harmless, "3a2b"), "aaabb");
        let answer = ask(&mut hostile, "99999a");
        let expected = "error: the job `crashing_codec::decode` has no result";
        assert!(answer.starts_with(expected), "{answer}");
        assert!(answer.contains("signal: 11"), "{answer}");
    }
    // The client whose requests crashed the decoder is still served, as are new ones.
    assert_eq!(ask(&mut hostile, "1x"), "x");
    assert_eq!(ask(&mut harmless, "x"), "invalid: no number before `x`");
    let mut later = BufReader::new(connect(address));
    assert_eq!(ask(&mut later, "10z"), "zzzzzzzzzz");

    server.interrupt();
    assert_eq!(server.finish(), "decoded 6 lines, 3 failed\n");
}

/// Sends a line, and returns the line that answers it.
fn ask(stream: &mut BufReader<TcpStream>, line: &str) -> String {
    stream
        .get_mut()
        .write_all(format!("{line}\n").as_bytes())
        .unwrap();
    let mut answer = String::new();
    stream.read_line(&mut answer).unwrap();
    answer.trim_end().to_owned()
}
