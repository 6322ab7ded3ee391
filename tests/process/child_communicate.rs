//! `Child::communicate`, which writes the input, reads the output and waits for the end.
#![cfg(not(miri))]

use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, pipe};
use std::os::unix::process::ExitStatusExt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use coreloop::process::{Child, Command, CommunicateError, Stdio};
use coreloop::task::{coop, spawn_blocking, yield_now};
use coreloop::time::{Instant, advance};
use coreloop_test_support::deadline::Deadline;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

const SECOND: Duration = Duration::from_secs(1);

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// `communicate` reads while it writes, so a child that writes all the time does not fill a
/// pipe and block.
#[coreloop::test]
async fn sixty_four_mebibytes_go_both_ways() {
    let pages: Vec<u8> = (0..=255).flat_map(|page| [page; 256]).collect();
    let input = pages.repeat(1 << 10);
    assert_eq!(input.len(), 64 << 20);
    let child = Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = child.communicate(input.clone()).await.unwrap();
    assert!(output.status.success());
    assert!(output.stdout == input);
}

#[coreloop::test]
async fn all_pipes_are_read_and_written_at_once() {
    // The child writes both outputs before it reads, and again afterwards.
    let script = "yes | head -c 300000; yes | head -c 300000 >&2; wc -c; yes | head -c 200000 >&2";
    let child = shell(script).stderr(Stdio::piped()).spawn().unwrap();
    let output = child.communicate(vec![b'x'; 500_000]).await.unwrap();
    let (yes, count) = output.stdout.split_at(300_000);
    assert!(yes.iter().all(|byte| b"y\n".contains(byte)));
    assert_eq!(String::from_utf8_lossy(count).trim(), "500000");
    assert_eq!(output.stderr.len(), 500_000);
}

/// Starts a child that writes `partial`, then a byte to the blocking work, and then runs for
/// ever. The paused clock waits until the blocking work has finished, and then jumps.
fn starts_talking(command: &mut Command) -> (Child, impl Future<Output = io::PipeReader>) {
    let (mut reader, writer) = pipe().unwrap();
    let child = command.stderr(writer).spawn().unwrap();
    command.stderr(Stdio::null());
    let heard = spawn_blocking(move || {
        reader.read_exact(&mut [0; 1]).unwrap();
        reader
    });
    (child, async { heard.await.unwrap() })
}

async fn times_out(command: &mut Command) -> (CommunicateError, io::PipeReader) {
    let start = Instant::now();
    let (child, heard) = starts_talking(command);
    let talk = child.communicate("never read").timeout(5 * SECOND);
    let (result, life) = coreloop::join!(talk, heard);
    // The paused clock may jump over the end of the killed child.
    assert!((5 * SECOND..=6 * SECOND).contains(&start.elapsed()));
    (result.unwrap_err(), life)
}

/// A timeout kills the child, and keeps the output read until then.
#[coreloop::test(start_paused = true)]
async fn a_timeout_kills_and_keeps_what_was_read() {
    let mut command = shell("printf partial; printf x >&2; exec sleep 1000");
    let (error, mut life) = times_out(&mut command).await;
    assert!(error.is_timeout());
    assert_eq!(error.stdout(), b"partial");
    assert_eq!(life.read(&mut [0; 1]).unwrap(), 0);

    let error = io::Error::from(error);
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let error = error.into_inner().unwrap();
    let error = error.downcast::<CommunicateError>().unwrap();
    assert_eq!(error.into_output().0, b"partial");
}

/// Spends the budget of the poll, except `left` units.
fn spend_but(left: usize, cx: &mut Context<'_>) {
    for _ in left..128 {
        let _ = coop::poll_proceed(cx);
    }
}

/// A child whose output came faster than it was read never timed out.
#[coreloop::test]
async fn a_child_whose_output_spends_the_budget_still_times_out() {
    let child = shell("exec yes").spawn().unwrap();
    let timeout = Duration::from_millis(20);
    let mut communicate = child.communicate("").timeout(timeout);
    let deadline = Deadline::new();
    let result = poll_fn(|cx| {
        deadline.check();
        // Two reads that are always ready spend more than that.
        spend_but(1, cx);
        cx.waker().wake_by_ref();
        Pin::new(&mut communicate).poll(cx)
    });
    assert!(result.await.unwrap_err().is_timeout());
}

