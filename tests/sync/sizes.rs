//! The size of idle primitives, compared with tokio's.

use std::mem::size_of;

use coreloop::sync;
use tokio::sync as theirs;

#[test]
fn idle_primitives_are_no_larger_than_those_of_tokio() {
    let sizes = [
        (
            "Mutex",
            size_of::<sync::Mutex<()>>(),
            size_of::<theirs::Mutex<()>>(),
        ),
        (
            "Mutex<u64>",
            size_of::<sync::Mutex<u64>>(),
            size_of::<theirs::Mutex<u64>>(),
        ),
        (
            "RwLock",
            size_of::<sync::RwLock<()>>(),
            size_of::<theirs::RwLock<()>>(),
        ),
        (
            "Semaphore",
            size_of::<sync::Semaphore>(),
            size_of::<theirs::Semaphore>(),
        ),
        (
            "Notify",
            size_of::<sync::Notify>(),
            size_of::<theirs::Notify>(),
        ),
        (
            "Barrier",
            size_of::<sync::Barrier>(),
            size_of::<theirs::Barrier>(),
        ),
        (
            "OnceCell",
            size_of::<sync::OnceCell<u64>>(),
            size_of::<theirs::OnceCell<u64>>(),
        ),
        (
            "SetOnce",
            size_of::<sync::SetOnce<u64>>(),
            size_of::<theirs::SetOnce<u64>>(),
        ),
    ];
    for (name, own, other) in sizes {
        println!("{name}: {own} bytes, tokio's {other}");
        assert!(own <= other, "{name} has {own} bytes, tokio's {other}");
    }
}
