//! Functions in other processes.
#![cfg(test)]
#![cfg(not(miri))]

mod crashes;
mod entering;
mod failures;
mod job_attribute;
mod process;
mod registry;
mod run;
mod storm;

coreloop::pool::worker_test!();
