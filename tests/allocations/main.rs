//! Which operations do not allocate, and which memory is freed. These tests have a process of
//! their own, because they replace the allocator of the program by one that counts.
#![cfg(test)]

mod finished_task;
mod group;
mod macros;
mod stream;
// These tests use many megabytes, which takes Miri more than ten minutes.
#[cfg(not(miri))]
mod sync;

use coreloop_test_support::allocator::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;
