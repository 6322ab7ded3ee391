//! [`Puts`], the items that wait for room in a queue.

use std::collections::HashMap;

use super::Size;
use crate::ipc::broker::state::{Client, Key, Line};

/// The items that wait for room, the first one first.
pub(super) struct Puts<P> {
    line: Line<P>,
    /// The bytes of the items of each client.
    bytes: HashMap<Client, usize>,
}

impl<P: Size> Puts<P> {
    pub(super) fn new() -> Self {
        Self {
            line: Line::new(),
            bytes: HashMap::new(),
        }
    }

    pub(super) fn push(&mut self, key: Key, payload: P) {
        *self.bytes.entry(key.client).or_default() += payload.size();
        self.line.push(key, payload);
    }

    pub(super) fn pop(&mut self) -> Option<(Key, P)> {
        let (key, payload) = self.line.pop()?;
        self.removed(key, &payload);
        Some((key, payload))
    }

    /// Removes an item. Returns whether it was there.
    pub(super) fn remove(&mut self, key: Key) -> bool {
        let removed = self.line.remove(key);
        if let Some(payload) = &removed {
            self.removed(key, payload);
        }
        removed.is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// Returns how many bytes the items of a client have.
    pub(super) fn bytes_of(&self, client: Client) -> usize {
        self.bytes.get(&client).copied().unwrap_or(0)
    }

    fn removed(&mut self, key: Key, payload: &P) {
        if let Some(bytes) = self.bytes.get_mut(&key.client) {
            *bytes -= payload.size();
            if *bytes == 0 {
                self.bytes.remove(&key.client);
            }
        }
    }
}
