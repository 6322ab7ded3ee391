//! Functions in other processes.
#![cfg(test)]
#![cfg(not(miri))]

mod entering;
mod job_attribute;
mod registry;
mod run;

coreloop::pool::worker_test!();
