//! Children: started, waited for, signalled, dropped.
#![cfg(not(miri))]

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io::{ErrorKind, PipeReader, Read, pipe};
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process;
use std::rc::Rc;
use std::task::Poll;

use coreloop::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use coreloop::process::{Child, Command, Stdio};
use coreloop::signal::unix::SignalKind;
use coreloop::task::{JoinSet, yield_now};
use coreloop_test_support::deadline::yield_until;
use coreloop_test_support::program::PATIENCE;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

const KILL: i32 = 9;

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

/// Starts a child that runs until it is killed. Returns it with a pipe that ends when the
/// child, and all that it has started, have ended.
fn lasting(command: &mut Command) -> (Child, PipeReader) {
    let (reader, writer) = pipe().unwrap();
    let child = command.stderr(writer).spawn().unwrap();
    // The command holds the other end too.
    command.stderr(Stdio::null());
    (child, reader)
}

fn assert_ends(mut life: PipeReader) {
    let patience = Timespec::try_from(PATIENCE).unwrap();
    let ended = poll(&mut [PollFd::new(&life, PollFlags::IN)], Some(&patience));
    assert_eq!(ended, Ok(1), "it does not end");
    assert_eq!(life.read(&mut [0; 1]).unwrap(), 0);
}

async fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

#[coreloop::test]
async fn later_waits_return_the_same_status() {
    let mut child = shell("exit 7").spawn().unwrap();
    assert!(child.id().is_some());
    for _ in 0..2 {
        assert_eq!(child.wait().await.unwrap().code(), Some(7));
        assert_eq!(child.try_wait().unwrap().unwrap().code(), Some(7));
        assert_eq!(child.id(), None);
    }
    child.start_kill().unwrap();
    child.kill().await.unwrap();
    let gone = child.signal(SignalKind::terminate()).unwrap_err();
    assert_eq!(gone.raw_os_error(), Some(Errno::SRCH.raw_os_error()));
}

#[coreloop::test]
async fn dropping_a_wait_loses_nothing() {
    let mut child = Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let stdin = child.stdin.take();
    for _ in 0..3 {
        assert!(poll_once(child.wait()).await.is_pending());
        assert_eq!(child.try_wait().unwrap(), None);
        yield_now().await;
    }
    drop(stdin);
    assert!(child.wait().await.unwrap().success());
}

#[coreloop::test]
async fn waiting_closes_the_input_first() {
    let mut child = Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    assert!(child.wait().await.unwrap().success());
    assert!(child.stdin.is_none());
}

#[coreloop::test]
async fn spawn_fails_if_the_program_cannot_be_executed() {
    let missing = Command::new("coreloop-has-no-such-program").spawn();
    assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);
    let folder = Command::new("/").spawn();
    assert_eq!(folder.unwrap_err().kind(), ErrorKind::PermissionDenied);
    let nowhere = Command::new("true").current_dir("/nowhere").status().await;
    assert_eq!(nowhere.unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn spawn_fails_outside_a_runtime() {
    let error = Command::new("true").spawn().unwrap_err();
    assert!(error.to_string().contains("runtime"), "{error}");
}

#[coreloop::test]
async fn the_status_shows_the_signal() {
    let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
    let none = child.signal(SignalKind::from_raw(0)).unwrap_err();
    assert_eq!(none.kind(), ErrorKind::InvalidInput);
    child.signal(SignalKind::terminate()).unwrap();
    let status = child.wait().await.unwrap();
    let terminate = SignalKind::terminate().as_raw_value();
    assert_eq!((status.code(), status.signal()), (None, Some(terminate)));

    let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
    child.kill().await.unwrap();
    assert_eq!(child.wait().await.unwrap().signal(), Some(KILL));
}

#[coreloop::test]
async fn pipes_are_streams() {
    let mut child = Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    for line in ["one\n", "two\n"] {
        stdin.write_all(line.as_bytes()).await.unwrap();
        let mut echo = String::new();
        lines.read_line(&mut echo).await.unwrap();
        assert_eq!(echo, line);
    }
    // Closing the pipe lets the child read the end of its input.
    AsyncWriteExt::close(&mut stdin).await.unwrap();
    let late = stdin.write(b"late").await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::BrokenPipe);
    let mut rest = Vec::new();
    lines.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
    assert!(child.wait().await.unwrap().success());
}

