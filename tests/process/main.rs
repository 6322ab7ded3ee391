//! Child processes, and supervisors with their workers.
#![cfg(test)]

mod addresses;
mod chaos;
mod child;
mod child_communicate;
mod child_others;
mod control;
mod cores;
mod deployment;
mod exhausted;
mod footprint;
mod identity;
mod idle;
mod init;
mod kill_children;
mod limits;
mod logs;
mod observe;
mod privileges;
mod replacement;
mod storm;
mod storm_client;
mod storm_upgrade;
mod supervisor;
mod supervisor_orphans;
mod systemd;
mod tokio_traits;
mod upgrade;
mod worker;
