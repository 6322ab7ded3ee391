//! The runtime: how it is driven, entered, shut down and embedded, and its handles.
#![cfg(test)]

mod block_on;
mod drop;
mod failure;
mod handle;
mod handle_cleanup;
mod handle_flood;
mod hook;
mod metrics;
mod promises;
mod shutdown;
mod slow_poll;
mod turn;
mod two_runtimes;
mod unhandled_panic;
