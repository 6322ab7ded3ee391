//! Worker machines that are killed or stopped. A machine is a process with a pool of its own: this
//! test binary, which runs one test.

use std::collections::HashMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use coreloop::jobs::Queue;
use coreloop_test_support::meeting::{Meeting, meet};
use coreloop_test_support::size;
use rustix::process::{Pid, Signal, kill_process};

use super::{Log, Reachable, Running, SHORT, append, pool, worker};

/// The variable that makes a process a machine: the address of the engine.
const ADDRESS: &str = "CORELOOP_SUITE_MACHINE";

/// The name of the queue of a machine.
const QUEUE: &str = "machines";

/// A machine. Dropping it kills it, and with it the processes of its pool.
struct Machine(Child);

impl Machine {
    /// Starts a machine. `module` is the one in which `on_machines!` was called.
    fn start(place: &impl Reachable) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(["--exact", &test_name(), "--nocapture", "--test-threads=1"])
            .env(ADDRESS, place.address())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        Self(command.spawn().unwrap())
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.unwrap(), signal).unwrap();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Returns the name of the test of the machines, which is beside the test that runs.
fn test_name() -> String {
    let test = std::thread::current().name().unwrap().to_owned();
    match test.rsplit_once("::") {
        Some((module, _)) => format!("{module}::suite_machine"),
        None => "suite_machine".to_owned(),
    }
}

/// Runs this process as a machine, if it is one.
pub(crate) fn machine<F: Future<Output = Queue>>(connect: impl Fn(String, &'static str) -> F) {
    let Ok(address) = env::var(ADDRESS) else {
        return;
    };
    coreloop::block_on(async {
        let queue = connect(address, QUEUE).await;
        let pool = pool(1);
        let worker = worker(&queue, &pool).lease(SHORT).attempts(1_000);
        // Until it is killed.
        worker.run().await.unwrap();
    });
}

/// Meets the test, and returns the process that the test has met.
#[coreloop::job]
fn attend_as(meeting: PathBuf, name: String) -> u32 {
    meet(&meeting, &name);
    std::process::id()
}

pub(crate) async fn jobs_of_a_machine_that_was_killed_run_elsewhere(place: &impl Reachable) {
    let meeting = Meeting::new();
    let queue = place.queue(QUEUE).await;
    let inputs = ["a", "b", "c"].map(|name| (meeting.path(), name.to_owned()));
    let receipts = queue.push_many(attend_as, inputs).await.unwrap();
    let machine = Machine::start(place);
    let first = meeting.arrival().await;
    assert_eq!(first.name, "a");
    drop(machine);
    let pool = pool(1);
    let running = Running::start(worker(&queue, &pool).lease(place.long()));
    let mut met = HashMap::new();
    for _ in 0..3 {
        let arrival = meeting.arrival().await;
        met.insert(arrival.name.clone(), arrival.pid);
        arrival.release().await;
    }
    for (receipt, name) in receipts.iter().zip(["a", "b", "c"]) {
        let pid = queue.result(receipt).await.unwrap();
        assert_eq!(
            i32::try_from(pid).unwrap(),
            met[name].as_raw_nonzero().get()
        );
    }
    let metrics = running.stop().await;
    assert_eq!((metrics.done, metrics.lost, metrics.taken), (3, 0, 0));
}

pub(crate) async fn a_machine_that_was_stopped_stores_no_result_of_a_job_that_was_taken(
    place: &impl Reachable,
) {
    let meeting = Meeting::new();
    let queue = place.queue(QUEUE).await;
    let attend = |name: &str| queue.push(attend_as, (meeting.path(), name.to_owned()));
    let receipt = attend("taken").await.unwrap();
    let machine = Machine::start(place);
    let slow = meeting.arrival().await;
    // It cannot renew its lease, while its job runs on.
    machine.signal(Signal::STOP);
    let pool = pool(1);
    let running = Running::start(worker(&queue, &pool).lease(place.long()));
    let fast = meeting.arrival().await;
    assert_eq!(fast.name, "taken");
    let (slow_pid, fast_pid) = (slow.pid, fast.pid);
    assert_ne!(slow_pid, fast_pid);
    // The slow one has a result first, which it stores only when it goes on.
    slow.release().await;
    machine.signal(Signal::CONT);
    // It goes on: this worker is busy.
    let next = attend("next").await.unwrap();
    let other = meeting.arrival().await;
    assert_eq!(other.name, "next");
    other.release().await;
    queue.result(&next).await.unwrap();
    fast.release().await;
    let pid = queue.result(&receipt).await.unwrap();
    assert_eq!(i32::try_from(pid).unwrap(), fast_pid.as_raw_nonzero().get());
    let metrics = running.stop().await;
    assert_eq!((metrics.taken, metrics.lost), (0, 0));
    drop(machine);
    // The result was stored once.
    assert_eq!(queue.result(&receipt).await.unwrap(), pid);
    assert!(queue.dead_letters(1).await.unwrap().is_empty());
}

#[coreloop::job]
fn compute(log: PathBuf, number: u64) -> u64 {
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(1) {
        std::hint::spin_loop();
    }
    append(&log, &number.to_string());
    number + 1
}

pub(crate) async fn no_job_is_lost_while_machines_are_killed(place: &impl Reachable) {
    let (count, step) = size::pick((120, 40), (2_000, 50));
    let log = Log::new();
    let queue = place.queue(QUEUE).await;
    let mut machines: Vec<_> = (0..2).map(|_| Machine::start(place)).collect();
    let inputs = (0..count).map(|number| (log.path(), number));
    let receipts = queue.push_many(compute, inputs).await.unwrap();
    for (number, receipt) in (0..count).zip(&receipts) {
        if number % step == step - 1 {
            machines.push(Machine::start(place));
            drop(machines.remove(0));
        }
        assert_eq!(queue.result(receipt).await.unwrap(), number + 1);
    }
    drop(machines);
    let times = times(&log.path());
    assert_eq!(times.len(), receipts.len());
    assert!(queue.dead_letters(1).await.unwrap().is_empty());
}

/// Returns how often each job ran.
fn times(log: &Path) -> HashMap<u64, usize> {
    let mut times = HashMap::new();
    for line in coreloop_test_support::meeting::lines(log) {
        *times.entry(line.parse().unwrap()).or_default() += 1;
    }
    times
}
