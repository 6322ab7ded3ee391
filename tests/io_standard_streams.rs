//! The standard streams. Each test starts this program again, as a child whose standard
//! streams it uses. There is no test harness, because its lines would mix with the output.

use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio, exit};
use std::thread;
use std::time::Duration;

use coreloop::io::{
    AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, stderr, stdin, stdout,
};
use coreloop::runtime::Runtime;
use coreloop::task::yield_now;
use coreloop::time::timeout;
use coreloop_test_support::alone::test;

/// The roles of a child: the name, and the function that the child runs.
const ROLES: [(&str, fn()); 9] = [
    ("upper", upper),
    ("gives_up", gives_up),
    ("many_readers", many_readers),
    ("ends_while_it_reads", ends_while_it_reads),
    ("foreign_executor", foreign_executor),
    ("mode", mode),
    ("writes_much", writes_much),
    ("writes_without_a_reader", writes_without_a_reader),
    ("both", both),
];

fn main() {
    if cfg!(miri) {
        return;
    }
    let role = env::args().nth(1);
    if let Some((_, run)) = ROLES
        .iter()
        .find(|(name, _)| role.as_deref() == Some(*name))
    {
        return run();
    }
    test("lines_are_read_and_written", lines_are_read_and_written);
    test(
        "a_read_that_was_dropped_leaves_its_bytes_to_the_next",
        a_read_that_was_dropped_leaves_its_bytes_to_the_next,
    );
    test(
        "several_readers_have_all_bytes_between_them",
        several_readers_have_all_bytes_between_them,
    );
    test(
        "a_runtime_ends_without_waiting_for_a_read",
        a_runtime_ends_without_waiting_for_a_read,
    );
    test("any_executor_may_read", any_executor_may_read);
    test("the_streams_stay_blocking", the_streams_stay_blocking);
    test(
        "a_large_write_arrives_in_order_at_a_slow_reader",
        a_large_write_arrives_in_order_at_a_slow_reader,
    );
    test(
        "an_error_is_returned_by_the_next_operation",
        an_error_is_returned_by_the_next_operation,
    );
    test(
        "output_and_error_are_two_streams",
        output_and_error_are_two_streams,
    );
}

fn start(role: &str) -> Child {
    Command::new(env::current_exe().expect("a program"))
        .arg(role)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("the program starts itself")
}

/// Closes the input, and reads the output to its end.
fn finish(mut child: Child) -> (ExitStatus, String) {
    drop(child.stdin.take());
    let mut text = String::new();
    let mut output = child.stdout.take().expect("a pipe");
    output.read_to_string(&mut text).expect("text");
    (child.wait().expect("a status"), text)
}

fn say(child: &mut Child, text: &str) {
    let input = child.stdin.as_mut().expect("a pipe");
    input.write_all(text.as_bytes()).expect("the child reads");
}

fn expect_line(child: &mut Child, text: &str) {
    let mut read = vec![0; text.len()];
    let output = child.stdout.as_mut().expect("a pipe");
    output.read_exact(&mut read).expect("the child writes");
    assert_eq!(String::from_utf8_lossy(&read), text);
}

fn lines_are_read_and_written() {
    let mut child = start("upper");
    for line in ["one\n", "two\n", "a longer line\n"] {
        say(&mut child, line);
        expect_line(&mut child, &line.to_uppercase());
    }
    say(&mut child, "the end");
    let (status, rest) = finish(child);
    assert!(status.success());
    assert_eq!(rest, "THE END");
}

fn upper() {
    coreloop::block_on(async {
        let mut input = BufReader::new(stdin());
        let mut output = stdout();
        let mut line = String::new();
        while input.read_line(&mut line).await.expect("a line") > 0 {
            output
                .write_all(line.to_uppercase().as_bytes())
                .await
                .expect("a reader");
            output.flush().await.expect("a reader");
            line.clear();
        }
        // Later reads return the end again.
        assert_eq!(input.read(&mut [0]).await.expect("the end"), 0);
        assert_eq!(stdin().read(&mut [0]).await.expect("the end"), 0);
    });
}

fn a_read_that_was_dropped_leaves_its_bytes_to_the_next() {
    let mut child = start("gives_up");
    expect_line(&mut child, "gave up\n");
    say(&mut child, "late");
    let (status, rest) = finish(child);
    assert!(status.success());
    assert_eq!(rest, "late");
}

fn gives_up() {
    coreloop::block_on(async {
        for _ in 0..3 {
            let (mut input, mut byte) = (stdin(), [0]);
            let read = timeout(Duration::from_millis(1), input.read(&mut byte));
            read.await.expect_err("there is nothing to read");
        }
        let mut output = stdout();
        output.write_all(b"gave up\n").await.expect("a reader");
        output.flush().await.expect("a reader");
        // The thread still waits in the read that the first dropped future asked for.
        let mut text = String::new();
        stdin().read_to_string(&mut text).await.expect("text");
        output.write_all(text.as_bytes()).await.expect("a reader");
        output.close().await.expect("a reader");
    });
}

fn several_readers_have_all_bytes_between_them() {
    let mut child = start("many_readers");
    for _ in 0..100 {
        say(&mut child, "ten bytes\n");
    }
    let (status, rest) = finish(child);
    assert!(status.success());
    assert_eq!(rest, "1000");
}

