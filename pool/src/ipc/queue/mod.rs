//! A queue that many processes put items in and take items out of.

#[expect(dead_code, reason = "the handles of queues will use it")]
pub(crate) mod state;
