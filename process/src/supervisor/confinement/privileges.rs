//! The user, the groups and the umask of the processes of a supervisor.

use std::io::{self, ErrorKind};
use std::thread;
use std::time::Duration;

use rustix::fs::Mode;
use rustix::process::{Gid, Uid, getegid, geteuid, getgid, getuid};

use crate::account::{Account, Identity};
use crate::sockets::SocketGroup;
use crate::supervisor::Supervisor;
use crate::sys;

/// How many workers there are sockets for, if the user changes and no number was set.
const MAX_WORKERS: u32 = 64;

/// For how many milliseconds threads that have ended may still be counted.
const PATIENCE: u32 = 1000;

#[derive(Debug, Clone, Default)]
pub(super) struct Privileges {
    user: Option<Account>,
    group: Option<Account>,
    umask: Option<u32>,
    max_workers: Option<u32>,
}

impl Supervisor {
    /// Sets the user that the master and the workers run as. On Linux only.
    ///
    /// The program is started by root, which may bind any port, and [`run`](Self::run)
    /// gives root's privileges up before it does anything else. It gives them up for good:
    /// the real, the effective and the saved user of the process change. The group becomes
    /// the user's own, unless [`group`](Self::group) sets another, and the supplementary
    /// groups become those that the system lists for the user. Neither the environment nor
    /// the working directory changes.
    ///
    /// Code in `main` before `run` runs as root, in the master, and as the user in a worker:
    /// a file that only root may read has to be read there by the master. In a worker,
    /// nothing is left to do: it inherits the user.
    ///
    /// - **Sockets.** All are bound before, also those that later workers need, because the
    ///   kernel lets only sockets of one user share a port. See
    ///   [`max_workers`](Self::max_workers).
    /// - **Files.** The control socket and the pid file are created after that, so they
    ///   belong to the user, and the user must be allowed to create and remove files in
    ///   their directories. A Unix socket of [`bind_unix`](Self::bind_unix) is created
    ///   before, so it belongs to root, and its file stays at the end if the user may not
    ///   remove it; the next start replaces it.
    /// - **Upgrades.** A new program is started as the user, and inherits all sockets. For
    ///   it, as for a program that the user has started, this method has no effect; if it
    ///   names another user, `run` returns an error.
    ///
    /// Do not change the user in `main` instead: the sockets of the other workers could not
    /// be bound any more.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use coreloop::process::Supervisor;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// Supervisor::new()
    ///     .bind("0.0.0.0:80")?
    ///     .user("www-data")
    ///     .pid_file("/run/www/pid")
    ///     .run(async |worker| {
    ///         let listener = worker.listener(0)?;
    ///         while let Some((stream, _)) = listener.accept().await? {
    ///             drop(stream);
    ///         }
    ///         Ok(())
    ///     })
    /// # }
    /// ```
    pub fn user(mut self, user: impl Into<Account>) -> Self {
        self.confinement.privileges.user = Some(user.into());
        self
    }

    /// Sets the group that the master and the workers run as, instead of the own group of
    /// the [`user`](Self::user). On Linux only.
    ///
    /// Without a `user`, only the groups of the process change: it has no supplementary
    /// groups afterwards.
    pub fn group(mut self, group: impl Into<Account>) -> Self {
        self.confinement.privileges.group = Some(group.into());
        self
    }

    /// Sets the umask of the master and the workers, such as `0o027`: the permissions that
    /// the files they create do not get. [`run`](Self::run) returns an error if the mode is
    /// higher than `0o777`.
    ///
    /// It applies from `run` on. The files of Unix sockets are created before.
    pub fn umask(mut self, mode: u32) -> Self {
        self.confinement.privileges.umask = Some(mode);
        self
    }

    /// Sets the highest number of workers that can be asked for while the program runs.
    ///
    /// There is no limit by default. But if [`user`](Self::user) changes the user of the
    /// process, no socket can be bound any more for a worker that is added later. So the
    /// master binds, before it changes the user, the sockets for this many workers: 64 if
    /// no number is set, and always as many as are configured. Each takes a descriptor of
    /// the master for each address, and gets no connections until its worker is added.
    pub fn max_workers(mut self, count: u32) -> Self {
        self.confinement.privileges.max_workers = Some(count);
        self
    }
}

