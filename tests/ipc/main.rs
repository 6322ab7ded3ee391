//! What processes say to each other, and what they share.
#![cfg(test)]
#![cfg(not(miri))]

mod channel;
mod jobs;
mod lock_file;
mod locks;
mod pipe;
mod queue;
mod shared;

coreloop::pool::worker_test!();
