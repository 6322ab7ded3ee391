//! The machine of the measurements, and the versions of the contestants.

use std::env;
use std::fs;
use std::io;
use std::process::Command;
use std::thread;

/// The crates whose versions the report shows.
const CRATES: [&str; 16] = [
    "coreloop",
    "tokio",
    "monoio",
    "smol",
    "compio",
    "glommio",
    "hyper",
    "hyper-util",
    "futures-rustls",
    "tokio-rustls",
    "async-channel",
    "async-lock",
    "async-unsync",
    "local-sync",
    "async-stream",
    "futures-util",
];

pub(crate) fn about() -> io::Result<Vec<(String, String)>> {
    let cores = thread::available_parallelism()?;
    let rustc = env::var_os("RUSTC").unwrap_or("rustc".into());
    let lines = [
        (
            "date",
            output(Command::new("date").args(["-u", "+%Y-%m-%d"]))?,
        ),
        ("processor", format!("{}, {cores} cores", processor()?)),
        (
            "kernel",
            fs::read_to_string("/proc/sys/kernel/osrelease")?
                .trim()
                .to_owned(),
        ),
        ("rust", output(Command::new(rustc).arg("--version"))?),
        ("crates", versions()?),
    ];
    Ok(lines.map(|(name, value)| (name.to_owned(), value)).into())
}

fn processor() -> io::Result<String> {
    let info = fs::read_to_string("/proc/cpuinfo")?;
    let mut lines = info.lines().filter_map(|line| line.split_once(':'));
    let model = lines.find(|(name, _)| name.trim() == "model name");
    Ok(model
        .map_or("unknown", |(_, model)| model.trim())
        .to_owned())
}

/// Returns the versions of the contestants.
fn versions() -> io::Result<String> {
    let cargo = env::var_os("CARGO").unwrap_or("cargo".into());
    let tree = output(Command::new(cargo).args([
        "tree",
        "--offline",
        "--package=coreloop-peers",
        "--depth=1",
        "--prefix=none",
        "--edges=normal",
    ]))?;
    let versions = tree.lines().filter_map(|line| {
        let (name, rest) = line.split_once(" v")?;
        let version = rest.split_whitespace().next()?;
        CRATES.contains(&name).then(|| format!("{name} {version}"))
    });
    Ok(versions.collect::<Vec<_>>().join(", "))
}

fn output(command: &mut Command) -> io::Result<String> {
    let output = command.output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("{command:?}: {}", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
