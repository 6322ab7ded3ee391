//! Cleanup.
#![cfg(test)]

mod failures;
mod frozen;
mod order;
mod scenarios;
mod sweep;
