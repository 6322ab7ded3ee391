//! The program of a supervisor is replaced in a storm of clients, by one that
//! serves and by some that do not, and none of the clients fails.

#![cfg(all(target_os = "linux", not(miri)))]

use coreloop_test_support::process::fleet::Fleet;
use coreloop_test_support::process::master::await_end;
use coreloop_test_support::process::storm::Storm;
use coreloop_test_support::process::supervised::Server;
use coreloop_test_support::program::program;
use coreloop_test_support::size;
use rustix::process::Signal;
use std::collections::HashSet;

/// How many clients there are.
const CLIENTS: &str = "--clients=256";

/// An upgrade under load fails no client, be it by the signal or by the control socket,
/// which the new master has taken over with the rest.
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

/// Whatever the new program does instead of serving, the old one serves on and no client
/// fails.
#[test]
fn upgrades_that_go_wrong_fail_no_client() {
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
        // The old ones still answer.
        storm.await_answers(400);
    }
    // And nothing is in the way of one that does better.
    server.app.install(&program("process_app"));
    let before = fleet.seen.clone();
    server.app.ask("upgrade").unwrap();
    fleet.await_slots(&mut storm, 2, &before);
    assert!(server.first.end_of_first().success());
    storm.stop().assert_flawless(1200);
    fleet.assert_only(&server.app, 2);
    assert_eq!(fleet.seen.len(), 4, "no other worker ever served");
}
