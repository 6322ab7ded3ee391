//! Functions in other processes.
#![cfg(test)]
#![cfg(not(miri))]

mod calls;
mod cancelling;
mod codecs;
mod crashes;
mod ending;
mod entering;
mod executor;
mod failures;
mod initializers;
mod job_attribute;
mod limits;
mod map;
mod meeting;
mod memory;
mod process;
mod programs;
mod reentrancy;
mod registry;
mod run;
mod storm;

coreloop::pool::worker_test!();
