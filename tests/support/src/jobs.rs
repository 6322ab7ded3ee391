//! Jobs that a library has.

#[coreloop::job]
pub fn increment(number: u32) -> u32 {
    number + 1
}
