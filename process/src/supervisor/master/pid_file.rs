//! [`PidFile`], the file that holds the process id of the master.

use std::fs;
use std::io;
use std::path::{Path, PathBuf, absolute};
use std::process;

/// A pid file. Dropping it removes the file, unless another master has replaced it.
#[derive(Debug)]
pub(super) struct PidFile(PathBuf);

impl PidFile {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        // The program may change its working directory later.
        let path = absolute(path)?;
        write(&path)?;
        Ok(Self(path))
    }

    /// Writes the file again if another master has replaced it.
    pub(super) fn restore(&self) -> io::Result<()> {
        if self.is_held() {
            return Ok(());
        }
        write(&self.0)
    }

    /// Returns whether the file still is the one that this process wrote.
    fn is_held(&self) -> bool {
        fs::read_to_string(&self.0).is_ok_and(|content| content == text())
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if self.is_held() {
            // A file that stays names a process that has ended, as after a crash.
            let _ = fs::remove_file(&self.0);
        }
    }
}

/// Writes the file atomically: a reader sees the old content or the new.
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
