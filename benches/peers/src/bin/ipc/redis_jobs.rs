//! Jobs over Redis with coreloop: a producer and a worker in one process, and a pool with one
//! process, which runs the jobs.

use std::collections::VecDeque;
use std::io;

use coreloop::jobs::{Queue, Receipt, WorkerControl};
use coreloop::pool::Pool;
use coreloop::spawn;
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use serde_bytes::ByteBuf;

use crate::ARGUMENT;
use crate::redis_bare::{BATCH, IN_FLIGHT, Server};

#[coreloop::job]
fn repeat(bytes: ByteBuf) -> ByteBuf {
    bytes
}

/// The queue, and what stops its worker.
pub(crate) struct RedisJobs {
    queue: Queue,
    worker: WorkerControl,
    pool: Pool,
}

impl RedisJobs {
    pub(crate) async fn start(server: &Server) -> io::Result<RedisJobs> {
        let pool = Pool::builder().workers(1).build()?;
        pool.ready().await.map_err(io::Error::other)?;
        let queue = Queue::redis(server.url()).name("bench").connect().await;
        let queue = queue.map_err(io::Error::other)?;
        let worker = queue.worker().jobs_of(&pool).at_once(IN_FLIGHT);
        let control = worker.control();
        spawn(async move {
            if let Err(error) = worker.run().await {
                println!("the worker of the jobs over Redis: {error}");
            }
        });
        Ok(RedisJobs {
            queue,
            worker: control,
            pool,
        })
    }

    /// Pushes jobs in batches, and waits for the result of each.
    pub(crate) async fn run(&self, jobs: usize) -> io::Result<()> {
        let mut waiting = VecDeque::with_capacity(IN_FLIGHT);
        for _ in 0..jobs / BATCH {
            while waiting.len() + BATCH > IN_FLIGHT {
                self.take(&mut waiting).await?;
            }
            let arguments = (0..BATCH).map(|_| ByteBuf::from(vec![b'x'; ARGUMENT]));
            let receipts = self.queue.push_many(repeat, arguments).await;
            waiting.extend(receipts.map_err(io::Error::other)?);
        }
        while !waiting.is_empty() {
            self.take(&mut waiting).await?;
        }
        Ok(())
    }

    /// Runs the same jobs in the pool of the worker, without the server.
    pub(crate) async fn run_in_pool(&self, jobs: usize) -> io::Result<()> {
        let arguments = (0..jobs).map(|_| ByteBuf::from(vec![b'x'; ARGUMENT]));
        let mut results = self.pool.map(repeat, arguments);
        while let Some(result) = results.next().await {
            assert_eq!(result.map_err(io::Error::other)?.len(), ARGUMENT);
        }
        Ok(())
    }

    /// Waits for the results of the batch that was pushed first.
    async fn take(&self, waiting: &mut VecDeque<Receipt<ByteBuf>>) -> io::Result<()> {
        let results = waiting
            .drain(..BATCH)
            .map(|receipt| self.queue.result(&receipt).into_future());
        for result in try_join_all(results).await.map_err(io::Error::other)? {
            assert_eq!(result.len(), ARGUMENT);
        }
        Ok(())
    }
}

impl Drop for RedisJobs {
    fn drop(&mut self) {
        self.worker.stop();
    }
}
