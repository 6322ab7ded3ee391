//! What differs between platforms.

pub(crate) mod atomic;
pub(crate) mod cpu_clock;
