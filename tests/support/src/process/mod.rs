//! Supervised programs: a master, the workers it has, a storm of clients, and what the
//! kernel shows of processes.

pub mod fleet;
pub mod master;
pub mod proc;
pub mod storm;
pub mod supervised;
