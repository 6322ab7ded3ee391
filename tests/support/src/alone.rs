//! Tests in a program without the harness, which would have threads of its own.

use std::io::{self, Write};

/// Runs a test on the calling thread, with the line that the harness prints: first the
/// name, so that a panic or a hang has one.
pub fn test(name: &str, run: impl FnOnce()) {
    print!("test {name} ... ");
    // A process that the test forks has nothing of it to print.
    io::stdout().flush().unwrap();
    run();
    println!("ok");
}
