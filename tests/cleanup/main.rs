//! Async cleanup: guards, brackets and shields, on every way out of a task.
#![cfg(test)]

mod deep;
mod failures;
mod frozen;
mod order;
mod scenarios;
mod shutdown;
mod sweep;
