//! Records the compiler and the profile of the build, for the program.

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

    // Cargo passes only the profile that this one inherits. But each profile has its own
    // folder: <profile>/build/<package>/out.
    let folder = env::var_os("OUT_DIR").expect("cargo names the folder");
    let profile = Path::new(&folder).ancestors().nth(3);
    let profile = profile.and_then(Path::file_name).unwrap_or_default();
    println!("cargo::rustc-env=PROFILE={}", profile.to_string_lossy());
}
