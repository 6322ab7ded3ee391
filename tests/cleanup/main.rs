//! Async cleanup: guards, brackets and shields, on every way out of a task.
#![cfg(test)]

mod closed;
mod deep;
mod deep_random;
mod failures;
mod frozen;
mod order;
mod parts;
mod scenarios;
mod shutdown;
mod sweep;
