//! Shared memory between real processes.

mod array;

use rustix::process::{Pid, Signal, kill_process};

fn kill(pid: Pid) {
    kill_process(pid, Signal::KILL).unwrap();
}
