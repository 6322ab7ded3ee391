//! Supervised programs: a master, its workers, a storm of clients, and what `/proc` shows of
//! processes.

pub mod chaos;
pub mod fleet;
pub mod master;
pub mod proc;
pub mod storm;
pub mod supervised;
