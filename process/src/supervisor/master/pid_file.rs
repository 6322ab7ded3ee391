//! [`PidFile`]: the file that has the master's number.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process;

/// Removed when it is dropped, unless another master has written its own by then.
#[derive(Debug)]
pub(super) struct PidFile(PathBuf);

impl PidFile {
    /// Writes it, in one piece: who reads sees the old one or this.
    pub(super) fn create(path: PathBuf) -> io::Result<PidFile> {
        let mut new = path.clone().into_os_string();
        new.push(format!(".{}", process::id()));
        let failed = |error: io::Error| {
            let message = format!("cannot write the pid file {}: {error}", path.display());
            io::Error::new(error.kind(), message)
        };
        fs::write(&new, text()).map_err(failed)?;
        fs::rename(&new, &path).map_err(failed)?;
        Ok(PidFile(path))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if fs::read_to_string(&self.0).is_ok_and(|content| content == text()) {
            // What stays names a process that is no more, as after a crash.
            let _ = fs::remove_file(&self.0);
        }
    }
}

fn text() -> String {
    format!("{}\n", process::id())
}
