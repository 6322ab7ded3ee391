//! Macros that wait for several futures in one task, and the items that they expand to.
//!
//! They are `macro_rules`, so they need no feature and no other crate. An expansion
//! refers to items by `$crate::macros`, whatever the user's crates are called. Each
//! future is pinned by [`std::pin::pin!`] in its own local variable: by the hygiene of
//! macros, the variables that two recursive calls introduce differ even though they have
//! the same name. So an expansion needs no unsafe code and no allocation.
//!
//! # Invariants
//!
//! 1. User code is evaluated where it cannot refer to a variable or item of an expansion,
//!    and handlers are also outside of every loop, closure and async block of it, so
//!    that `return`, `break` and `?` apply to the user's code.
//! 2. Futures are evaluated and dropped in the order in which they are written. As
//!    variables are dropped in reverse order, the futures are pinned in reverse order.

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
