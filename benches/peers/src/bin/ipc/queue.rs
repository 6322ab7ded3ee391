//! A queue of this process, from which a child receives.

use std::io;

use coreloop::ipc::{Pipe, Queue};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::MESSAGE;
use crate::child::{self, Child};

/// The name of the case of the child.
pub(crate) const CASE: &str = "queue";

/// How many items may wait. Python's queue has no limit but the length of a pipe, 64 KiB.
const CAPACITY: usize = 1024;

#[derive(Serialize, Deserialize)]
enum Request {
    /// Receive from this queue from now on.
    Queue(Queue<ByteBuf>),
    /// Receive this number of items, and answer.
    Receive(usize),
}

/// The queue, and the child that receives from it.
pub(crate) struct Queued {
    queue: Queue<ByteBuf>,
    consumer: Child<Request, usize>,
}

impl Queued {
    pub(crate) async fn start() -> io::Result<Queued> {
        let queue = Queue::new(CAPACITY)?;
        let mut consumer = Child::<Request, usize>::start(CASE)?;
        consumer.pipe.send(Request::Queue(queue.clone())).await?;
        Ok(Queued { queue, consumer })
    }

    /// Sends items, and waits until the child has received all of them.
    pub(crate) async fn one_way(&mut self, count: usize) -> io::Result<()> {
        self.consumer.pipe.send(Request::Receive(count)).await?;
        for _ in 0..count {
            let item = ByteBuf::from(vec![b'x'; MESSAGE]);
            self.queue.send(item).await.map_err(failed)?;
        }
        let received = self.consumer.pipe.recv().await?;
        assert_eq!(received, Some(count));
        Ok(())
    }
}

fn failed(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

/// Runs the child.
pub(crate) fn consume() -> io::Result<()> {
    let mut requests: Pipe<usize, Request> = child::end()?;
    coreloop::block_on(async {
        let mut queue = None;
        while let Some(request) = requests.recv().await? {
            match (request, &queue) {
                (Request::Queue(received), _) => queue = Some(received),
                (Request::Receive(count), Some(queue)) => {
                    for _ in 0..count {
                        let item = queue.recv().await.map_err(failed)?;
                        item.ok_or(io::ErrorKind::UnexpectedEof)?;
                    }
                    requests.send(count).await?;
                }
                (Request::Receive(_), None) => return Err(failed("there is no queue")),
            }
        }
        Ok(())
    })
}