/// The read has to wait for output, and the write for room.
#[coreloop::test]
async fn reads_and_writes_wait_for_the_pipe() {
    let mut child = Command::new("sleep")
        .arg("1000")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    assert!(poll_once(stdout.read(&mut [0; 1])).await.is_pending());
    while poll_once(stdin.write(&[0; 1 << 16])).await.is_ready() {}
    let read = poll_once(stdout.read(&mut [])).await;
    assert!(matches!(read, Poll::Ready(Ok(0))), "{read:?}");
    let read = poll_once(AsyncReadExt::read_vectored(&mut stdout, &mut [])).await;
    assert!(matches!(read, Poll::Ready(Ok(0))), "{read:?}");
    let write = poll_once(stdin.write(&[])).await;
    assert!(matches!(write, Poll::Ready(Ok(0))), "{write:?}");
    child.kill().await.unwrap();
}

#[coreloop::test]
async fn many_buffers_go_through_a_pipe() {
    let mut child = Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let writer = coreloop::spawn(async move {
        let piece = [7; 100];
        let mut left = 3000;
        while left > 0 {
            let buffers = vec![std::io::IoSlice::new(&piece); left];
            let written = stdin.write_vectored(&buffers).await.unwrap();
            // A write may end within a piece, so the rest of the piece is written.
            let rest = (100 - written % 100) % 100;
            stdin.write_all(&piece[..rest]).await.unwrap();
            left -= (written + rest) / 100;
        }
    });
    let mut bytes = Vec::new();
    stdout.read_to_end(&mut bytes).await.unwrap();
    writer.await.unwrap();
    assert_eq!(bytes, vec![7; 300_000]);
    child.wait().await.unwrap();
}

#[coreloop::test]
async fn one_child_reads_what_another_writes() {
    let mut first = shell("echo pear; echo apple")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let between: Stdio = first.stdout.take().unwrap().try_into().unwrap();
    let sorted = Command::new("sort").stdin(between).output().await.unwrap();
    assert_eq!(sorted.stdout, b"apple\npear\n");
    assert!(first.wait().await.unwrap().success());
}

#[coreloop::test]
async fn output_reads_both_pipes_to_their_ends() {
    let output = shell("yes | head -c 300000; yes no | head -c 200000 >&2; exit 5")
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(
        (output.stdout.len(), output.stderr.len()),
        (300_000, 200_000)
    );
    let status = Command::new("false").status().await.unwrap();
    assert_eq!(status.code(), Some(1));
}

