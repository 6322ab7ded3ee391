use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use coreloop::ipc::{Shared, SharedAtomics};

fn main() {
    // Another process could write a byte that is no `bool`.
    let _ = Shared::new(AtomicBool::new(true));
    // Its size is not the same in every process.
    let _ = Shared::new(AtomicUsize::new(0));
    let _ = Shared::new(Cell::new(0));
    let _ = SharedAtomics::<u64>::with_len(1);
}
