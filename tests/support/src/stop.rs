//! Stopping a child.

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// Stops a child by SIGSTOP, and waits until it has stopped: a process that runs on another core
/// continues for a moment after the signal was sent.
pub fn stop(child: Pid) {
    kill_process(child, Signal::STOP).unwrap();
    // The state is left for others who wait for the child.
    let options = WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(child), options).unwrap();
}
