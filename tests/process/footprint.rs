//! What a master has after many kills, reloads and upgrades: as many descriptors as before, and
//! as much memory.

#![cfg(all(target_os = "linux", not(miri)))]

use coreloop_test_support::deadline::wait_until;
use coreloop_test_support::process::master::{App, Master, await_end};
use coreloop_test_support::process::proc::{descriptor_count, resident};
use coreloop_test_support::size;
use rustix::process::{Signal, kill_process};

/// The descriptors and the memory of a master, in bytes.
#[derive(Debug, Clone, Copy)]
struct Footprint {
    descriptors: usize,
    memory: u64,
}

impl Footprint {
    /// Measures the master that serves now, when all its workers are ready.
    fn of(app: &App) -> Self {
        wait_until(|| app.workers().len() == 2);
        let master = app.master();
        // The connection of the last request is closed a moment later.
        let mut descriptors = descriptor_count(master);
        wait_until(|| {
            let before = descriptors;
            descriptors = descriptor_count(master);
            before == descriptors
        });
        Self {
            descriptors,
            memory: resident(master),
        }
    }

    /// Compares with the footprint `before`. A descriptor that was still being closed when
    /// this footprint was measured does not count.
    fn assert_not_above(self, app: &App, before: Self) {
        wait_until(|| descriptor_count(app.master()) <= before.descriptors);
        // A twentieth, and the pages that an allocator may keep.
        let limit = before.memory + before.memory / 20 + 128 * 1024;
        assert!(self.memory <= limit, "{self:?}, before {before:?}");
    }
}

fn kill_a_worker(app: &App) {
    let mut workers = app.workers();
    wait_until(|| {
        workers = app.workers();
        workers.len() == 2
    });
    kill_process(workers[0], Signal::KILL).unwrap();
    wait_until(|| !app.workers().contains(&workers[0]));
}

#[test]
fn a_master_grows_by_no_kill_reload_or_upgrade() {
    let app = App::new();
    let mut master = Master::start(app.command(&["--workers=2", "--restarts=1000000"]));
    master.ready(2);
    let warm_up = || {
        for _ in 0..20 {
            kill_a_worker(&app);
        }
        for _ in 0..5 {
            app.ask("reload").unwrap();
        }
        Footprint::of(&app)
    };
    let first = warm_up();
    for _ in 0..size::pick(20, 1000) {
        kill_a_worker(&app);
    }
    for _ in 0..size::pick(5, 200) {
        app.ask("reload").unwrap();
    }
    let used = Footprint::of(&app);
    used.assert_not_above(&app, first);
    for _ in 0..size::pick(3, 50) {
        let old = app.master();
        app.ask("upgrade").unwrap();
        await_end(old);
    }
    let last = warm_up();
    last.assert_not_above(&app, first);
    println!("at first {first:?}, after kills and reloads {used:?}, after upgrades {last:?}");
    app.ask("stop").unwrap();
    master.end();
}
