//! Children of a process that has no descriptors and no children of other tests. It is a
//! process of its own, without a test harness, because `fork` needs a process that has only
//! one thread.
//!
//! The tests run one after another, in this order. `fork` comes first, because it is refused
//! once the blocking pool has started a thread.

#[cfg(all(target_os = "linux", not(miri)))]
fn main() {
    use coreloop_test_support::alone::test;
    use linux as tests;

    let inherited = tests::inherited();
    test(
        "fork_works_with_one_thread",
        tests::fork_works_with_one_thread,
    );
    test("descriptors_of_a_child_equal_an_allow_list", || {
        tests::descriptors_of_a_child_equal_an_allow_list(&inherited);
    });
    test(
        "ten_thousand_children_leave_nothing_behind",
        tests::ten_thousand_children_leave_nothing_behind,
    );
    test(
        "children_whose_loop_has_ended_are_collected_by_the_next_spawn",
        tests::children_whose_loop_has_ended_are_collected_by_the_next_spawn,
    );
    test(
        "a_child_without_a_pidfd_is_waited_for_by_a_thread",
        tests::a_child_without_a_pidfd_is_waited_for_by_a_thread,
    );
    test(
        "spawn_without_free_descriptors_is_an_error",
        tests::spawn_without_free_descriptors_is_an_error,
    );
}

#[cfg(not(all(target_os = "linux", not(miri))))]
fn main() {}

#[cfg(all(target_os = "linux", not(miri)))]
#[expect(
    clippy::unwrap_used,
    reason = "the program is a test, though it has no harness that would mark it as one"
)]
mod linux {
    use std::fs;
    use std::iter;
    use std::net::TcpListener;
    use std::os::unix::process::ExitStatusExt;
    use std::process::exit;

    use coreloop::net;
    use coreloop::process::{Child, Command, Fork, Stdio, fork};
    use coreloop::signal::unix::{SignalKind, signal};
    use coreloop::task::yield_now;
    use coreloop_test_support::deadline::{Deadline, yield_until};
    use rustix::io::Errno;
    use rustix::process::{
        Pid, Resource, Rlimit, WaitId, WaitIdOptions, WaitOptions, getpid, getrlimit, setrlimit,
        waitid, waitpid,
    };