#[coreloop::test]
async fn the_options_of_std_are_passed_on() {
    let mut command = Command::from(process::Command::new("sh"));
    command
        .arg0("other")
        .args(["-c", "echo $0 $ONE $TWO ${HOME-none}; pwd; cat"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .envs([("ONE", "1"), ("TWO", "2")])
        .env_remove("TWO")
        .current_dir("/")
        .stdin(Stdio::null());
    assert_eq!(command.as_std().get_program(), "sh");
    let output = command.output().await.unwrap();
    assert_eq!(output.stdout, b"other 1 none\n/\n");
}

#[coreloop::test]
async fn a_dropped_child_runs_on_unless_it_is_killed_on_drop() {
    let mut command = Command::new("sleep");
    command.arg("1000");
    let (child, life) = lasting(&mut command);
    let pid = Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap();
    drop(child);
    let still = waitid(
        WaitId::Pid(pid),
        WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT,
    );
    assert!(matches!(still, Ok(None)), "{still:?}");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    assert_ends(life);
    collected(pid).await;

    assert!(!command.get_kill_on_drop());
    let (child, life) = lasting(command.kill_on_drop(true));
    let pid = Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap();
    drop(child);
    assert_ends(life);
    collected(pid).await;
}

/// Waits until a process is not a child of this one any more.
async fn collected(pid: Pid) {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    yield_until(|| waitid(WaitId::Pid(pid), options).err() == Some(Errno::CHILD)).await;
}

#[coreloop::test]
async fn dropping_the_future_of_a_command_kills_on_drop() {
    let (life, writer) = pipe().unwrap();
    let mut command = Command::new("sleep");
    let future = command
        .arg("1000")
        .stdin(writer)
        .kill_on_drop(true)
        .status();
    drop(command);
    assert!(poll_once(future).await.is_pending());
    assert_ends(life);
}

#[coreloop::test]
async fn a_group_is_killed_as_a_whole() {
    let script = "sleep 1000 & sleep 1000 & wait";
    let (mut child, life) = lasting(shell(script).process_group(0));
    child.kill_group().await.unwrap();
    assert_eq!(child.wait().await.unwrap().signal(), Some(KILL));
    assert_ends(life);

    let (mut child, life) = lasting(shell(script).process_group(0));
    child.signal_group(SignalKind::terminate()).unwrap();
    child.wait().await.unwrap();
    assert_ends(life);

    let (child, life) = lasting(shell(script).process_group(0).kill_group_on_drop(true));
    drop(child);
    assert_ends(life);
}

#[coreloop::test]
async fn a_group_can_be_killed_after_its_leader() {
    let (mut child, life) = lasting(shell("sleep 1000 & exit 0").process_group(0));
    assert!(child.wait().await.unwrap().success());
    child.start_kill_group().unwrap();
    assert_ends(life);
}

#[coreloop::test]
async fn a_group_that_has_ended_is_not_signalled() {
    let mut child = Command::new("true").process_group(0).spawn().unwrap();
    child.wait().await.unwrap();
    child.start_kill_group().unwrap();
    child.kill_group().await.unwrap();
    let gone = child.signal_group(SignalKind::terminate()).unwrap_err();
    assert_eq!(gone.raw_os_error(), Some(Errno::SRCH.raw_os_error()));
}

#[coreloop::test]
async fn without_a_group_only_the_child_is_killed() {
    let (mut child, life) = lasting(Command::new("sleep").arg("1000").kill_group_on_drop(true));
    let error = child.start_kill_group().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    drop(child);
    assert_ends(life);
}

#[coreloop::test]
async fn many_children_run_at_once() {
    let mut children = JoinSet::new();
    for number in 0..100 {
        let mut child = shell(&format!("exit {number}")).spawn().unwrap();
        children.spawn(async move { (number, child.wait().await.unwrap().code()) });
    }
    let mut seen = 0;
    while let Some(result) = children.join_next().await {
        let (number, code) = result.unwrap();
        assert_eq!(code, Some(number));
        seen += 1;
    }
    assert_eq!(seen, 100);
}

/// The task that waits for a dropped child delayed the shutdown to its deadline.
#[test]
fn the_end_of_a_runtime_does_not_wait_for_children() {
    let runtime = coreloop::Runtime::new().unwrap();
    let life = runtime.block_on(async {
        let (child, life) = lasting(Command::new("sleep").arg("1000").process_group(0));
        let pid = child.id().unwrap();
        drop(child);
        yield_now().await;
        (pid, life)
    });
    let report = runtime.shutdown(std::time::Duration::from_secs(3600));
    assert!(report.is_clean(), "{report}");
    let pid = Pid::from_raw(life.0.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    assert_ends(life.1);
}

/// A child that is not waited for can be dropped, and polled for its status, without its
/// loop.
#[test]
fn a_child_may_outlive_its_runtime() {
    let (mut child, life) =
        coreloop::block_on(async { lasting(Command::new("sleep").arg("1000").kill_on_drop(true)) });
    assert_eq!(child.try_wait().unwrap(), None);
    let mut waited = coreloop::block_on(async {
        // On a loop other than its own.
        assert!(child.wait().await.is_err());
        child
    });
    waited.start_kill().unwrap();
    assert_ends(life);
    drop(waited);
}

/// A status is always ready; a task that waited again and again once blocked the loop.
#[coreloop::test]
async fn repeated_waits_let_other_tasks_run() {
    let mut child = Command::new("true").spawn().unwrap();
    child.wait().await.unwrap();
    let waits = Rc::new(Cell::new(0));
    let count = Rc::clone(&waits);
    let greedy = coreloop::spawn(async move {
        loop {
            child.wait().await.unwrap();
            count.set(count.get() + 1);
        }
    });
    yield_now().await;
    assert!(waits.get() > 0);
    greedy.abort();
    assert!(greedy.await.unwrap_err().is_cancelled());
}
