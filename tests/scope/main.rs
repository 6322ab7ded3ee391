//! Scopes, cancel scopes and task groups.
#![cfg(test)]

mod cancel;
mod children;
mod depth;
mod group;
mod group_ends;
mod polls;
mod wakers;
