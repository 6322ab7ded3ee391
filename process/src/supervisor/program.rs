//! [`Program`], the file and arguments of this process, to start it again.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf, absolute};
use std::process::Command;

use crate::{environment, sys};

/// The file and the arguments with which this process was started.
#[derive(Debug, Clone)]
pub(super) struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
}

impl Program {
    /// Returns the program of this process. Has to be called early, before the file or the
    /// working directory changes.
    pub(super) fn of_this_process() -> io::Result<Self> {
        let arguments: Vec<_> = env::args_os().collect();
        let running = env::current_exe()?;
        let named = arguments.first().and_then(|name| find(Path::new(name)));
        Ok(Self {
            // A link such as `current/server` is kept, so that it can be pointed at another
            // file before an upgrade. But the parent can set the first argument to
            // anything, so a name that leads to another file is not used.
            path: named
                .filter(|named| is_same_file(named, &running))
                .unwrap_or(running),
            arguments,
        })
    }

    #[cfg(test)]
    pub(super) fn new(path: &str, arguments: &[&str]) -> Self {
        Self {
            path: path.into(),
            arguments: arguments.iter().map(Into::into).collect(),
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

/// Finds a name without a slash in `PATH`, and makes another path absolute.
fn find(name: &Path) -> Option<PathBuf> {
    if name.as_os_str().as_encoded_bytes().contains(&b'/') {
        return absolute(name).ok();
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
        .and_then(|file| absolute(file).ok())
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
        let shell = find(Path::new("sh")).unwrap();
        assert!(shell.is_absolute() && shell.ends_with("sh"));
        assert_eq!(find(Path::new("/bin/sh")), Some(PathBuf::from("/bin/sh")));
        let here = find(Path::new("./x")).unwrap();
        assert_eq!(here, env::current_dir().unwrap().join("x"));
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
    fn this_program_is_found() {
        let program = Program::of_this_process().unwrap();
        assert!(is_same_file(program.path(), &env::current_exe().unwrap()));
        let command = program.command();
        assert_eq!(command.get_program(), program.path());
    }
}
