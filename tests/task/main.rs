//! Tasks: spawning, joining, waking, aborting, budgets and blocking work.
#![cfg(test)]

mod abort;
mod abort_sweep;
mod budget;
mod budget_wakes;
mod builder;
mod destructors;
mod join;
mod join_set;
mod large;
mod local;
mod nested_outputs;
mod panic;
mod spawn_blocking;
mod task_slots;
mod thread_pool;
mod wake;
