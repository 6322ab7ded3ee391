//! What this process runs: [`Program`], to be started again.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf, absolute};
use std::process::Command;

/// What is for one process alone and must not reach those that it starts.
pub(crate) const PRIVATE_VARIABLES: [&str; 5] = [
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_PIDFDID",
    "WATCHDOG_PID",
];

/// The file and the arguments of this process, as they were when it started.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
}

impl Program {
    /// To be called early, while the file and the current directory are what they
    /// were when the process began.
    pub(crate) fn of_this_process() -> io::Result<Program> {
        let arguments: Vec<_> = env::args_os().collect();
        let running = env::current_exe()?;
        let named = arguments.first().and_then(|name| find(Path::new(name)));
        Ok(Program {
            // A link such as `current/server` is kept, so that it can be pointed at
            // another file before an upgrade; but not a name that is another file's,
            // as the first argument is whatever the parent has put there.
            path: named
                .filter(|named| is_same_file(named, &running))
                .unwrap_or(running),
            arguments,
        })
    }

    #[cfg(test)]
    pub(crate) fn new(path: &str, arguments: &[&str]) -> Program {
        Program {
            path: path.into(),
            arguments: arguments.iter().map(Into::into).collect(),
        }
    }

    /// Where an upgrade looks for the next version.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Starts what is at the path now.
    pub(crate) fn command(&self) -> Command {
        self.with_file(&self.path)
    }

    /// Starts what this process runs, whatever is at its path by now.
    pub(crate) fn same_command(&self) -> Command {
        if cfg!(target_os = "linux") {
            self.with_file(Path::new("/proc/self/exe"))
        } else {
            self.command()
        }
    }

    fn with_file(&self, path: &Path) -> Command {
        let mut command = Command::new(path);
        if let Some((name, rest)) = self.arguments.split_first() {
            command.arg0(name).args(rest);
        }
        command
    }
}

/// Where a name without a slash is found, or the one with a slash leads.
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
