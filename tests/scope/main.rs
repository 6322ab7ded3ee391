//! Scopes.
#![cfg(test)]

mod cancel;
mod children;
mod group;
mod wakers;
