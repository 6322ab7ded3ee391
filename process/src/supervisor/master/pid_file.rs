//! [`PidFile`]: the file that has the master's number.

use std::fs;
use std::io;
use std::path::{Path, PathBuf, absolute};
use std::process;

/// Removed when it is dropped, unless another master has written its own by then.
#[derive(Debug)]
pub(super) struct PidFile(PathBuf);

impl PidFile {
    pub(super) fn create(path: &Path) -> io::Result<PidFile> {
        // The program may change its directory later.
        let path = absolute(path)?;
        write(&path)?;
        Ok(PidFile(path))
    }

    /// Writes it again, if another master has written its own meanwhile.
    pub(super) fn restore(&self) -> io::Result<()> {
        if self.is_held() {
            return Ok(());
        }
        write(&self.0)
    }

    /// Whether it still is what this process wrote.
    fn is_held(&self) -> bool {
        fs::read_to_string(&self.0).is_ok_and(|content| content == text())
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if self.is_held() {
            // What stays names a process that is no more, as after a crash.
            let _ = fs::remove_file(&self.0);
        }
    }
}

/// In one piece: who reads sees the one before or this.
fn write(path: &Path) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}", process::id()));
    let written = fs::write(&new, text()).and_then(|()| fs::rename(&new, path));
    written.map_err(|error| {
        let _ = fs::remove_file(&new);
        let message = format!("cannot write the pid file {}: {error}", path.display());
        io::Error::new(error.kind(), message)
    })
}

fn text() -> String {
    format!("{}\n", process::id())
}
