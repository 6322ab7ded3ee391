//! Database clients on coreloop, each tested against a server that the test starts.
#![cfg(test)]

mod postgres;
mod redis;