/// A child that has ended in time was reported as a timeout if the task had spent its budget
/// on other operations when it polled.
#[coreloop::test(start_paused = true)]
async fn a_task_without_budget_reports_no_timeout() {
    let (stdin, release) = pipe().unwrap();
    let child = Command::new("cat")
        .stdin(stdin)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap();
    let mut communicate = child.communicate("").timeout(SECOND);
    poll_fn(|cx| {
        assert!(Pin::new(&mut communicate).poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    let ended = spawn_blocking(move || {
        drop(release);
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(pid), options).unwrap();
    });
    ended.await.unwrap();
    // The loop may have handled this wake together with an earlier event. To wait for
    // another event it polls the kernel again, which reports that the child has ended.
    spawn_blocking(|| ()).await.unwrap();
    advance(2 * SECOND).await;
    poll_fn(|cx| {
        spend_but(0, cx);
        assert!(Pin::new(&mut communicate).poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    assert!(communicate.await.unwrap().status.success());
}

#[coreloop::test]
async fn after_a_timeout_the_status_is_known() {
    let child = shell("exec sleep 1000").spawn().unwrap();
    let talk = child.communicate("").timeout(Duration::ZERO);
    let error = talk.drain(3600 * SECOND).await.unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(error.status().unwrap().signal(), Some(9));
}

#[coreloop::test(start_paused = true)]
async fn a_timeout_kills_the_group_if_there_is_one() {
    let mut command = shell("sleep 1000 & printf partial; printf x >&2; sleep 1000");
    let (error, mut life) = times_out(command.process_group(0)).await;
    assert_eq!(error.stdout(), b"partial");
    // All processes that held it have ended.
    assert_eq!(life.read(&mut [0; 1]).unwrap(), 0);
}

#[coreloop::test(start_paused = true)]
async fn processes_left_behind_by_a_killed_child_do_not_delay_the_error() {
    let script = "sleep 1000 & echo $!; printf x >&2; exec sleep 1000";
    let (error, _) = times_out(&mut shell(script)).await;
    kill_sleeper(error.stdout());
}

#[coreloop::test]
async fn a_child_that_ends_in_time_is_no_timeout() {
    let child = shell("cat; exit 4").spawn().unwrap();
    let output = child.communicate("in time").timeout(3600 * SECOND).await;
    let output = output.unwrap();
    assert_eq!(
        (output.status.code(), &output.stdout[..]),
        (Some(4), &b"in time"[..])
    );
}

/// A grandchild holds the pipe: `communicate` waits for the end of the child, and then only
/// for a limited time for the pipe.
#[coreloop::test(start_paused = true)]
async fn a_grandchild_that_holds_the_pipe_is_waited_for_within_a_limit() {
    for drain in [None, Some(3 * SECOND), Some(Duration::ZERO)] {
        let child = shell("sleep 1000 & echo $!; exit 6").spawn().unwrap();
        let start = Instant::now();
        let talk = child.communicate("");
        let output = match drain {
            None => talk.await,
            Some(drain) => talk.drain(drain).await,
        };
        let output = output.unwrap();
        assert_eq!(start.elapsed(), drain.unwrap_or(SECOND));
        assert_eq!(output.status.code(), Some(6));
        kill_sleeper(&output.stdout);
    }
}

/// Kills the process whose id was printed.
fn kill_sleeper(stdout: &[u8]) {
    let number = String::from_utf8_lossy(stdout).trim().parse().unwrap();
    kill_process(Pid::from_raw(number).unwrap(), Signal::KILL).unwrap();
}

#[coreloop::test]
async fn output_of_a_grandchild_within_the_limit_is_read() {
    // The child ends long before the grandchild.
    let child = shell("exec 3<&0; (cat <&3; echo late) & exit 0")
        .spawn()
        .unwrap();
    let input = vec![b'x'; 1 << 20];
    let output = child.communicate(input).drain(3600 * SECOND).await.unwrap();
    assert_eq!(output.stdout.len(), (1 << 20) + "late\n".len());
}

/// A child that closes its input early is no error, and the rest of the input is dropped.
#[coreloop::test]
async fn a_child_that_closes_its_input_early_is_no_error() {
    for script in [
        "exec <&-; echo still here",
        "head -c 1 > /dev/null; echo still here",
    ] {
        let child = shell(script).spawn().unwrap();
        let output = child.communicate(vec![0; 1 << 20]).await.unwrap();
        assert!(output.status.success());
        assert_eq!(output.stdout, b"still here\n");
    }
    let child = shell("exit 3").spawn().unwrap();
    let output = child.communicate(vec![0; 1 << 20]).await.unwrap();
    assert_eq!(output.status.code(), Some(3));
}

/// A write to a pipe without readers is an error of the write, and `SIGPIPE` does not
/// end the process.
#[coreloop::test]
async fn a_write_without_readers_is_an_error_and_not_a_signal() {
    let mut child = shell("exec <&-; echo closed; exec sleep 1000")
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let said = child.stdout.as_mut().unwrap().read(&mut [0; 16]).await;
    assert_eq!(said.unwrap(), "closed\n".len());
    let stdin = child.stdin.as_mut().unwrap();
    // Children of other tests may hold the other end too, until they call exec.
    let deadline = Deadline::new();
    let error = loop {
        deadline.check();
        if let Err(error) = stdin.write_all(b"anybody?").await {
            break error;
        }
        yield_now().await;
    };
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

#[coreloop::test]
async fn input_needs_a_pipe() {
    let child = Command::new("true").spawn().unwrap();
    let error = child.communicate("never read").await.unwrap_err();
    assert!(!error.is_timeout());
    assert_eq!(io::Error::from(error).kind(), ErrorKind::InvalidInput);
    let child = Command::new("true").spawn().unwrap();
    assert!(child.communicate("").await.unwrap().status.success());
}