    /// The descriptors above 2 that this process has inherited and passes on to its children.
    pub(super) fn inherited() -> Vec<i32> {
        let all = descriptors("self");
        let kept = |number: &i32| {
            let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}"));
            let Ok(info) = info else {
                return false;
            };
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
            let flags = u32::from_str_radix(flags.unwrap().trim(), 8).unwrap();
            // `O_CLOEXEC`, as the kernel prints it.
            flags & 0o2_000_000 == 0
        };
        all.into_iter()
            .filter(|number| *number > 2)
            .filter(kept)
            .collect()
    }

    fn descriptors(process: &str) -> Vec<i32> {
        let folder = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
        let numbers = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut numbers: Vec<i32> = numbers.map(|name| name.parse().unwrap()).collect();
        numbers.sort_unstable();
        numbers
    }

    /// `fork` copies a process that has one thread; parent and child then each run a loop.
    #[expect(unsafe_code, reason = "`fork` is unsafe")]
    pub(super) fn fork_works_with_one_thread() {
        // SAFETY: this is the first test of the process, which has mapped nothing shared and
        // has had no event loop.
        match unsafe { fork() }.unwrap() {
            Fork::Child => {
                let code = coreloop::block_on(async {
                    let status = Command::new("sh").args(["-c", "exit 5"]).status();
                    status.await.unwrap().code().unwrap()
                });
                exit(code + 1);
            }
            Fork::Parent(child) => {
                assert_ne!(child.id(), getpid().as_raw_nonzero().get().unsigned_abs());
                assert_eq!(coreloop::block_on(async { 1 }), 1);
                let status = child.wait().unwrap();
                assert_eq!((status.code(), status.signal()), (Some(6), None));
            }
        }
        assert_no_children();
    }

    /// The process has descriptors of all kinds open; a child has only its standard streams.
    pub(super) fn descriptors_of_a_child_equal_an_allow_list(inherited: &[i32]) {
        let _std_listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _file = fs::File::open("/proc/self/exe").unwrap();
        let (_pipe_reader, _pipe_writer) = std::io::pipe().unwrap();
        coreloop::block_on(async {
            let listener = net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let (_client, _server) =
                coreloop::join!(net::TcpStream::connect(address), listener.accept());
            let _datagrams = net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let _signals = signal(SignalKind::hangup()).unwrap();
            let mut children: Vec<Child> = Vec::new();
            for _ in 0..3 {
                let mut command = Command::new("cat");
                command
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped());
                children.push(command.spawn().unwrap());
            }
            let mut allowed = vec![0, 1, 2];
            allowed.extend(inherited);
            for child in &mut children {
                // `spawn` returns when the child begins to execute its program, a moment
                // before the descriptors that the program does not inherit are closed.
                child.stdin.as_mut().unwrap().write_all(b"x").await.unwrap();
                let echo = child.stdout.as_mut().unwrap().read(&mut [0; 1]).await;
                assert_eq!(echo.unwrap(), 1);
                let number = child.id().unwrap().to_string();
                assert_eq!(descriptors(&number), allowed);
            }
            for mut child in children {
                child.wait().await.unwrap();
            }
        });
        assert_no_children();
    }

    /// Children that are waited for, killed, dropped, or dropped with the loop leave no
    /// zombie and no descriptor.
    pub(super) fn ten_thousand_children_leave_nothing_behind() {
        let before = descriptors("self");
        for _ in 0..10 {
            coreloop::block_on(async {
                for _ in 0..25 {
                    let mut children: Vec<Child> = (0..40)
                        .map(|_| Command::new("true").kill_on_drop(true).spawn().unwrap())
                        .collect();
                    children.truncate(30);
                    for child in children.iter_mut().take(20) {
                        assert!(child.wait().await.unwrap().success());
                    }
                    children[20].kill().await.unwrap();
                }
            });
        }
        coreloop::block_on(async {
            // Each spawn collects the ended children that no loop waits for.
            let deadline = Deadline::new();
            while has_children() {
                deadline.check();
                Command::new("true").status().await.unwrap();
            }
        });
        assert_no_children();
        assert_eq!(descriptors("self"), before);
    }

    pub(super) fn children_whose_loop_has_ended_are_collected_by_the_next_spawn() {
        let mut children = Vec::new();
        coreloop::block_on(async {
            for _ in 0..20 {
                let mut command = Command::new("cat");
                children.push(command.stdin(Stdio::piped()).spawn().unwrap());
            }
            // Ten children are left to a task, which ends with the loop; the other ten are
            // dropped after it.
            children.truncate(10);
            yield_now().await;
        });
        drop(children);
        coreloop::block_on(async {
            let deadline = Deadline::new();
            while has_children() {
                deadline.check();
                Command::new("true").status().await.unwrap();
            }
        });
    }

    pub(super) fn a_child_without_a_pidfd_is_waited_for_by_a_thread() {
        coreloop::block_on(async {
            // Starts the pool's thread now, because that may take descriptors.
            coreloop::task::spawn_blocking(|| ()).await.unwrap();
            let (stdin, input) = std::io::pipe().unwrap();
            let mut command = Command::new("sh");
            command.args(["-c", "read nothing; exit 8"]).stdin(stdin);
            let mut dropped = Command::new("sleep");
            dropped.arg("1000").kill_on_drop(true);
            let mut stolen = Command::new("true");
            let before = descriptors("self");
            let (mut child, mut stolen) = without_descriptors(|| {
                drop(dropped.spawn().unwrap());
                (command.spawn().unwrap(), stolen.spawn().unwrap())
            });
            // No pidfd was opened.
            assert_eq!(descriptors("self"), before);
            let wait = coreloop::spawn(async move { child.wait().await });
            yield_now().await;
            drop(input);
            assert_eq!(wait.await.unwrap().unwrap().code(), Some(8));
            let number = stolen.id().unwrap().try_into().unwrap();
            waitpid(Pid::from_raw(number), WaitOptions::empty()).unwrap();
            for _ in 0..2 {
                let error = stolen.wait().await.unwrap_err();
                assert_eq!(error.raw_os_error(), Some(Errno::CHILD.raw_os_error()));
            }
            yield_until(|| !has_children()).await;
        });
    }

    pub(super) fn spawn_without_free_descriptors_is_an_error() {
        coreloop::block_on(async {
            let mut command = Command::new("cat");
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
            let error = without_descriptors(|| command.spawn()).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(Errno::MFILE.raw_os_error()));
        });
        assert_no_children();
    }

    /// Calls `f` while this process has no free descriptor.
    fn without_descriptors<R>(f: impl FnOnce() -> R) -> R {
        let limit = getrlimit(Resource::Nofile);
        let low = Rlimit {
            current: Some(256),
            maximum: limit.maximum,
        };
        setrlimit(Resource::Nofile, low).unwrap();
        let full: Vec<_> = iter::from_fn(|| fs::File::open("/dev/null").ok()).collect();
        let result = f();
        drop(full);
        setrlimit(Resource::Nofile, limit).unwrap();
        result
    }

    /// Whether this process has a child, be it running or a zombie.
    fn has_children() -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        waitid(WaitId::All, options).err() != Some(Errno::CHILD)
    }

    #[track_caller]
    fn assert_no_children() {
        assert!(!has_children());
    }
}
