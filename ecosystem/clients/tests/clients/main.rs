//! Clients on coreloop, each against its server, which the test starts and ends.
#![cfg(test)]

mod postgres;
mod redis;
mod server_process;
