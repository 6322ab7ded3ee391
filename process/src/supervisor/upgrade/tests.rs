//! Upgrades to shell scripts, and to the program of these tests.

use std::env;
use std::fs::File;
use std::future::poll_fn;
use std::io::{self, ErrorKind, Read};
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use coreloop_runtime::{Runtime, block_on, runtime};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use super::attempt::Attempt;
use super::{SocketTransfer, UpgradeTimeouts, inherit, start};
use crate::channel::{Channel, Inherited, SocketKind, ToPredecessor};
use crate::sockets::InheritedSlots;
use crate::supervisor::program::Program;

const TIMEOUTS: UpgradeTimeouts = UpgradeTimeouts {
    startup: Duration::from_secs(30),
    drain: Duration::from_secs(10),
};

const SLOTS: InheritedSlots = InheritedSlots { count: 2, span: 3 };

/// The successor that another test starts: the same test program, running only this test.
/// In an ordinary run there is nothing to inherit.
#[test]
fn successor() {
    let Some(mut inheritance) = inherit().unwrap() else {
        return;
    };
    assert_eq!(inheritance.slots(), Some(SLOTS));
    let sockets = inheritance.take("first", SocketKind::Tcp).unwrap();
    assert!(inheritance.take("first", SocketKind::Tcp).is_none());
    assert!(inheritance.take("second", SocketKind::Tcp).is_none());
    let shared = inheritance.take("second", SocketKind::SharedTcp).unwrap();
    inheritance.close_unclaimed();
    let port = |socket: &OwnedFd| {
        let listener = TcpListener::from(socket.try_clone().unwrap());
        listener.local_addr().unwrap().port()
    };
    let mut ports: Vec<_> = sockets.iter().map(port).collect();
    ports.dedup();
    if ports == [port(&shared[0])] && sockets.len() == 300 {
        inheritance.ready().unwrap();
    } else {
        let count = sockets.len();
        inheritance.failed(&io::Error::other(format!("{count} sockets of {ports:?}")));
        drop(inheritance);
    }
    // The old master checks whether its successor still runs.
    std::thread::park();
}

#[test]
fn a_successor_gets_the_sockets_and_reports_that_it_serves() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let transfers = |count| {
        [
            transfer("first", SocketKind::Tcp, &listener, count),
            transfer("second", SocketKind::SharedTcp, &listener, 1),
            transfer("third", SocketKind::SharedUnix, &listener, 1),
        ]
    };
    let name = format!("{}::successor", module_path!().split_once("::").unwrap().1);
    let program = this_program(&["--quiet", "--exact", &name]);
    block_on(async {
        let successor = start(&program, &transfers(300), SLOTS, TIMEOUTS)
            .await
            .unwrap();
        let pid = Pid::from_raw(successor.pid.try_into().unwrap()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();

        let refused = start(&program, &transfers(299), SLOTS, TIMEOUTS)
            .await
            .unwrap_err();
        let refused = refused.to_string();
        assert!(refused.contains("ready: 299 sockets of ["), "{refused}");
    });
}

#[test]
fn a_successor_that_ends_or_crashes_or_sends_nonsense_is_an_error() {
    for (script, why) in [
        (
            "exit 3",
            "the new program ended before it was ready: exit status: 3",
        ),
        (
            "kill -SEGV $$",
            "the new program ended before it was ready: signal: 11 (SIGSEGV)",
        ),
        // The channel is closed, but the process runs.
        ("exec 0<&-; exec sleep 1000", "signal: 9 (SIGKILL)"),
        // The channel is closed a moment before the end. It was once killed in that moment.
        ("exec 0<&-; sleep 0.1; exit 7", "ready: exit status: 7"),
        (
            "printf '\\377\\377\\377\\377\\377' >&0; exec sleep 1000",
            "too long",
        ),
    ] {
        let error = refused(&shell(script));
        assert!(error.to_string().contains(why), "{script}: {error}");
    }
}

/// An old master that was delayed found a successor that had served and ended. It took that for
/// a failure, and served on beside the successor's own successor.
#[test]
fn a_successor_that_was_stopped_before_the_old_master_read_its_message_has_served() {
    let ended_with = |status| {
        let program = shell(&format!("printf '{}' >&0; exit {status}", escaped_ready()));
        block_on(async {
            let mut attempt = Attempt::launch(&program, &[], SLOTS).unwrap();
            let id = WaitId::Pid(attempt.pid().unwrap());
            waitid(id, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
            poll_fn(|cx| attempt.poll_ready(cx)).await
        })
    };
    ended_with(0).unwrap();
    let crashed = ended_with(3).unwrap_err().to_string();
    assert!(crashed.ends_with("exit status: 3"), "{crashed}");
}

/// Returns what a successor sends when it serves, as `printf` takes it.
fn escaped_ready() -> String {
    let (ours, theirs) = Channel::pair().unwrap();
    theirs.send(&ToPredecessor::Ready, &[]).unwrap();
    drop(theirs);
    let mut sent = Vec::new();
    let mut ours = File::from(ours.into_socket());
    ours.read_to_end(&mut sent).unwrap();
    sent.iter().map(|byte| format!("\\{byte:03o}")).collect()
}

/// A child of the new program holds the channel open.
#[cfg(target_os = "linux")]
#[test]
fn the_end_is_noticed_while_a_child_holds_the_channel() {
    let error = refused(&shell("sleep 5 <&0 >/dev/null 2>&1 & exit 4")).to_string();
    assert!(error.ends_with("exit status: 4"), "{error}");
}

#[test]
fn a_successor_that_hangs_is_killed() {
    let runtime: Runtime = runtime::Builder::new().start_paused(true).build().unwrap();
    let sleep = shell("exec sleep 1000");
    let error = runtime.block_on(async { start(&sleep, &[], SLOTS, TIMEOUTS).await });
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(
        error.to_string(),
        "the new program was not ready within 30s"
    );
}

#[test]
fn a_program_that_cannot_be_started_is_an_error_with_its_path() {
    let missing = Program::new("/no/such/program", &["program"]);
    let error = refused(&missing);
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(
        error
            .to_string()
            .starts_with("cannot start /no/such/program: ")
    );
    let no_program = Program::new("/dev/null", &["program"]);
    let error = refused(&no_program);
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
}

#[test]
fn a_dropped_attempt_leaves_no_process() {
    let pid = block_on(async {
        let attempt = Attempt::launch(&shell("exec sleep 1000"), &[], SLOTS).unwrap();
        attempt.pid()
    });
    let pid = pid.unwrap();
    let gone = rustix::process::test_kill_process(pid).unwrap_err();
    assert_eq!(gone, rustix::io::Errno::SRCH);
}

fn refused(program: &Program) -> io::Error {
    block_on(async { start(program, &[], SLOTS, TIMEOUTS).await.unwrap_err() })
}

fn shell(script: &str) -> Program {
    Program::new("/bin/sh", &["sh", "-c", script])
}

fn this_program(arguments: &[&str]) -> Program {
    let path = env::current_exe().unwrap();
    let path = path.to_str().unwrap();
    Program::new(path, &[&[path], arguments].concat())
}

fn transfer<'a>(
    address: &str,
    kind: SocketKind,
    listener: &'a TcpListener,
    count: usize,
) -> SocketTransfer<'a> {
    SocketTransfer {
        inherited: Inherited {
            address: address.to_owned(),
            kind,
        },
        sockets: vec![listener.as_fd(); count],
    }
}
