//! The attributes, and `select!`, `join!` and `race!`.
#![cfg(test)]

mod join;
mod main_and_test;
mod select;
