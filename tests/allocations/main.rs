//! In a process of its own, because a program has one allocator, which counts here: what
//! allocates nothing, and what is freed.
#![cfg(test)]

mod finished_task;
mod group;
mod macros;
mod stream;
// Safe code, with values of many megabytes, which take Miri more than ten minutes.
#[cfg(not(miri))]
mod sync;

use coreloop_test_support::allocator::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;
