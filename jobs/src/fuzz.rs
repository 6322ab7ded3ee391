//! The messages of a manager and its clients, for a fuzz target.

use crate::items;
use crate::wire::{ClientFrame, ManagerFrame};

/// Parses bytes as each message. What is parsed is written with the same bytes.
///
/// # Panics
///
/// Panics if it is not.
pub fn messages(bytes: &[u8]) {
    let mut written = Vec::new();
    if let Ok(frame) = ClientFrame::parse(bytes) {
        frame.write(&mut written);
        assert_eq!(written, bytes);
    }
    written.clear();
    if let Ok(frame) = ManagerFrame::parse(bytes) {
        frame.write(&mut written);
        assert_eq!(written, bytes);
    }
    // An answer of a queue, from which leases are given back.
    let _ = items::give_back(bytes);
}
