//! Counts the user-space instructions of a server.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::process::{self, Command, Stdio};
use std::time::Duration;

use crate::child::{Server, limit_time};

/// Returns whether valgrind is installed; prints a message if it is not.
pub(crate) fn is_installed() -> bool {
    let version = Command::new("valgrind")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let installed = version.is_ok_and(|status| status.success());
    if !installed {
        println!("left out: valgrind is not installed (Debian: apt-get install valgrind)");
    }
    installed
}

/// Returns the instructions of one whole run of a server. `drive` gets the server's port;
/// the server ends by itself afterwards. Keeps callgrind's file in `keep`, if given. `nice`
/// gives the server a lower priority than the client, which is on the same core.
pub(crate) fn count(
    name: &str,
    words: &[OsString],
    keep: Option<&Path>,
    drive: impl FnOnce(u16) -> io::Result<()>,
) -> io::Result<u64> {
    limit_time(300);
    let folder = keep.map_or_else(env::temp_dir, Path::to_owned);
    let name = name.replace(' ', "_");
    let file = folder.join(format!("callgrind.{name}.{}", process::id()));
    let mut output = OsString::from("--callgrind-out-file=");
    output.push(&file);
    let valgrind = [
        "nice".into(),
        "-n19".into(),
        "valgrind".into(),
        "--tool=callgrind".into(),
        "--quiet".into(),
        output,
    ];
    let server = Server::start_under(&valgrind, words)?;
    drive(server.port())?;
    // callgrind writes its file when the server ends.
    server.wait(Duration::from_secs(60))?;
    let total = total(&file);
    if keep.is_none() {
        fs::remove_file(&file)?;
    }
    total
}

/// Returns the total number of instructions in a callgrind file.
fn total(file: &Path) -> io::Result<u64> {
    fs::read_to_string(file)?
        .lines()
        .find_map(|line| {
            line.strip_prefix("totals:")
                .or_else(|| line.strip_prefix("summary:"))?
                .trim()
                .parse()
                .ok()
        })
        .ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "callgrind's file has no total"))
}
