//! Upgrades under the load of many clients, to a program that serves and to programs that do
//! not. No client fails.

#![cfg(all(target_os = "linux", not(miri)))]

use coreloop_test_support::process::fleet::Fleet;
use coreloop_test_support::process::master::await_end;
use coreloop_test_support::process::storm::Storm;
use coreloop_test_support::process::supervised::Server;
use coreloop_test_support::program::program;
use coreloop_test_support::size;
use rustix::process::Signal;
use std::collections::HashSet;

/// The number of clients.
const CLIENTS: &str = "--clients=256";

/// No client fails during an upgrade under load, whether the signal or the control socket
/// requests it. The new master has taken over the control socket too.
#[test]
fn upgrades_fail_no_client() {
    let mut server = Server::start(&["--workers=2"]);
    let mut storm = Storm::start(server.address, &[CLIENTS, "--progress=200"]);
    let mut fleet = Fleet::default();
    fleet.await_slots(&mut storm, 2, &HashSet::new());
    server.first.signal(Signal::USR2);
    let before = fleet.seen.clone();
    fleet.await_slots(&mut storm, 2, &before);
    assert!(server.first.end_of_first().success());
    for _ in 0..size::pick(3, 10) {
        let old = server.app.master();
        let before = fleet.seen.clone();
        server.app.ask("upgrade").unwrap();
        fleet.await_slots(&mut storm, 2, &before);
        await_end(old);
        assert_ne!(server.app.master(), old);
    }
    storm.stop().assert_flawless(size::pick(600, 2000));
    fleet.assert_only(&server.app, 2);
}

/// Whatever the new program does instead of serving, the old master continues and no client
/// fails.
#[test]
fn failed_upgrades_fail_no_client() {
    let mut server = Server::start(&["--workers=2", "--startup=2500"]);
    let mut storm = Storm::start(server.address, &[CLIENTS, "--progress=200"]);
    let mut fleet = Fleet::default();
    fleet.await_slots(&mut storm, 2, &HashSet::new());
    let master = server.app.master();
    for script in ["exit 3", "exec sleep 1000", "kill -SEGV $$"] {
        server.app.install_script(script);
        let refused = server.app.ask("upgrade");
        assert!(refused.is_err(), "{script:?} has served: {refused:?}");
        assert_eq!(server.app.master(), master, "after {script:?}");
        // The old workers still answer.
        storm.await_answers(400);
    }
    // And a later upgrade succeeds.
    server.app.install(&program("process_app"));
    let before = fleet.seen.clone();
    server.app.ask("upgrade").unwrap();
    fleet.await_slots(&mut storm, 2, &before);
    assert!(server.first.end_of_first().success());
    storm.stop().assert_flawless(1200);
    fleet.assert_only(&server.app, 2);
    assert_eq!(fleet.seen.len(), 4, "no other worker ever served");
}
