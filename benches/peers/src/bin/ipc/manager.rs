//! A queue of a manager, which a child serves over TCP.

use std::io;

use coreloop::ipc::Pipe;
use coreloop::jobs::{Client, Key, Manager, SharedQueue};
use serde_bytes::ByteBuf;

use crate::MESSAGE;
use crate::child::{self, Child};

/// The name of the case of the child.
pub(crate) const CASE: &str = "manager";

const QUEUE: &str = "items";

/// A client of the manager. The child ends with the value.
pub(crate) struct Managed {
    queue: SharedQueue<ByteBuf>,
    _client: Client,
    _child: Child<String, String>,
}

impl Managed {
    pub(crate) async fn start() -> io::Result<Managed> {
        let key = Key::random().map_err(io::Error::other)?;
        let mut child = Child::<String, String>::start(CASE)?;
        child.pipe.send(key.to_hex()).await?;
        let address = child.pipe.recv().await?;
        let address = address.ok_or(io::ErrorKind::UnexpectedEof)?;
        let client = Client::connect(address, &key).await;
        let client = client.map_err(io::Error::other)?;
        Ok(Managed {
            queue: client.queue(QUEUE),
            _client: client,
            _child: child,
        })
    }

    /// Puts items into the queue, and gets each before the next.
    pub(crate) async fn calls(&mut self, count: usize) -> io::Result<()> {
        let item = ByteBuf::from(vec![b'x'; MESSAGE]);
        for _ in 0..count {
            self.queue.put(&item).await.map_err(io::Error::other)?;
            self.queue.get().await.map_err(io::Error::other)?;
        }
        Ok(())
    }
}

/// Runs the child: serves the queue until the other end of the pipe is closed.
pub(crate) fn serve() -> io::Result<()> {
    let mut parent: Pipe<String, String> = child::end()?;
    coreloop::block_on(async {
        let key = parent.recv().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let key = Key::from_hex(&key).map_err(io::Error::other)?;
        let manager = Manager::bind("127.0.0.1:0").key(&key).queue(QUEUE, 100);
        let manager = manager.start().await.map_err(io::Error::other)?;
        parent.send(manager.address().to_string()).await?;
        parent.recv().await.map(drop)
    })
}
