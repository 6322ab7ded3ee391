//! [`Program`], the file and arguments of this process, to start it again.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf, absolute};
use std::process::Command;

use super::role::Role;
use crate::environment::{self, SUCCESSOR_PROGRAM};
use crate::sys;

/// What the kernel appends to the path of a program whose file was replaced or removed.
const DELETED: &[u8] = b" (deleted)";

/// The file, the arguments and the working directory with which this process was started.
#[derive(Debug, Clone)]
pub(super) struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    /// `None` if the directory has no path.
    directory: Option<PathBuf>,
}

impl Program {
    /// Returns the program of this process. Has to be called early, before the file or the
    /// working directory changes.
    pub(super) fn of_this_process() -> io::Result<Self> {
        let arguments: Vec<_> = env::args_os().collect();
        let is_successor = Role::find() == Role::Successor;
        let directory = directory(is_successor);
        let running = env::current_exe()?;
        let named = arguments
            .first()
            .and_then(|name| find(Path::new(name), directory.as_deref()))
            // A link such as `current/server` is kept, so that it can be pointed at another
            // file before an upgrade. But the parent can set the first argument to
            // anything, so a name that leads to another file is not used.
            .filter(|named| is_same_file(named, sys::executable().unwrap_or(&running)));
        // The file may have been replaced again since the old master has started it.
        let of_predecessor = || env::var_os(SUCCESSOR_PROGRAM).filter(|_| is_successor);
        Ok(Self {
            path: named
                .or_else(|| of_predecessor().map(PathBuf::from))
                .unwrap_or_else(|| without_mark(running)),
            arguments,
            directory,
        })
    }

    /// Sets the directory in which the program is started.
    pub(super) fn set_directory(&mut self, directory: PathBuf) {
        self.directory = Some(directory);
    }

    #[cfg(test)]
    pub(super) fn new(path: &str, arguments: &[&str]) -> Self {
        Self {
            path: path.into(),
            arguments: arguments.iter().map(Into::into).collect(),
            directory: None,
        }
    }

    /// Returns the path at which an upgrade finds the next version.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns a command that starts the file that is at the path now.
    pub(super) fn command(&self) -> Command {
        self.with_file(&self.path)
    }

    /// Returns a command that starts the file that this process runs, even if another file
    /// is at its path by now.
    pub(super) fn same_command(&self) -> Command {
        self.with_file(sys::executable().unwrap_or(&self.path))
    }

    fn with_file(&self, path: &Path) -> Command {
        let mut command = Command::new(path);
        if let Some((name, rest)) = self.arguments.split_first() {
            command.arg0(name).args(rest);
        }
        // A directory that was removed must not keep workers from being started. They are then
        // started in the working directory of this process.
        if let Some(directory) = self.directory.as_ref().filter(|path| path.is_dir()) {
            // The variable keeps the path as it was written: a link such as `current` may be
            // pointed at another directory before the next start.
            command.current_dir(directory).env("PWD", directory);
        }
        command
    }
}

/// Returns a command that starts the file that this process runs as a worker: without
/// arguments, and without the variables that are for this process only.
///
/// # Errors
///
/// Returns an error if the path of the file is not known.
pub fn same_program() -> io::Result<Command> {
    match sys::executable() {
        Some(path) => Ok(program_at(path)),
        None => Ok(program_at(&env::current_exe()?)),
    }
}

/// Like [`same_program`], for a program that is at this path.
#[must_use]
pub fn program_at(path: &Path) -> Command {
    let mut command = Command::new(path);
    environment::prepare_worker(&mut command);
    command
}

/// Returns the working directory. A path through links, as the shell has it in `PWD`, is kept.
///
/// The old master has set `PWD` for a successor. By now a link in that path may lead elsewhere.
fn directory(is_successor: bool) -> Option<PathBuf> {
    let shown = env::var_os("PWD").map(PathBuf::from);
    shown
        .filter(|path| path.is_absolute() && (is_successor || is_same_file(path, Path::new("."))))
        .or_else(|| env::current_dir().ok())
}

/// Removes the mark of a file that was replaced or removed since the program was started.
pub(super) fn without_mark(running: PathBuf) -> PathBuf {
    match running.as_os_str().as_bytes().strip_suffix(DELETED) {
        Some(path) if !running.exists() => PathBuf::from(OsStr::from_bytes(path)),
        _ => running,
    }
}

/// Finds a name without a slash in `PATH`, and makes another path absolute.
fn find(name: &Path, directory: Option<&Path>) -> Option<PathBuf> {
    let absolute = |path: &Path| match directory {
        Some(directory) => absolute(directory.join(path)).ok(),
        None => absolute(path).ok(),
    };
    if name.as_os_str().as_encoded_bytes().contains(&b'/') {
        return absolute(name);
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
        .and_then(|file| absolute(&file))
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    match (identity(one), identity(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coreloop_test_support::folder::Folder;

    #[test]
    fn names_lead_to_files() {
        let here = env::current_dir().unwrap();
        let find = |name| find(name, Some(&here));
        let shell = find(Path::new("sh")).unwrap();
        assert!(shell.is_absolute() && shell.ends_with("sh"));
        assert_eq!(find(Path::new("/bin/sh")), Some(PathBuf::from("/bin/sh")));
        let relative = find(Path::new("./x")).unwrap();
        assert_eq!(relative, here.join("x"));
        assert_eq!(find(Path::new("no-such-program-anywhere")), None);
    }

    #[test]
    fn links_are_the_same_file() {
        let running = env::current_exe().unwrap();
        let folder = Folder::new();
        let link = folder.path("link");
        std::os::unix::fs::symlink(&running, &link).unwrap();
        assert!(is_same_file(&link, &running));
        fs::remove_file(&link).unwrap();
        assert!(!is_same_file(&link, &running));
        assert!(!is_same_file(Path::new("/bin/sh"), &running));
    }

    #[test]
    fn a_removed_file_is_found_by_its_path() {
        let removed = |path: &str| without_mark(PathBuf::from(path));
        assert_eq!(removed("/no/app (deleted)"), Path::new("/no/app"));
        assert_eq!(removed("/no/app"), Path::new("/no/app"));
        // A file may have such a name.
        let folder = Folder::new();
        let path = folder.path("app (deleted)");
        fs::write(&path, "").unwrap();
        assert_eq!(without_mark(path.clone()), path);
    }

    #[test]
    fn this_program_is_found() {
        let program = Program::of_this_process().unwrap();
        assert!(is_same_file(program.path(), &env::current_exe().unwrap()));
        let command = program.command();
        assert_eq!(command.get_program(), program.path());
    }
}
