//! Functions in other processes.
#![cfg(test)]
#![cfg(not(miri))]

mod entering;
mod job_attribute;
mod process;
mod registry;
mod run;

coreloop::pool::worker_test!();
