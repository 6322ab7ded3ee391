//! Queues.
//!
//! | what happens | tests |
//! |---|---|
//! | on the loop that carries the queue | [`local`] |
//! | in other processes and threads | [`remote`] |
//! | items that fail or panic, wakers and destructors that call the queue | [`reentrancy`] |
//! | a process is killed that sends, receives or carries items | [`deaths`] |
//! | processes are killed at random, and each item is received once | [`storm`] |

mod deaths;
mod local;
mod reentrancy;
mod remote;
mod storm;