fn many_readers() {
    let count = || async {
        let mut bytes = Vec::new();
        stdin().read_to_end(&mut bytes).await.expect("bytes");
        bytes.len()
    };
    let other = thread::spawn(move || coreloop::block_on(count()));
    let here = coreloop::block_on(async { coreloop::join!(count(), count(), count()) });
    let other = other.join().expect("no panic");
    print!("{}", here.0 + here.1 + here.2 + other);
}

fn a_runtime_ends_without_waiting_for_a_read() {
    let mut child = start("ends_while_it_reads");
    expect_line(&mut child, "none left\n");
    // The child's input is still open.
    assert!(child.wait().expect("a status").success());
}

fn ends_while_it_reads() {
    let runtime = Runtime::new().expect("a runtime");
    let task = runtime.spawn(async { stdin().read(&mut [0]).await });
    runtime.block_on(async {
        yield_now().await;
        assert!(!task.is_finished());
        task.abort();
    });
    let report = runtime.shutdown(Duration::MAX);
    assert!(report.is_clean(), "{report}");
    println!("none left");
}

fn any_executor_may_read() {
    let mut child = start("foreign_executor");
    say(&mut child, "hello");
    let (status, rest) = finish(child);
    assert!(status.success());
    assert_eq!(rest, "hello");
}

fn foreign_executor() {
    let mut text = String::new();
    futures_lite::future::block_on(async {
        stdin().read_to_string(&mut text).await.expect("text");
        let error = stdout()
            .write(b"lost")
            .await
            .expect_err("there is no runtime");
        assert_eq!(error.kind(), ErrorKind::Other);
        assert!(error.to_string().contains("runtime"), "{error}");
    });
    print!("{text}");
}

fn the_streams_stay_blocking() {
    let mut child = start("mode");
    expect_line(&mut child, "ready\n");
    say(&mut child, "x");
    let (status, rest) = finish(child);
    assert!(status.success());
    assert_eq!(rest, "true true true");
}

fn mode() {
    use rustix::fs::{OFlags, fcntl_getfl};
    let blocks =
        |flags: rustix::io::Result<OFlags>| !flags.expect("flags").contains(OFlags::NONBLOCK);
    coreloop::block_on(async {
        let (mut input, mut output) = (stdin(), stdout());
        output.write_all(b"ready\n").await.expect("a reader");
        output.flush().await.expect("a reader");
        input.read_exact(&mut [0]).await.expect("a byte");
        let text = format!(
            "{} {} {}",
            blocks(fcntl_getfl(&input)),
            blocks(fcntl_getfl(&output)),
            blocks(fcntl_getfl(stderr()))
        );
        output.write_all(text.as_bytes()).await.expect("a reader");
        output.flush().await.expect("a reader");
    });
}

/// The number of `u32`s to write: more than a pipe holds, and more than one write takes.
const MUCH: u32 = 1 << 20;

fn a_large_write_arrives_in_order_at_a_slow_reader() {
    let mut child = start("writes_much");
    let mut output = child.stdout.take().expect("a pipe");
    let mut bytes = Vec::new();
    output.read_to_end(&mut bytes).expect("bytes");
    assert!(child.wait().expect("a status").success());
    let numbers = bytes
        .chunks(4)
        .map(|four| u32::from_ne_bytes(four.try_into().expect("four")));
    assert!(numbers.eq(0..MUCH));
}

fn writes_much() {
    let bytes: Vec<u8> = (0..MUCH).flat_map(u32::to_ne_bytes).collect();
    coreloop::block_on(async {
        let mut output = stdout();
        let (start, rest) = bytes.split_at(1000);
        for piece in start.chunks(7) {
            output.write_all(piece).await.expect("a reader");
        }
        output.write_all(rest).await.expect("a reader");
        output.flush().await.expect("a reader");
    });
}

fn an_error_is_returned_by_the_next_operation() {
    let mut child = start("writes_without_a_reader");
    drop(child.stdout.take());
    drop(child.stdin.take());
    assert!(child.wait().expect("a status").success());
}

fn writes_without_a_reader() {
    coreloop::block_on(async {
        // Waits until the parent has closed both pipes.
        stdin().read_to_end(&mut Vec::new()).await.expect("the end");
        let mut output = stdout();
        assert_eq!(
            output.write(b"a line\n").await.expect("room in the buffer"),
            7
        );
        let error = output.flush().await.expect_err("there is no reader");
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        output
            .write_all(b"a line\n")
            .await
            .expect("room in the buffer");
        let error = output
            .write(b"a line\n")
            .await
            .expect_err("there is no reader");
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
    // Whether std can flush its own buffer when the process ends does not matter here.
    exit(0);
}

fn output_and_error_are_two_streams() {
    let child = Command::new(env::current_exe().expect("a program"))
        .arg("both")
        .output()
        .expect("the program starts itself");
    assert!(child.status.success());
    assert_eq!(child.stdout, b"output, and more");
    assert_eq!(child.stderr, b"error");
}

fn both() {
    coreloop::block_on(async {
        let (mut output, mut error) = (stdout(), stderr());
        output.write_all(b"output").await.expect("a reader");
        error.write_all(b"error").await.expect("a reader");
        error.flush().await.expect("a reader");
        output.write_all(b", and ").await.expect("a reader");
        output.flush().await.expect("a reader");
        // The output of std comes after the bytes that were flushed.
        print!("more");
        io::stdout().flush().expect("a reader");
    });
}
