//! Everything that a turn of the loop is made of.
//!
//! The engine imports nothing from the front: the modules that users name, which are built
//! on it. A test of this repository holds that.
//!
//! - `core`: the loop itself, and which loop a thread is in;
//! - `task`: tasks, their states, the scheduler and the budget;
//! - `cancel`: cancellation and the cleanups of guards;
//! - `remote`: what other threads touch: the inbox, spawn requests, the blocking pool;
//! - `reactor`: descriptors and their readiness;
//! - `timers`: the clock, the timer wheel and the alarm;
//! - `report`: what the runtime reports without being asked;
//! - `sys`: what differs between platforms;
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
