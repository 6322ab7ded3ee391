//! Jobs over Redis with nothing but the crate `redis`, on tokio: a producer and a consumer in
//! one process, which send batches of commands.
//!
//! A job costs the commands that a queue of jobs with results needs: the producer adds an entry
//! to a stream and reads a result; the consumer reads entries, writes their results, and
//! acknowledges and removes the entries.

use std::cell::Cell;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;

use futures_util::future::try_join3;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Pipeline, Value};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, mpsc};

use crate::ARGUMENT;

/// The number of jobs in a batch.
pub(crate) const BATCH: usize = 64;
/// The number of jobs that may be added and have no result yet.
pub(crate) const IN_FLIGHT: usize = 2_000;

const STREAM: &str = "bare";
const GROUP: &str = "workers";

/// A server that keeps nothing on disk. Dropping this ends it.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl Server {
    /// Starts `redis-server`, or returns why it does not run.
    pub(crate) fn start() -> io::Result<Server> {
        // The port was free a moment ago.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let folder = std::env::temp_dir().join(format!("coreloop-bench-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .current_dir(&folder)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut server = Server {
            child,
            folder,
            port,
        };
        let output = server.child.stdout.take().map(BufReader::new);
        let mut lines = output.into_iter().flat_map(BufRead::lines);
        while let Some(line) = lines.next().transpose()? {
            if line.contains("Ready to accept connections") {
                // A server whose output is not read may wait for ever.
                thread::spawn(move || lines.for_each(drop));
                return Ok(server);
            }
        }
        Err(io::Error::other("redis-server is not ready"))
    }

    /// Returns the address as the crate `redis` takes it.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // These return errors if the process has ended, or the folder is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A producer and a consumer, with a connection for the commands that do not wait, one for reads
/// of the stream, and one for results.
#[derive(Debug)]
pub(crate) struct Bare {
    runtime: Runtime,
    shared: MultiplexedConnection,
    reading: MultiplexedConnection,
    waiting: MultiplexedConnection,
}

impl Bare {
    pub(crate) fn start(server: &Server) -> io::Result<Bare> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let client = Client::open(server.url()).map_err(io::Error::other)?;
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let connect = || client.get_multiplexed_async_connection_with_config(&config);
        let connections = runtime.block_on(async {
            let mut shared = connect().await?;
            redis::cmd("XGROUP")
                .arg(&["CREATE", STREAM, GROUP, "0", "MKSTREAM"])
                .exec_async(&mut shared)
                .await?;
            Ok::<_, redis::RedisError>((shared, connect().await?, connect().await?))
        });
        let (shared, reading, waiting) = connections.map_err(io::Error::other)?;
        Ok(Bare {
            runtime,
            shared,
            reading,
            waiting,
        })
    }

    /// Runs this number of jobs, which is a multiple of [`BATCH`].
    pub(crate) fn run(&self, jobs: usize) -> io::Result<()> {
        let room = Semaphore::new(IN_FLIGHT / BATCH);
        let left = Cell::new(jobs);
        let (sender, receiver) = mpsc::unbounded_channel();
        let produced = self.produce(jobs, &room, sender);
        let consumed = self.consume(&left);
        let collected = self.collect(receiver, &room);
        self.runtime
            .block_on(try_join3(produced, consumed, collected))
            .map(drop)
            .map_err(io::Error::other)
    }

    /// Adds jobs, and sends the ids of each batch.
    async fn produce(
        &self,
        jobs: usize,
        room: &Semaphore,
        ids: mpsc::UnboundedSender<Vec<String>>,
    ) -> redis::RedisResult<()> {
        let argument = [b'x'; ARGUMENT];
        let mut connection = self.shared.clone();
        for _ in 0..jobs / BATCH {
            if let Ok(permit) = room.acquire().await {
                permit.forget();
            }
            let mut batch = Pipeline::with_capacity(BATCH);
            for _ in 0..BATCH {
                batch.cmd("XADD").arg(&[STREAM, "*", "job"]).arg(&argument);
            }
            let _ = ids.send(batch.query_async(&mut connection).await?);
        }
        Ok(())
    }

    /// Reads jobs until none is left, and writes the argument of each as its result.
    async fn consume(&self, left: &Cell<usize>) -> redis::RedisResult<()> {
        let (mut shared, mut reading) = (self.shared.clone(), self.reading.clone());
        let count = BATCH.to_string();
        while left.get() > 0 {
            let read = ["GROUP", GROUP, "one", "COUNT", &count, "BLOCK", "1000"];
            let entries: Value = redis::cmd("XREADGROUP")
                .arg(&read)
                .arg(&["STREAMS", STREAM, ">"])
                .query_async(&mut reading)
                .await?;
            let entries = entries_of(entries)?;
            let mut batch = Pipeline::with_capacity(3 * entries.len());
            for (id, argument) in &entries {
                let result = format!("result:{id}");
                batch.cmd("RPUSH").arg(result).arg(argument).ignore();
                batch.cmd("XACK").arg(&[STREAM, GROUP, id]).ignore();
                batch.cmd("XDEL").arg(&[STREAM, id]).ignore();
            }
            batch.exec_async(&mut shared).await?;
            left.set(left.get().saturating_sub(entries.len()));
        }
        Ok(())
    }

    /// Takes the results of each batch, in the order of the jobs.
    async fn collect(
        &self,
        mut batches: mpsc::UnboundedReceiver<Vec<String>>,
        room: &Semaphore,
    ) -> redis::RedisResult<()> {
        let mut connection = self.waiting.clone();
        while let Some(ids) = batches.recv().await {
            let mut batch = Pipeline::with_capacity(BATCH);
            for id in ids {
                batch.cmd("BLPOP").arg(format!("result:{id}")).arg(0);
            }
            let results: Vec<(String, Vec<u8>)> = batch.query_async(&mut connection).await?;
            assert_eq!(results.len(), BATCH);
            room.add_permits(1);
        }
        Ok(())
    }
}

/// The id of an entry of a stream, and the value of its field.
type Entry = (String, Vec<u8>);

/// Returns the entries in an answer to `XREADGROUP` about one stream.
fn entries_of(answer: Value) -> redis::RedisResult<Vec<Entry>> {
    // The name and the value of the one field.
    type Fields = (String, Vec<u8>);
    type Stream = (String, Vec<(String, Fields)>);
    let streams: Option<Vec<Stream>> = redis::from_redis_value(answer)?;
    let entries = streams
        .into_iter()
        .flatten()
        .flat_map(|(_, entries)| entries);
    Ok(entries.map(|(id, (_, argument))| (id, argument)).collect())
}
