//! The engine of the runtime: everything that takes part in a turn of the loop.
//!
//! The public modules of this crate, the front, are built on the engine. The engine imports
//! nothing from them, which a test in this repository checks.
//!
//! - `core`: the loop itself, which loop is current and running on a thread, and sleeps;
//! - `task`: tasks, their states, the scheduler, the budget, and the inbox for tasks that
//!   other threads wake;
//! - `cancel`: cancellation and the cleanups of guards;
//! - `remote`: spawn requests from other threads, and the blocking pool;
//! - `reactor`: descriptors and their readiness;
//! - `timers`: the clock, the timer wheel and the alarm;
//! - `id`: task ids;
//! - `report`: reports of slow polls, unhandled panics, failed cleanups and abandoned tasks;
//! - `sys`: the differences between platforms;
//! - `panics`, `nesting`, `waker_cell`: how the engine calls user code safely.

pub(crate) mod cancel;
pub(crate) mod core;
pub(crate) mod id;
pub(crate) mod nesting;
pub(crate) mod panics;
pub(crate) mod reactor;
pub(crate) mod remote;
pub(crate) mod report;
pub(crate) mod sys;
pub(crate) mod task;
pub(crate) mod timers;
pub(crate) mod waker_cell;
