//! Programs that were replaced while they ran, or built in another way.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use coreloop_test_support::folder::Folder;
use coreloop_test_support::process::master::copy;
use coreloop_test_support::program::program;
use coreloop_test_support::size;

use super::App;

/// A worker is started from the file that the program runs, even if that file has another name
/// by now, or none.
#[test]
fn workers_are_replaced_although_the_program_was_replaced_or_deleted() {
    let folder = Folder::new();
    let path = folder.path("app");
    copy(&program("pool_app"), &path);
    let mut command = Command::new(&path);
    command.arg("--workers=1");
    let mut app = App::start_command(command);
    let square = |app: &mut App| assert!(app.ask("square 3", "ok").starts_with("(9, "));
    square(&mut app);
    // Replaced by a program that would never be ready.
    fs::copy("/bin/true", folder.path("new")).unwrap();
    fs::rename(folder.path("new"), &path).unwrap();
    for _ in 0..3 {
        assert!(app.ask("exit 3", "broken").contains("exit status: 3"));
        square(&mut app);
    }
    fs::remove_file(&path).unwrap();
    for _ in 0..3 {
        assert!(app.ask("exit 3", "broken").contains("exit status: 3"));
        square(&mut app);
    }
    app.end();
}

/// The standard library says so on standard error, and aborts.
#[test]
fn a_stack_overflow_is_a_broken_worker() {
    let mut app = App::start(&["--workers=1"]);
    for _ in 0..2 {
        let text = app.ask("overflow", "broken");
        assert!(text.contains("signal: 6"), "{text}");
        app.master.line("has overflowed its stack");
        assert!(app.ask("square 4", "ok").starts_with("(16, "));
    }
    let text = app.ask("crash", "broken");
    assert!(text.contains("signal: 6"), "{text}");
    app.end();
}

/// Builds the program with these options of the release profile.
fn build(options: &[&str]) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pool_app");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(root)
        .args(["build", "--quiet", "--release", "--example=pool_app"])
        .args(["--package=coreloop-test-support", "--target-dir"])
        .arg(&target);
    for option in options {
        command
            .arg("--config")
            .arg(format!("profile.release.{option}"));
    }
    let output = command.stdin(Stdio::null()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    target.join("release/examples/pool_app")
}

/// The linker keeps the list of the jobs, and a panic that aborts is the end of a worker.
#[test]
fn an_optimized_program_whose_panics_abort_runs_jobs() {
    // Takes minutes.
    if size::pick(true, false) {
        return;
    }
    let options = ["lto=\"fat\"", "codegen-units=1", "panic=\"abort\""];
    let mut command = Command::new(build(&options));
    command.arg("--workers=2");
    let mut app = App::start_command(command);
    assert_eq!(app.ask("many 100", "ok"), "100");
    let text = app.ask("panic", "broken");
    assert!(text.contains("pool_app::panic_in_a_job"), "{text}");
    assert!(text.contains("signal: 6"), "{text}");
    app.master.line("as the test wanted");
    assert!(app.ask("exit 0", "broken").contains("exit status: 0"));
    assert!(app.ask("overflow", "broken").contains("signal: 6"));
    assert_eq!(app.ask("many 100", "ok"), "100");
    app.end();
}