impl Privileges {
    pub(super) fn max_workers(&self) -> Option<u32> {
        self.max_workers
    }

    /// Binds the sockets that are needed later, and changes the user of this process.
    pub(super) fn take_effect(&self, groups: &mut [SocketGroup], workers: u32) -> io::Result<()> {
        if let Some(mode) = self.umask {
            rustix::process::umask(permissions(mode)?);
        }
        let Some(identity) = self.new_identity()? else {
            return Ok(());
        };
        let changed = self.change_to(&identity, groups, workers);
        changed.map_err(|error| self.cannot_run(&error))
    }

    fn change_to(
        &self,
        identity: &Identity,
        groups: &mut [SocketGroup],
        workers: u32,
    ) -> io::Result<()> {
        let user = geteuid();
        if !user.is_root() {
            let message = format!("this process runs as user {user}, and only root can change it");
            return Err(io::Error::new(ErrorKind::PermissionDenied, message));
        }
        if identity.user != user.as_raw() {
            let reserve = self.max_workers.unwrap_or(MAX_WORKERS).max(workers);
            for group in groups {
                group.reserve(reserve)?;
            }
        }
        only_thread()?;
        sys::set_identity(identity.user, identity.group, &identity.groups)
    }

    /// Adds to an error as which user and group the process was to run.
    fn cannot_run(&self, error: &io::Error) -> io::Error {
        let accounts = [("user", &self.user), ("group", &self.group)].into_iter();
        let accounts = accounts.filter_map(|(what, account)| {
            let account = account.as_ref()?;
            Some(format!("{what} {account}"))
        });
        let accounts: Vec<_> = accounts.collect();
        let accounts = accounts.join(" and ");
        io::Error::new(error.kind(), format!("cannot run as {accounts}: {error}"))
    }

    /// Returns the identity to change to; `None` if this process has it.
    fn new_identity(&self) -> io::Result<Option<Identity>> {
        let identity = match (&self.user, &self.group) {
            (None, None) => return Ok(None),
            (Some(user), group) => Identity::of_user(user, group.as_ref())?,
            (None, Some(group)) => {
                let group = group.group_id()?;
                Identity {
                    user: geteuid().as_raw(),
                    group,
                    groups: vec![group],
                }
            }
        };
        let is_user = [getuid(), geteuid()].map(Uid::as_raw) == [identity.user; 2];
        let is_group = [getgid(), getegid()].map(Gid::as_raw) == [identity.group; 2];
        let has_identity = is_user
            && (is_group || self.group.is_none())
            // Only root can change the supplementary groups too.
            && (!geteuid().is_root() || identity.has_groups()?);
        Ok((!has_identity).then_some(identity))
    }
}

fn permissions(mode: u32) -> io::Result<Mode> {
    // The type of a mode differs between systems.
    let mode = u16::try_from(mode).ok().filter(|mode| mode & !0o777 == 0);
    let mode = mode.ok_or_else(|| {
        io::Error::new(
            ErrorKind::InvalidInput,
            "the umask has bits that are no permissions",
        )
    })?;
    Ok(Mode::from_raw_mode(mode.into()))
}

/// Returns an error unless this is the only thread of the process, as the kernel changes the
/// user of one thread only.
fn only_thread() -> io::Result<()> {
    let mut waited = 0;
    loop {
        match sys::thread_count()? {
            None | Some(1) => return Ok(()),
            // A thread that was joined may still be counted for a moment.
            Some(_) if waited < PATIENCE => {
                waited += 1;
                thread::sleep(Duration::from_millis(1));
            }
            Some(threads) => {
                let message = format!(
                    "the process has {threads} threads, and the kernel changes the user of one; \
                     start the others after `run` has begun, in a worker or in the hook of an event"
                );
                return Err(io::Error::new(ErrorKind::Unsupported, message));
            }
        }
    }
}
