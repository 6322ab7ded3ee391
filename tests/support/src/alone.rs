//! Tests in a program without the test harness, which would start threads.

use std::io::{self, Write};

/// Runs a test on the calling thread, and prints the line that the harness prints. The name
/// is printed first, so that it is shown for a panic or a hang.
pub fn test(name: &str, run: impl FnOnce()) {
    print!("test {name} ... ");
    // Flushed, so that a process that the test forks does not print it too.
    io::stdout().flush().unwrap();
    run();
    println!("ok");
}
