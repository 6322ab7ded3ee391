//! Queues of jobs on servers, each tested with a server that the test starts.
#![cfg(test)]

mod mail_queue;
mod nats;
mod redis;
#[path = "../../../../tests/jobs/suite/mod.rs"]
mod suite;

coreloop::pool::worker_test!();
