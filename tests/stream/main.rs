//! Generators, and streams on the loop.
#![cfg(test)]

mod channel;
mod generator;
mod in_scope;
mod loop_ext;
mod sugar;
