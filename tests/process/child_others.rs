//! Children beside the children of other threads, and of code that waits by itself.
#![cfg(not(miri))]
#![expect(unsafe_code, reason = "`fork` is unsafe")]

use std::future::{Future, poll_fn};
use std::io::{ErrorKind, Read, Write, pipe};
use std::pin::pin;
use std::process;
use std::task::Poll;
use std::thread;

use coreloop::process::{Child, Command, Fork, fork};
use coreloop::signal::unix::SignalKind;
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitOptions, waitid, waitpid};

fn exits(code: i32) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exit {code}")]);
    command
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap()
}

/// Blocks until a child has ended, and leaves its status uncollected. Returns an error if
/// the status was collected.
fn await_end(pid: Pid) -> Result<(), Errno> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(pid), options).map(drop)
}

/// A child outlives the thread that started it. If a child had asked for a signal at the
/// end of its parent, the kernel would send it at the end of that thread.
#[test]
fn a_child_survives_the_thread_that_started_it() {
    let (stdin, mut input) = pipe().unwrap();
    let (mut output, stdout) = pipe().unwrap();
    let short_lived = thread::spawn(move || {
        coreloop::block_on(async {
            let child = Command::new("cat").stdin(stdin).stdout(stdout).spawn();
            pid(&child.unwrap())
        })
    });
    let pid = short_lived.join().unwrap();
    let mut echo = [0; 5];
    input.write_all(b"alive").unwrap();
    output.read_exact(&mut echo).unwrap();
    assert_eq!(&echo, b"alive");
    drop(input);
    assert_eq!(output.read(&mut echo).unwrap(), 0);

    // Its loop has ended, so the next spawn collects it, perhaps in another test.
    let ended = await_end(pid);
    assert!(matches!(ended, Ok(()) | Err(Errno::CHILD)), "{ended:?}");
    coreloop::block_on(async { Command::new("true").status().await }).unwrap();
    assert_eq!(await_end(pid), Err(Errno::CHILD));
}

/// The loop collects only its own children, so all other children keep their statuses for
/// the code that waits for them.
#[coreloop::test]
async fn children_of_others_keep_their_statuses() {
    let mut by_std = Vec::new();
    let mut by_number = Vec::new();
    let mut ours = Vec::new();
    for code in 0..60 {
        let foreign = || {
            process::Command::new("sh")
                .args(["-c", &format!("exit {code}")])
                .spawn()
        };
        by_std.push(foreign().unwrap());
        by_number.push(Pid::from_child(&foreign().unwrap()));
        ours.push(exits(code).spawn().unwrap());
        // Dropped, so the loop collects these.
        drop(exits(code).spawn().unwrap());
    }
    for (child, code) in ours.iter_mut().zip(0..) {
        assert_eq!(child.wait().await.unwrap().code(), Some(code));
    }
    for (mut child, code) in by_std.into_iter().zip(0..) {
        assert_eq!(child.wait().unwrap().code(), Some(code));
    }
    for (pid, code) in by_number.into_iter().zip(0..) {
        let (_, status) = waitpid(Some(pid), WaitOptions::empty()).unwrap().unwrap();
        assert_eq!(status.exit_status(), Some(code));
    }
}

/// The end of a child is noticed even if it comes before the loop has registered the pidfd,
/// or has polled it.
#[coreloop::test]
async fn an_end_before_the_first_wait_is_noticed() {
    let mut child = exits(9).spawn().unwrap();
    await_end(pid(&child)).unwrap();
    assert_eq!(child.wait().await.unwrap().code(), Some(9));

    let (stdin, input) = pipe().unwrap();
    let mut command = Command::new("sh");
    let child = command
        .args(["-c", "read nothing; exit 9"])
        .stdin(stdin)
        .spawn();
    let mut child = child.unwrap();
    let number = pid(&child);
    let mut wait = pin!(child.wait());
    let is_pending = poll_fn(|cx| Poll::Ready(wait.as_mut().poll(cx).is_pending())).await;
    assert!(is_pending);
    drop(input);
    await_end(number).unwrap();
    assert_eq!(wait.await.unwrap().code(), Some(9));
}

/// If other code has collected the status, `wait` returns an error, and does not wait for
/// ever.
#[coreloop::test]
async fn a_stolen_status_is_an_error() {
    let mut child = exits(0).spawn().unwrap();
    waitpid(Some(pid(&child)), WaitOptions::empty()).unwrap();
    for _ in 0..2 {
        let error = child.wait().await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::CHILD.raw_os_error()));
    }
    child.try_wait().unwrap_err();
    // Its process id may belong to another process by now.
    assert_eq!(child.id(), None);
    child.start_kill().unwrap();
    let gone = child.signal(SignalKind::terminate()).unwrap_err();
    assert_eq!(gone.raw_os_error(), Some(Errno::SRCH.raw_os_error()));
}

/// `fork` refuses to copy a process with several threads: the threads of the test harness,
/// and one more to be sure.
#[test]
fn fork_is_refused_with_more_than_one_thread() {
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let other = thread::spawn(move || receiver.recv());
    // SAFETY: the call is refused, which this test checks.
    let error = match unsafe { fork() } {
        Ok(Fork::Child) => process::exit(1),
        Ok(Fork::Parent(_)) => panic!("a process of several threads was copied"),
        Err(error) => error,
    };
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    if cfg!(target_os = "linux") {
        assert!(error.to_string().contains("threads"), "{error}");
    }
    drop(sender);
    other.join().unwrap().unwrap_err();
}

#[coreloop::test]
async fn fork_is_refused_in_a_runtime() {
    // SAFETY: the call is refused, which this test checks.
    let error = match unsafe { fork() } {
        Ok(Fork::Child) => process::exit(1),
        Ok(Fork::Parent(_)) => panic!("a runtime was copied"),
        Err(error) => error,
    };
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("runtime"), "{error}");
}
