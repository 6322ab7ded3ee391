//! The differences between the systems for the broker of `ipc`.
//!
//! | item | what it does |
//! |---|---|
//! | [`listen`] | makes a listening socket with a new address, at a `Place` that `remove` makes free again |
//! | [`connect`] | connects to such an address |
//! | [`Death`] | waits for the end of a process |
//!
//! `Death::of` begins to watch the process that the kernel has named when it connected; an error if
//! it cannot be watched. Its number may have been used again since, so the broker demands an answer
//! from the process after this call. `claim` adds what the process says, where the kernel has not
//! named it, and `poll_ended` waits; `has_socket` is whether the socket of the process is open.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as system;

#[cfg(not(target_os = "linux"))]
mod other;
#[cfg(not(target_os = "linux"))]
use other as system;

pub(crate) use system::{Death, Place, connect, listen};

/// Returns 32 hexadecimal digits that no other program can guess.
fn random_name() -> String {
    format!("{:016x}{:016x}", super::random(), super::random())
}
