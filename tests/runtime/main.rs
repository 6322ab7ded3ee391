//! The runtime.
#![cfg(test)]

mod block_on;
mod drop;
mod failure;
mod handle;
mod hook;
mod metrics;
mod promises;
mod shutdown;
mod slow_poll;
mod turn;
mod unhandled_panic;
