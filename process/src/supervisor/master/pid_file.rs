//! [`PidFile`], the file that holds the process id of the master.
//!
//! # Invariants
//!
//! 1. The file is locked from the moment that it has its name until its master ends, however
//!    that ends. So a file that is not locked was left by a master that has ended.
//! 2. Masters check a file, replace it and remove it one at a time, under a [`NameLock`]. Only
//!    the lock of the file's own master is ever seen, and no master removes another's file.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf, absolute};
use std::process;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;

use crate::name_lock::NameLock;

/// A pid file. Dropping it removes the file, unless another master has replaced it.
#[derive(Debug)]
pub(super) struct PidFile {
    path: PathBuf,
    /// The open file, which holds the lock.
    file: File,
}

impl PidFile {
    /// Writes the file. A file of a master that has ended is replaced, and the one of
    /// `predecessor`, whose process id this is.
    ///
    /// Returns an error if another master that runs has the file.
    pub(super) fn create(path: &Path, predecessor: Option<&str>) -> io::Result<Self> {
        // The program may change its working directory later.
        let path = absolute(path)?;
        let _lock = NameLock::of(&path);
        let written = check(&path, predecessor).and_then(|()| put(&path));
        match written {
            Ok(file) => Ok(Self { path, file }),
            Err(error) => Err(cannot_write(&path, &error)),
        }
    }

    /// Writes the file again if it was removed or overwritten, or if another master that has
    /// ended has replaced it.
    pub(super) fn restore(&mut self) -> io::Result<()> {
        let _lock = NameLock::of(&self.path);
        if self.is_held() {
            return Ok(());
        }
        let checked = match self.is_in_place() {
            true => Ok(()),
            false => check(&self.path, None),
        };
        let written = checked.and_then(|()| put(&self.path));
        self.file = written.map_err(|error| cannot_write(&self.path, &error))?;
        Ok(())
    }

    /// Returns whether the file still is the one that this process wrote.
    fn is_held(&self) -> bool {
        self.is_in_place() && fs::read_to_string(&self.path).is_ok_and(|content| content == text())
    }

    fn is_in_place(&self) -> bool {
        let identity = |found: fs::Metadata| (found.dev(), found.ino());
        let found = fs::symlink_metadata(&self.path).map(identity);
        found.is_ok_and(|found| self.file.metadata().is_ok_and(|own| identity(own) == found))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let _lock = NameLock::of(&self.path);
        if self.is_held() {
            // A file that stays names a process that has ended, as after a crash.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Returns an error if a master that runs, and is not the `predecessor`, has the file.
fn check(path: &Path, predecessor: Option<&str>) -> io::Result<()> {
    // Without waiting for a writer if it is a pipe.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(found) = open(path, flags, Mode::empty()) else {
        // There is no file, or replacing it returns the error.
        return Ok(());
    };
    // Where files cannot be locked, all are replaced.
    if flock(&found, FlockOperation::NonBlockingLockShared) != Err(Errno::WOULDBLOCK) {
        return Ok(());
    }
    let mut content = String::new();
    let _ = File::from(found).take(64).read_to_string(&mut content);
    let pid = content.trim();
    if predecessor.is_some_and(|predecessor| predecessor == pid) {
        return Ok(());
    }
    Err(io::Error::new(
        ErrorKind::AlreadyExists,
        format!("it belongs to another server that runs, with the process id {pid}"),
    ))
}

/// Writes the file atomically: a reader sees the old content or the new.
fn put(path: &Path) -> io::Result<File> {
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}", process::id()));
    let written = File::create(&new).and_then(|mut file| {
        // Where files cannot be locked, another server may replace this one.
        let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
        file.write_all(text().as_bytes())?;
        fs::rename(&new, path)?;
        Ok(file)
    });
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}

fn cannot_write(path: &Path, error: &io::Error) -> io::Error {
    let message = format!("cannot write the pid file {}: {error}", path.display());
    io::Error::new(error.kind(), message)
}

fn text() -> String {
    format!("{}\n", process::id())
}

#[cfg(test)]
mod tests {
    use super::*;
    use coreloop_test_support::folder::Folder;

    #[test]
    fn a_file_of_a_server_that_runs_is_not_replaced() {
        let folder = Folder::new();
        let path = folder.path("pid");
        let first = PidFile::create(&path, None).unwrap();
        let error = PidFile::create(&path, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        let own = process::id();
        assert!(error.to_string().ends_with(&format!("process id {own}")));
        assert!(error.to_string().contains(path.to_str().unwrap()));
        PidFile::create(&path, Some("1")).unwrap_err();
        // A successor takes it over, and the predecessor leaves it alone.
        let second = PidFile::create(&path, Some(&own.to_string())).unwrap();
        drop(first);
        assert_eq!(fs::read_to_string(&path).unwrap(), text());
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_was_left_is_replaced() {
        let folder = Folder::new();
        let path = folder.path("pid");
        for content in ["1\n", "no number", ""] {
            fs::write(&path, content).unwrap();
            let file = PidFile::create(&path, None).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text());
            drop(file);
        }
    }

    #[test]
    fn a_file_is_restored_in_whatever_way_it_was_lost() {
        let folder = Folder::new();
        let path = folder.path("pid");
        let mut file = PidFile::create(&path, None).unwrap();
        let restored = |file: &mut PidFile| {
            file.restore().unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text());
        };
        restored(&mut file);
        fs::remove_file(&path).unwrap();
        restored(&mut file);
        fs::write(&path, "overwritten").unwrap();
        restored(&mut file);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "replaced").unwrap();
        restored(&mut file);
        fs::remove_file(&path).unwrap();
        let other = PidFile::create(&path, None).unwrap();
        file.restore().unwrap_err();
        drop(file);
        assert!(path.exists());
        drop(other);
        assert!(!path.exists());
    }
}
