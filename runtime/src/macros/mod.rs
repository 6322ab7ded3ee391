//! Macros that wait for several futures in one task, and what they expand to.
//!
//! They are `macro_rules`, so no feature and no other crate is needed. What an
//! expansion names is found by `$crate::macros`, whatever the user's crates are
//! called. Each future is pinned by [`std::pin::pin!`] in a local variable of
//! its own: a variable that a recursive call of a macro introduces is another
//! than that of the next call, though both are written alike. So there is no
//! unsafe code in an expansion, and no allocation.
//!
//! # Invariants
//!
//! 1. Expressions of the user's are evaluated where no variable or item of an
//!    expansion can be meant by them, and handlers also outside of any loop,
//!    closure and async block of it: `return`, `break` and `?` are the user's.
//! 2. Futures are evaluated and dropped in the order in which they are written.
//!    As variables are dropped last first, they are pinned last first.

mod join;
mod pin;
mod race;
mod select;

pub use join::{InTurn, MaybeDone, Rotation};
pub use race::{Racer, Racing, race};
pub use select::{InOrder, Shuffled, poll_budget_left, saw};
pub use std::future::{Future, IntoFuture, poll_fn};
pub use std::option::Option;
pub use std::pin::pin;
pub use std::result::Result;
pub use std::task::{Poll, ready};
