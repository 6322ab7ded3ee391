//! Managers and their clients.

mod cable;
mod durations;
mod flood;
mod handshake;
mod line;
mod queues;
mod reconnecting;
mod services;
mod slow;
mod unix;

use coreloop::jobs::{Client, Key, Manager};
use coreloop_test_support::meeting::soon;

/// The key of these tests.
pub(crate) fn key() -> Key {
    Key::new("the key of the tests of managers").unwrap()
}

/// Connects a client.
pub(crate) async fn client(manager: &Manager) -> Client {
    soon(Client::connect(manager.address(), &key()))
        .await
        .unwrap()
}
