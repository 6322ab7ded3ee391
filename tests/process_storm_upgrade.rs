//! The program of a supervisor is replaced in a storm of clients, by one that
//! serves and by some that do not, and none of the clients fails.

#![cfg(all(target_os = "linux", feature = "process", not(miri)))]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "common/fleet.rs"]
mod fleet;
#[path = "common/storm.rs"]
mod storm;
#[path = "common/supervised.rs"]
mod supervised;

use fleet::Fleet;
use rustix::process::Signal;
use std::collections::HashSet;
use storm::Storm;
use storm::example::program;
use supervised::{App, await_end};

/// How many clients there are.
const CLIENTS: &str = "--clients=256";

/// By the signal, and then by the control socket, which the new master has taken
/// over with the rest.
#[test]
fn upgrades_fail_nobody() {
    let mut app = App::start("upgrade", &["--workers=2"]);
    let mut storm = Storm::start(app.address, &[CLIENTS, "--progress=200"]);
    let mut fleet = Fleet::default();
    fleet.await_slots(&mut storm, 2, &HashSet::new());
    app.signal(Signal::USR2);
    let before = fleet.seen.clone();
    fleet.await_slots(&mut storm, 2, &before);
    app.await_first_end();
    for _ in 0..10 {
        let old = app.master();
        let before = fleet.seen.clone();
        app.request("upgrade").unwrap();
        fleet.await_slots(&mut storm, 2, &before);
        await_end(old);
        assert_ne!(app.master(), old);
    }
    storm.stop().assert_flawless(2000);
    fleet.assert_only(&app, 2);
}

/// Whatever the new program does instead of serving, the old one serves.
#[test]
fn upgrades_that_go_wrong_fail_nobody() {
    let mut app = App::start("bad-upgrade", &["--workers=2", "--startup=500"]);
    let mut storm = Storm::start(app.address, &[CLIENTS, "--progress=200"]);
    let mut fleet = Fleet::default();
    fleet.await_slots(&mut storm, 2, &HashSet::new());
    let master = app.master();
    for script in ["exit 3", "exec sleep 1000", "kill -SEGV $$"] {
        app.replace_program_by_script(script);
        let refused = app.request("upgrade");
        assert!(refused.is_err(), "{script:?} has served: {refused:?}");
        assert_eq!(app.master(), master, "after {script:?}");
        // The old ones still answer.
        storm.await_answers(400);
    }
    // And nothing is in the way of one that does better.
    app.replace_program(&program("process_app"));
    let before = fleet.seen.clone();
    app.request("upgrade").unwrap();
    fleet.await_slots(&mut storm, 2, &before);
    app.await_first_end();
    storm.stop().assert_flawless(1200);
    fleet.assert_only(&app, 2);
    assert_eq!(fleet.seen.len(), 4, "no other worker ever served");
}
