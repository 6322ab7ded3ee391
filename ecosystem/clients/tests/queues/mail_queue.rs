//! The example `mail_queue`, run as a user runs it.

use std::io::BufRead;
use std::process::{Child, Command, Output, Stdio};

use coreloop_test_support::program::{Server, program};
use coreloop_test_support::server_process::free_port;

use super::redis::There;

fn push(url: &str, addresses: &[String]) -> Child {
    Command::new(program("mail_queue"))
        .args(["--url", url, "push"])
        .args(addresses)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn stdout_of(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn worker(url: &str) -> Server {
    let mut worker = Server::start("mail_queue", &["--url", url, "work"]);
    let mut line = String::new();
    worker.output.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    worker
}

#[test]
fn every_mail_is_sent_although_a_worker_is_killed() {
    let Some(server) = There::start() else {
        return;
    };
    let url = server.url();
    let mut addresses: Vec<_> = (0..40).map(|number| format!("{number}@home")).collect();
    let first = worker(&url);
    let pushing = push(&url, &addresses);
    let mut second = worker(&url);
    // Kills it, and with it the processes of its pool.
    drop(first);
    let lines = stdout_of(pushing.wait_with_output().unwrap());
    let expected = addresses.iter().map(|address| {
        let mail = "Your order is on its way.";
        format!("{address} was sent {mail:?}\n")
    });
    assert_eq!(lines, expected.collect::<String>());

    // All mails but the last were pushed with the same keys before, and are not sent again.
    addresses.push("mistyped".to_owned());
    let again = stdout_of(push(&url, &addresses).wait_with_output().unwrap());
    let dead = again.strip_prefix(&lines).unwrap();
    assert!(dead.starts_with("not sent: "), "{dead}");
    assert!(dead.contains("mistyped is not an address"), "{dead}");
    second.interrupt();
    let tried = second.finish();
    assert_eq!(tried.matches("tried: ").count(), 2, "{tried}");
}

#[test]
fn without_a_server_the_example_says_so() {
    let url = format!("redis://127.0.0.1:{}", free_port());
    let output = push(&url, &[]).wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.starts_with("SKIPPED: "), "{errors}");
}
