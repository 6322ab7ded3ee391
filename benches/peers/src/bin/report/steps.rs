//! The measuring programs, which run one after another.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::bounds::CONDITIONS;
use crate::report::RESULTS;
use crate::results::{Results, distinct};

/// A program, with its arguments in a full and in a quick run.
struct Step {
    program: &'static str,
    full: &'static str,
    quick: &'static str,
}

const fn step(program: &'static str, full: &'static str, quick: &'static str) -> Step {
    Step {
        program,
        full,
        quick,
    }
}

/// All steps, which take a quarter of an hour on two cores.
const STEPS: [Step; 20] = [
    step(
        "coreloop-peers",
        "instructions",
        "instructions --runtimes bare,coreloop --rounds 100",
    ),
    step(
        "coreloop-peers",
        "cpu --runtimes coreloop",
        "cpu --runtimes coreloop --starts 1 --turns 2 --echoes 4000",
    ),
    step(
        "coreloop-peers",
        "cpu --runtimes tokio --starts 3",
        "cpu --runtimes tokio --starts 1 --turns 2 --echoes 4000",
    ),
    step(
        "coreloop-peers",
        "cpu --runtimes monoio --starts 3",
        "cpu --runtimes monoio --starts 1 --turns 2 --echoes 4000",
    ),
    step(
        "coreloop-peers",
        "memory",
        "memory --connections 500 --turns 1",
    ),
    step("coreloop-peers", "spawn", "spawn --turns 2 --rounds 100"),
    step("coreloop-peers", "wake", "wake --turns 2 --wakes 100"),
    step("coreloop-peers", "locks", "locks --turns 2 --times 2000"),
    step(
        "coreloop-peers",
        "channels",
        "channels --turns 2 --values 2000",
    ),
    step("structure", "", "--turns 2 --thousands 10"),
    step(
        "timers",
        "--turns 11",
        "--turns 1 --cancelled 1000 --tasks 1000 --waits 10",
    ),
    step(
        "race",
        "echo --turns 4",
        "echo --starts 1 --turns 2 --milliseconds 30",
    ),
    step("race", "growth", "growth --starts 1 --milliseconds 40"),
    step(
        "servers",
        "http --starts 2 --turns 8",
        "http --starts 1 --turns 1",
    ),
    step(
        "servers",
        "connections --starts 4 --turns 15",
        "connections --starts 1 --turns 2 --requests 500",
    ),
    step(
        "servers",
        "bulk --starts 4 --turns 10 --mebibytes 256",
        "bulk --starts 1 --turns 2 --echoes 500 --mebibytes 16",
    ),
    step(
        "servers",
        "tls --starts 4 --turns 10",
        "tls --starts 1 --turns 2 --echoes 100",
    ),
    step(
        "processes",
        "echo --starts 4 --turns 4",
        "echo --starts 1 --turns 1 --echoes 4000",
    ),
    step("processes", "restart --kills 100", "restart --kills 5"),
    step("processes", "idle --seconds 20", "idle --seconds 5"),
];

/// Returns the folder of the programs, which is this program's folder.
pub(crate) fn programs() -> io::Result<PathBuf> {
    let own = env::current_exe()?;
    let folder = own.parent().unwrap_or(Path::new("."));
    Ok(folder.to_owned())
}

/// Builds the programs. `processes` is built separately, because its feature would change
/// the tokio that the others measure.
pub(crate) fn build() -> Result<(), Box<dyn Error>> {
    if !programs()?.ends_with("release") {
        return Err("the figures of a debug build mean nothing: use --release".into());
    }
    let bins = ["coreloop-peers", "structure", "timers", "race", "servers"];
    let mut plain: Vec<OsString> = Vec::new();
    for bin in bins {
        plain.extend(["--bin".into(), bin.into()]);
    }
    let apart = ["--features", "processes", "--bin", "processes"];
    for words in [plain, apart.map(OsString::from).into()] {
        let status = cargo()
            .args(["build", "--release", "--package", "coreloop-peers"])
            .args(&words)
            .status()?;
        if !status.success() {
            return Err(format!("building {words:?}: {status}").into());
        }
    }
    Ok(())
}

/// Runs all programs, which append their figures to the file. A program that fails gets a
/// remark there, and the others run.
pub(crate) fn run(programs: &Path, file: &Path, quick: bool, only: Option<&str>) -> io::Result<()> {
    let wanted = |name: &str| only.is_none_or(|only| name.contains(only));
    let begun = Instant::now();
    if quick {
        Results::remark(file, "quick", "a smoke run, whose figures say nothing")?;
    }
    for step in STEPS {
        let words = if quick { step.quick } else { step.full };
        if !wanted(&format!("{} {words}", step.program)) {
            continue;
        }
        println!("\n===== {} {words}", step.program);
        let start = Instant::now();
        let status = Command::new(programs.join(step.program))
            .args(words.split_whitespace())
            .env(RESULTS, file)
            .status();
        let failure = match status {
            Ok(status) if status.success() => None,
            Ok(status) => Some(status.to_string()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(failure) = failure {
            eprintln!("{} {words}: {failure}", step.program);
            let what = format!("`{} {words}`: {failure}", step.program);
            Results::remark(file, "failed", &what)?;
        }
        println!("===== {:.0} s", start.elapsed().as_secs_f64());
    }
    if !quick && wanted("tests") {
        test(file)?;
    }
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    Results::remark(file, "measured for", &format!("{minutes:.1} minutes"))
}

/// Runs the tests of the conditions that no figure shows, in their full size, and adds a
/// remark on each.
fn test(file: &Path) -> io::Result<()> {
    println!("\n===== tests");
    // The load generator and the server of the storm tests: `cargo test --test` builds no
    // examples.
    for (package, example) in [
        ("coreloop-examples", "storm"),
        ("coreloop-test-support", "process_app"),
    ] {
        cargo()
            .args(["build", "--package", package, "--example", example])
            .status()?;
    }
    let topics = CONDITIONS
        .iter()
        .flat_map(|condition| condition.tests.iter().copied());
    for topic in distinct(topics) {
        let filter = format!("{}::", topic.topic);
        let output = cargo()
            .args(["test", "--package", "coreloop", "--test", topic.area])
            .args(["--", &filter])
            .env("CORELOOP_TEST_FULL", "1")
            .stderr(Stdio::inherit())
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        println!("{text}");
        // A filter that no test matches succeeds, for instance after a module was renamed.
        let verdict = if text.contains("running 0 tests") {
            "NOT FOUND"
        } else if output.status.success() {
            "passed"
        } else {
            "FAILED"
        };
        Results::remark(file, &format!("test {}", topic.name()), verdict)?;
    }
    Ok(())
}

/// Returns cargo, without the variables that it set for this program about its package.
/// Crates that depend on these variables would be rebuilt.
fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&name);
        }
    }
    cargo
}
