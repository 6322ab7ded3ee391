//! Single processes.

use std::time::Duration;

use coreloop::pool::{self, Process};
use rustix::process::Signal;

#[coreloop::job]
fn add(left: u32, right: u32) -> u32 {
    left + right
}

#[coreloop::job]
fn pid() -> u32 {
    std::process::id()
}

#[coreloop::job]
fn name() -> (bool, String) {
    let process = pool::current_process();
    (process.is_worker, process.name)
}

#[coreloop::job]
fn exit(code: i32) {
    std::process::exit(code);
}

#[coreloop::job]
fn wait_for_ever() {
    loop {
        std::thread::park();
    }
}

#[coreloop::job]
fn panic_quietly() {
    panic!("as the test wanted");
}

#[coreloop::test]
async fn a_process_calls_its_function_and_ends() {
    let mut process = Process::spawn(add, (2, 3)).unwrap();
    assert_eq!(process.join().await.unwrap(), 5);
    assert!(process.exit_status().unwrap().success());
    assert!(!process.is_alive());
}

#[coreloop::test]
async fn a_process_has_its_own_id_and_name() {
    let mut process = Process::spawn(pid, ()).unwrap();
    let id = process.pid();
    assert_ne!(id, std::process::id());
    assert!(pool::active_children().iter().any(|child| child.pid == id));
    assert_eq!(process.join().await.unwrap(), id);
    assert!(pool::active_children().iter().all(|child| child.pid != id));

    let mut named = Process::builder().name("a name").spawn(name, ()).unwrap();
    assert_eq!(named.join().await.unwrap(), (true, "a name".to_owned()));
}

#[coreloop::test]
async fn a_function_that_exits_is_reported_with_its_status() {
    let mut process = Process::spawn(exit, 3).unwrap();
    let error = process.join().await.unwrap_err();
    assert!(error.is_broken_worker(), "{error}");
    assert_eq!(error.exit_status().unwrap().code(), Some(3));
    assert_eq!(process.exit_status().unwrap().code(), Some(3));
}

#[coreloop::test]
async fn a_panic_is_the_outcome_and_not_the_status() {
    let mut process = Process::spawn(panic_quietly, ()).unwrap();
    let error = process.join().await.unwrap_err();
    assert!(error.is_panic(), "{error}");
    assert!(process.exit_status().unwrap().success());
}

#[coreloop::test]
async fn a_killed_process_is_reported_with_its_signal() {
    use std::os::unix::process::ExitStatusExt;

    for kill in [true, false] {
        let mut process = Process::spawn(wait_for_ever, ()).unwrap();
        let none = process.join_timeout(Duration::ZERO).await;
        assert!(none.is_none());
        assert!(process.try_join().is_none());
        let signal = if kill {
            process.kill();
            Signal::KILL
        } else {
            process.terminate().unwrap();
            Signal::TERM
        };
        let error = process.join().await.unwrap_err();
        assert!(error.is_broken_worker(), "{error}");
        let status = error.exit_status().unwrap();
        assert_eq!(status.signal(), Some(signal.as_raw()));
    }
}

#[test]
fn a_process_ends_with_its_runtime() {
    use std::os::unix::process::ExitStatusExt;

    let runtime = coreloop::Runtime::new().unwrap();
    let mut process = runtime.block_on(async { Process::spawn(wait_for_ever, ()).unwrap() });
    assert!(process.is_alive());
    drop(runtime);
    // The kernel ends a killed process a little later.
    while process.is_alive() {
        std::thread::yield_now();
    }
    let status = process.exit_status().unwrap();
    assert_eq!(status.signal(), Some(Signal::KILL.as_raw()));
    let error = process.try_join().unwrap().unwrap_err();
    assert!(error.is_shut_down(), "{error}");
    let children = pool::active_children();
    assert!(children.iter().all(|child| child.name != process.name()));
}
