//! Helpers that the tests of coreloop share: peers, wakers, values with destructors, models,
//! and programs that tests start.
//!
//! Test code may unwrap and panic. The workspace's lints allow that only in functions that are
//! marked as tests, so this crate allows it for the helpers that tests call.
#![expect(
    missing_docs,
    missing_debug_implementations,
    clippy::missing_panics_doc,
    clippy::missing_errors_doc,
    clippy::must_use_candidate,
    clippy::new_without_default,
    clippy::unwrap_used,
    reason = "tests are the only callers, and a panic fails the test"
)]

pub mod allocator;
pub mod alone;
pub mod chunks;
pub mod clock;
pub mod codecs;
pub mod deadline;
pub mod folder;
pub mod gate;
pub mod jobs;
pub mod meeting;
pub mod models;
pub mod on_drop;
pub mod on_thread;
pub mod pair;
pub mod panics;
#[cfg(target_os = "linux")]
pub mod process;
pub mod program;
pub mod reports;
pub mod rerun;
pub mod sequence;
pub mod server_process;
#[cfg(target_os = "linux")]
pub mod silence;
pub mod size;
pub mod skip;
pub mod standard_error;
pub mod stop;
pub mod trace;
pub mod turns;
pub mod waiter;
pub mod wakers;
