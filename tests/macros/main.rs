//! Macros.
#![cfg(test)]

mod join;
mod main_and_test;
mod select;
