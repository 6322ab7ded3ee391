//! What the processes of a program are called, and where they are started.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use super::Supervisor;
use super::program::Program;

/// How workers and successors are started.
#[derive(Debug)]
pub(super) struct Identity {
    directory: Option<PathBuf>,
    /// Whether the master sets the title of its workers.
    pub(super) has_title: bool,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            directory: None,
            has_title: true,
        }
    }
}

impl Supervisor {
    /// Sets the directory in which workers and new masters are started. By default, that is the
    /// working directory in which [`new`](Supervisor::new) was called.
    ///
    /// The path is looked up at each start. So a link such as `/srv/app/current` can be pointed
    /// at the next release: workers that are started afterwards run in the directory of that
    /// release, and an [upgrade](Supervisor#signals-to-the-master) starts its program there. The
    /// default keeps such a link too, if the shell or the service manager has it in the variable
    /// `PWD`. The variable is set for the processes that are started.
    ///
    /// Until the upgrade, workers still run the program of the master, although they find the
    /// files of the next release in their directory. If the directory does not exist, they are
    /// started in the working directory of the master.
    ///
    /// The working directory of the master itself does not change.
    ///
    /// # Errors
    ///
    /// [`run`](Supervisor::run) returns an error if the path is not absolute, or leads to no
    /// directory.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use coreloop::process::Supervisor;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// Supervisor::new()
    ///     .current_dir("/srv/app/current")
    ///     .run(async |_worker| Ok(()))
    /// # }
    /// ```
    pub fn current_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.identity.directory = Some(directory.into());
        self
    }

    /// Sets whether the `argv[0]` of a worker process is its title, such as "echo: worker 0". By
    /// default it is, so that `ps` shows the slots.
    ///
    /// With `false`, a worker has the `argv[0]` of the master. A program that finds out by its
    /// name what it has to do, as busybox does, needs that.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use coreloop::process::Supervisor;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// Supervisor::new()
    ///     .title(false)
    ///     .run(async |_worker| Ok(()))
    /// # }
    /// ```
    pub fn title(mut self, title: bool) -> Self {
        self.identity.has_title = title;
        self
    }
}

impl Identity {
    /// Puts the configured directory into the program.
    pub(super) fn apply(&self, program: &mut Program) -> io::Result<()> {
        let Some(directory) = &self.directory else {
            return Ok(());
        };
        let path = directory.display();
        if !directory.is_absolute() {
            let message = format!("the directory of the workers is no absolute path: {path}");
            return Err(io::Error::new(ErrorKind::InvalidInput, message));
        }
        let found = directory.metadata().map_err(|error| {
            let message = format!("the directory of the workers, {path}, is not there: {error}");
            io::Error::new(error.kind(), message)
        })?;
        if !found.is_dir() {
            let message = format!("the directory of the workers, {path}, is no directory");
            return Err(io::Error::new(ErrorKind::NotADirectory, message));
        }
        program.set_directory(directory.clone());
        Ok(())
    }
}

/// Returns the name with its control characters escaped, so that it breaks no line of the log
/// and no title.
pub(super) fn one_line(name: &str) -> String {
    let mut line = String::with_capacity(name.len());
    for letter in name.chars() {
        if letter.is_control() {
            line.extend(letter.escape_default());
        } else {
            line.push(letter);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(one_line("a\nb\0\u{85}"), "a\\nb\\u{0}\\u{85}");
        assert_eq!(one_line("caf\u{e9} \\n"), "caf\u{e9} \\n");
    }

    #[test]
    fn only_an_absolute_path_of_a_directory_is_taken() {
        let set = |path: &str| {
            let identity = Identity {
                directory: Some(path.into()),
                ..Identity::default()
            };
            identity.apply(&mut Program::new("/bin/true", &["true"]))
        };
        set("/").unwrap();
        let error = set("here").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let error = set("/no/such/place").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("/no/such/place"), "{error}");
        assert!(set("/bin/sh").unwrap_err().to_string().contains("/bin/sh"));
    }
}
