//! What allocates nothing. An allocator counts, and a program has one only, so these
//! tests have a binary of their own.
#![cfg(test)]

mod macros;
mod stream;

use coreloop_test_support::allocator::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;
