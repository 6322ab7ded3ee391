//! The examples of work on several machines.

use std::io::BufRead;
use std::process::Command;

use coreloop_test_support::folder::Folder;
use coreloop_test_support::program::{Server, program};

/// Reads the next line that a program says.
fn line(program: &mut Server) -> String {
    let mut line = String::new();
    program.output.read_line(&mut line).unwrap();
    line
}

#[test]
fn workers_square_all_numbers_though_one_is_killed_in_the_middle() {
    let folder = Folder::new();
    let key = folder.path("tasks.key");
    let key = key.to_str().unwrap();
    let arguments = ["--addr", "127.0.0.1:0", "--key", key, "--count", "40"];
    let mut master = Server::start("task_master", &arguments);
    let address = master.read_address().to_string();

    // This one takes a number and does not get on with it.
    let arguments = ["--addr", &address, "--key", key, "--pause", "3600000"];
    let mut killed = Server::start("task_worker", &arguments);
    assert_eq!(line(&mut killed), "squaring 1, attempt 1\n");
    let arguments = ["--addr", &address, "--key", key, "--pause", "5"];
    let mut worker = Server::start("task_worker", &arguments);
    assert_eq!(line(&mut worker), "squaring 2, attempt 1\n");
    killed.process.kill().unwrap();
    killed.process.wait().unwrap();

    let said = worker.finish();
    assert!(said.contains("squaring 1, attempt 2\n"), "{said}");
    assert!(said.ends_with("the work is done\n"), "{said}");
    let said = master.finish();
    for number in 1..=40 {
        let expected = format!("{number} * {number} = {}, says worker", number * number);
        assert_eq!(said.matches(&expected).count(), 1, "{said}");
    }
    assert!(
        said.ends_with("the sum of the squares is 22140\n"),
        "{said}"
    );
}

#[test]
fn a_worker_with_another_key_gets_no_connection() {
    let folder = Folder::new();
    let key = folder.path("tasks.key");
    let arguments = ["--addr", "127.0.0.1:0", "--key", key.to_str().unwrap()];
    let mut master = Server::start("task_master", &arguments);
    let address = master.read_address().to_string();
    let other = folder.path("other.key");
    std::fs::write(&other, "5a".repeat(32)).unwrap();
    let output = Command::new(program("task_worker"))
        .args(["--addr", &address, "--key"])
        .arg(&other)
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("another key"), "{said}");
    std::fs::write(&other, "5a").unwrap();
    let output = Command::new(program("task_worker"))
        .args(["--addr", &address, "--key"])
        .arg(&other)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("at least 16 bytes"), "{said}");
}
