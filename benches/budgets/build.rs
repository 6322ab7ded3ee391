//! Tells the program which compiler built it, and with which profile.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let compiler = env::var_os("RUSTC").expect("cargo names the compiler");
    let answer = Command::new(compiler)
        .arg("--version")
        .output()
        .expect("the compiler runs");
    println!(
        "cargo::rustc-env=COMPILER={}",
        String::from_utf8_lossy(&answer.stdout).trim()
    );

    // Cargo tells no more of a profile than what it inherits, but has a folder for
    // each: <profile>/build/<package>/out.
    let folder = env::var_os("OUT_DIR").expect("cargo names the folder");
    let profile = Path::new(&folder).ancestors().nth(3);
    let profile = profile.and_then(Path::file_name).unwrap_or_default();
    println!("cargo::rustc-env=PROFILE={}", profile.to_string_lossy());
}
