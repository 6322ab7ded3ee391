//! A program that ends or is killed leaves no process behind.

use coreloop_test_support::process::master::await_end;
use coreloop_test_support::process::proc::children;
use rustix::process::{Signal, kill_process};

use super::{App, pid};

/// The kernel kills the workers, although they do not read their sockets. Standard output,
/// which all of them hold, is closed then.
#[test]
fn nothing_is_left_when_the_master_is_killed() {
    let mut app = App::start(&["--workers=3", "--prefetch=1"]);
    app.ask("ready 3", "ready");
    let mut all = app.workers();
    for _ in 0..2 {
        app.ask("spin", "submitted");
        let spinning = pid(&app.word("spinning"));
        assert!(all.contains(&spinning));
    }
    all.push(app.master.pid());
    kill_process(app.master.pid(), Signal::KILL).unwrap();
    for process in all {
        await_end(process);
    }
    app.master.end();
}

/// The workers of a worker end with it.
#[test]
fn nothing_is_left_of_a_nested_pool_when_the_master_is_killed() {
    let mut app = App::start(&["--workers=1"]);
    app.ask("nest", "submitted");
    let outer = pid(&app.word("nesting"));
    let inner = pid(&app.word("spinning"));
    assert_eq!(children(outer), [inner]);
    kill_process(app.master.pid(), Signal::KILL).unwrap();
    for process in [outer, inner] {
        await_end(process);
    }
    app.master.end();
}

/// The end of a worker ends its own pool, and only that.
#[test]
fn nothing_is_left_of_a_nested_pool_when_its_worker_is_killed() {
    let mut app = App::start(&["--workers=1"]);
    app.ask("nest", "submitted");
    let outer = pid(&app.word("nesting"));
    let inner = pid(&app.word("spinning"));
    kill_process(outer, Signal::KILL).unwrap();
    await_end(inner);
    assert!(app.ask("square 3", "ok").starts_with("(9, "));
    app.end();
}

/// A program that ends in an orderly way does not wait for its workers: they are killed.
#[test]
fn a_program_that_ends_leaves_no_worker() {
    let mut app = App::start(&["--workers=2"]);
    app.ask("ready 2", "ready");
    let workers = app.workers();
    app.ask("spin", "submitted");
    app.word("spinning");
    app.end();
    for worker in workers {
        await_end(worker);
    }
}
