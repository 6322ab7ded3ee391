//! Locks and channels, most of them compared with a simple model.
#![cfg(test)]

mod barrier;
mod broadcast;
mod cancellation;
mod channel_errors;
mod channel_models;
mod channel_threads;
mod condvar;
mod event;
mod kept_wakers;
mod mpsc;
mod mutex;
mod notify;
mod once_cell;
mod one_task;
mod oneshot;
mod permits_model;
mod queue;
mod reentrant_mutex;
mod rwlock;
mod semaphore;
mod set_once;
mod sizes;
mod spent_budget;
mod watch;
