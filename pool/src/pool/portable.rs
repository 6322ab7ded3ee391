//! Calls of functions by name and version, with arguments in the portable encoding.
//!
//! For the workers of job queues. Such a call is never repeated by the pool, because the queue
//! counts the attempts, and waits before it repeats one.

use std::any::type_name;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use coreloop_sync::oneshot;

use super::Pool;
use super::core::{Core, Phase};
use super::handle::JobHandle;
use super::job::{Completion, FrameContext};
use super::request::Call;
use crate::dispatch::JobOptions;
use crate::error::{ErrorKind, JobError};
use crate::frame::Kind;
use crate::ipc::Fds;
use crate::job::encoded::{Encoded, Input};
use crate::job::registry::{Registered, Registry, not_registered};
use crate::panics;

/// What a function has returned, in the portable encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returned {
    /// The encoded result.
    pub result: Vec<u8>,
    /// Whether the result is an `Err`.
    pub is_err: bool,
}

/// A call of a function by its name and version.
#[derive(Debug)]
pub struct PortableCall<'a> {
    /// The name of the job.
    pub name: &'a str,
    /// The version of the job.
    pub version: u32,
    /// The arguments, in the portable encoding.
    pub arguments: Vec<u8>,
    /// The time limit.
    pub timeout: Option<Duration>,
}

impl PortableCall<'_> {
    /// Submits the call. Waits only while the queue of the pool is full.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a future that is dropped before it has completed submits nothing.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such function, if the arguments are too long, or if the
    /// pool is closed or has failed.
    pub async fn submit(self, pool: &Pool) -> Result<JobHandle<Returned>, JobError> {
        let core = &pool.core;
        let function = self.check(core)?;
        let room = Rc::clone(&core.room).acquire_owned().await;
        core.check_open(function)?;
        let call = Call {
            function,
            kind: Kind::Portable,
            body: Encoded {
                bytes: self.arguments,
                descriptors: Fds::default(),
            },
            options: JobOptions {
                priority: 0,
                max_attempts: 1,
                is_idempotent: false,
            },
            timeout: self.timeout,
        };
        let (sender, receiver) = oneshot::channel();
        let key = call.accept(core, Box::new(Bytes { sender }), room.ok());
        Ok(JobHandle::of_pool(Rc::clone(core), key, receiver))
    }

    /// Returns the number of the function.
    fn check(&self, core: &Core) -> Result<u16, JobError> {
        let found = core.registry.find_portable(self.name, self.version);
        let function = found.ok_or_else(|| {
            let text = format!(
                "this program has no job `{}` of version {}",
                self.name, self.version
            );
            JobError::new(ErrorKind::NotRegistered(text))
        })?;
        core.check_open(function)?;
        let (length, max) = (self.arguments.len(), core.options.max_message);
        if length > max {
            let text = format!("the arguments have {length} bytes, and the pool allows {max}");
            return Err(core.error(function, ErrorKind::Codec(text)));
        }
        Ok(function)
    }
}

/// Takes the outcome of a call as bytes.
struct Bytes {
    sender: oneshot::Sender<Result<Returned, JobError>>,
}

impl Completion for Bytes {
    fn received(self: Box<Self>, kind: Kind, result: Input<'_>, context: &FrameContext) {
        let outcome = match kind {
            Kind::Done | Kind::Returned => Ok(Returned {
                result: result.bytes.to_vec(),
                is_err: kind == Kind::Returned,
            }),
            _ => Err(context.failure(kind, result.bytes)),
        };
        // Wakes the task that waits for it.
        panics::caught(|| drop(self.sender.send(outcome)));
    }

    fn failed(self: Box<Self>, error: JobError) {
        panics::caught(|| drop(self.sender.send(Err(error))));
    }
}

/// Cancels a job if it has not started. Returns whether it is cancelled.
#[must_use]
pub fn withdraw(job: &JobHandle<Returned>) -> bool {
    job.withdraw()
}

/// Returns the names and versions of the jobs of this program.
///
/// # Errors
///
/// Returns an error if two jobs have the same name and version, or if there are more than 65,536.
pub fn functions() -> io::Result<Vec<(&'static str, u32)>> {
    Ok(Registry::of_program()?.portable().collect())
}

/// Returns the name and version of a function.
///
/// # Errors
///
/// Returns an error if the function is not registered, or under the conditions of [`functions`].
pub fn function_of<F: 'static>(_function: &F) -> io::Result<(&'static str, u32)> {
    let registry = Registry::of_program()?;
    let number = registry.find(std::any::TypeId::of::<F>());
    let registered = number.and_then(|number| registry.get(number));
    registered.map(Registered::key).ok_or_else(|| {
        let text = not_registered(type_name::<F>());
        io::Error::new(io::ErrorKind::InvalidInput, text)
    })
}

/// Returns how many workers the pool has.
#[must_use]
pub fn workers(pool: &Pool) -> usize {
    pool.core.options.workers
}

/// Returns how many jobs the queue of the pool has room for.
#[must_use]
pub fn room(pool: &Pool) -> usize {
    pool.core.room.available_permits()
}

/// Waits until the queue of the pool has room, or the pool accepts no more jobs.
///
/// # Cancel safety
///
/// Cancel safe: it changes nothing.
pub async fn has_room(pool: &Pool) {
    drop(pool.core.room.acquire().await);
}

/// Waits until the pool accepts no more jobs, because it was closed or has failed.
///
/// # Cancel safety
///
/// Cancel safe: it changes nothing.
pub async fn ended(pool: &Pool) {
    loop {
        let changed = pool.core.changed.notified();
        if pool.core.phase() > Phase::Open || pool.core.broken().is_some() {
            return;
        }
        changed.await;
    }
}
