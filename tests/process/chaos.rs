//! Scaling, reloads, kills and upgrades, in fixed orders and in random ones, under load. No
//! connection and no datagram is lost but for what a killed worker had accepted, and each worker
//! that the master reports as ready gets its share.
//!
//! `CORELOOP_TEST_FULL` lets the random orders run for five minutes. `CORELOOP_CHAOS_SEED` repeats
//! the operations of a run that failed.

#![cfg(all(target_os = "linux", not(miri)))]

use std::env;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use coreloop_test_support::deadline::wait_until;
use coreloop_test_support::process::chaos::{Chaos, Length, Operation};
use coreloop_test_support::program::program;
use coreloop_test_support::size;
use fastrand::Rng;
use rustix::process::Signal;

const PROCESSES: &str = "--workers=3";
const THREADS: &str = "--threads=3";

/// A seed with which the gate always runs.
const SEED: u64 = 18;

fn random_order(workers: &str, seed: u64, length: Length) {
    let chaos = Chaos::start(workers);
    let load = chaos.load();
    chaos.run(&load, seed, length);
    chaos.finish(load);
}

fn random_seed() -> u64 {
    let given = env::var("CORELOOP_CHAOS_SEED").ok();
    given.map_or_else(|| fastrand::u64(..100_000), |seed| seed.parse().unwrap())
}

#[test]
fn operations_in_a_random_order_lose_no_connection_and_leave_no_worker_silent() {
    random_order(PROCESSES, SEED, Length::Operations(20));
    let length = size::pick(
        Length::Operations(20),
        Length::Time(Duration::from_secs(300)),
    );
    random_order(PROCESSES, random_seed(), length);
}

#[test]
fn operations_on_threads_lose_no_connection_and_leave_no_worker_silent() {
    let length = size::pick(
        Length::Operations(15),
        Length::Time(Duration::from_secs(300)),
    );
    random_order(THREADS, random_seed(), length);
}

/// Performs operations one after another. Each worker answers after each of them, and when all
/// are done.
fn in_order(workers: &str, operations: &[Operation]) {
    let chaos = Chaos::start(workers);
    let load = chaos.load();
    let mut random = Rng::new();
    chaos.check_each_worker_answers();
    for &operation in operations {
        let answer = chaos.perform(operation, &mut random, &load);
        if let Some(answer) = answer {
            answer.unwrap_or_else(|error| panic!("{operation:?}: {error}"));
        }
        chaos.check_each_worker_answers();
    }
    chaos.settle();
    chaos.finish(load);
}

#[test]
fn each_worker_answers_after_scaling_down_and_up() {
    for workers in [PROCESSES, THREADS] {
        in_order(workers, &[Operation::Scale(1), Operation::Scale(4)]);
    }
}

#[test]
fn each_worker_answers_after_upgrades() {
    for workers in [PROCESSES, THREADS] {
        in_order(workers, &[Operation::Upgrade, Operation::Upgrade]);
    }
}

#[test]
fn each_worker_answers_after_scaling_and_an_upgrade() {
    for workers in [PROCESSES, THREADS] {
        for count in [1, 2, 5] {
            in_order(workers, &[Operation::Scale(count), Operation::Upgrade]);
        }
    }
}

#[test]
fn each_worker_answers_after_an_upgrade_and_scaling() {
    for workers in [PROCESSES, THREADS] {
        in_order(
            workers,
            &[Operation::Upgrade, Operation::Scale(1), Operation::Scale(4)],
        );
    }
}

#[test]
fn each_worker_answers_after_kills() {
    in_order(PROCESSES, &[Operation::Kill, Operation::KillAll]);
}

#[test]
fn each_worker_answers_after_a_kill_and_an_upgrade() {
    in_order(
        PROCESSES,
        &[Operation::Kill, Operation::Upgrade, Operation::Kill],
    );
}

/// The request is refused or kept, and no connection is lost.
#[test]
fn each_worker_answers_after_scaling_during_an_upgrade() {
    for workers in [PROCESSES, THREADS] {
        let chaos = Chaos::start(workers);
        let load = chaos.load();
        let mut random = Rng::new();
        chaos.check_each_worker_answers();
        for operation in [
            Operation::Signal(Signal::USR2),
            Operation::Scale(5),
            Operation::Signal(Signal::TTIN),
            Operation::Signal(Signal::TTOU),
            Operation::Scale(1),
        ] {
            chaos.perform(operation, &mut random, &load);
            chaos.check_each_worker_answers();
        }
        chaos.settle();
        chaos.finish(load);
    }
}

/// The old master added the slots while the new one started, which did not get their sockets.
/// The connections that waited there were lost.
#[test]
fn slots_that_were_requested_before_an_upgrade_are_not_added_during_it() {
    for workers in [PROCESSES, THREADS] {
        let chaos = Chaos::start(workers);
        let load = chaos.load();
        // The worker drains until the connection is closed.
        let held = chaos.connect_to(2);
        chaos.perform(Operation::Signal(Signal::TTOU), &mut Rng::new(), &load);
        wait_until(|| chaos.has("worker 2 ", "state=draining"));
        let mut client = UnixStream::connect(chaos.app.control()).unwrap();
        writeln!(client, "scale 5").unwrap();
        // When this is answered, the master has the request to scale.
        chaos.app.ask("status").unwrap();

        let program = program("process_chaos");
        let next = format!("exec {} \"$@\"", program.display());
        let script = chaos.app.install_held_script(&next);
        chaos.first.signal(Signal::USR2);
        script.wait_for_start();
        drop(held);
        wait_until(|| !chaos.has("worker 2 ", ""));
        assert!(!chaos.has("worker 3 ", ""));
        chaos.check_each_worker_answers();
        script.release();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("a new master has taken over"), "{answer}");
        chaos.settle();
        chaos.finish(load);
    }
}
