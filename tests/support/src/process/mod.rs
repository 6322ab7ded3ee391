//! Supervised programs: a master, the workers it has, and a storm of clients.

pub mod fleet;
pub mod master;
pub mod storm;
pub mod supervised;
