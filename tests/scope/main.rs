//! Scopes, cancel scopes and task groups.
#![cfg(test)]

mod cancel;
mod children;
mod depth;
mod group;
mod polls;
mod wakers;
