//! Everything that is measured, with its processes.

use std::io;
use std::process;

use crate::bare;
use crate::bare_tcp;
use crate::family::Family;
use crate::manager::Managed;
use crate::pipes::Pipes;
use crate::python::Python;
use crate::queue::Queued;
use crate::redis_bare::{BATCH, Bare, Server};
use crate::redis_jobs::RedisJobs;
use crate::shared::{CHILDREN, Sharing};
use crate::{MESSAGE, Options, report};

/// The contestants. What is not installed is left out.
pub(crate) struct Contest<'a> {
    options: &'a Options,
    pipes: Pipes,
    sharing: Sharing,
    managed: Managed,
    queued: Queued,
    bare: bare::Peer,
    bare_tcp: bare_tcp::Peer,
    /// This process and the children at the other ends.
    family: Family,
    /// This process, with the clients of Redis.
    client: Family,
    python: Option<Python>,
    redis: Option<(Bare, RedisJobs, Server)>,
}

impl<'a> Contest<'a> {
    pub(crate) async fn start(options: &'a Options) -> io::Result<Contest<'a>> {
        let pipes = Pipes::start()?;
        let sharing = Sharing::start()?;
        let managed = Managed::start().await?;
        let queued = Queued::start().await?;
        let bare = bare::Peer::start(MESSAGE)?;
        let bare_tcp = bare_tcp::Peer::start()?;
        let family = Family::of(process::id())?;
        let python = Python::start().inspect_err(|error| report::left_out("Python", error));
        let redis = match Server::start() {
            Ok(server) => {
                let jobs = RedisJobs::start(&server).await?;
                Some((Bare::start(&server)?, jobs, server))
            }
            Err(error) => {
                report::left_out("Redis", error);
                None
            }
        };
        Ok(Contest {
            options,
            pipes,
            sharing,
            managed,
            queued,
            bare,
            bare_tcp,
            family,
            client: Family {
                members: vec![process::id()],
            },
            python: python.ok(),
            redis,
        })
    }

    /// Measures a case once, and returns the CPU time of each in microseconds, or `None` if a
    /// program is not installed. `script` is the name of a case of Python's.
    pub(crate) async fn turn(
        &mut self,
        case: &str,
        script: Option<&str>,
    ) -> io::Result<Option<f64>> {
        if let Some(script) = script {
            return self
                .python
                .as_mut()
                .map(|python| python.turn(script))
                .transpose();
        }
        let messages = self.options.items / 10;
        let family = match case.contains("redis") {
            true => &self.client,
            false => &self.family,
        };
        let before = family.cpu_time()?;
        let count = match case {
            "bare socket" => {
                for _ in 0..messages {
                    self.bare.call(&[b'x'; MESSAGE])?;
                }
                messages
            }
            "pipe" => {
                self.pipes.ping_pong(messages).await?;
                messages
            }
            "pipe, blocking" => {
                self.pipes.blocking_ping_pong(messages)?;
                messages
            }
            "bare TCP, twice" => {
                for _ in 0..messages {
                    self.bare_tcp.call()?;
                }
                messages / 2
            }
            "manager" => {
                self.managed.calls(messages / 2).await?;
                messages / 2
            }
            "Queue" => {
                self.queued.one_way(self.options.items).await?;
                self.options.items
            }
            "SharedSlice" => {
                self.sharing.hand_over(messages / 20).await?;
                messages / 20 * CHILDREN
            }
            "redis" => {
                let Some((_, queue, _)) = &self.redis else {
                    return Ok(None);
                };
                let jobs = self.options.jobs.next_multiple_of(BATCH);
                queue.run(jobs).await?;
                jobs
            }
            "pool of redis" => {
                let Some((_, queue, _)) = &self.redis else {
                    return Ok(None);
                };
                queue.run_in_pool(self.options.jobs).await?;
                self.options.jobs
            }
            "redis, bare" => {
                let Some((bare, ..)) = &self.redis else {
                    return Ok(None);
                };
                let jobs = self.options.jobs.next_multiple_of(BATCH);
                bare.run(jobs)?;
                jobs
            }
            _ => return Err(io::Error::other(format!("there is no case {case}"))),
        };
        let elapsed = family.cpu_time()? - before;
        Ok(Some(elapsed.as_secs_f64() * 1e6 / count as f64))
    }

    /// Returns how often the memory of a slice is resident that all children have read.
    pub(crate) async fn residence(&mut self) -> io::Result<f64> {
        self.sharing.residence().await
    }
}
