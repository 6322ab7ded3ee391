//! Managers and queues of jobs.
#![cfg(test)]
#![cfg(not(miri))]

mod managed;
mod manager;
mod memory;
mod programs;
mod suite;

coreloop::pool::worker_test!();
