//! [`Sink`], a queue with a thread that writes its entries.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use super::entry::Entry;
use super::queue::Queue;
use super::writer::Writer;

/// How long the end of the program waits until the queue is written.
const FINISH_TIMEOUT: Duration = Duration::from_secs(1);

/// Dropping it lets the thread write what is queued, and end.
#[derive(Debug)]
pub(in crate::supervisor::master) struct Sink {
    queue: Arc<Queue>,
    /// Disconnected when everything is written.
    written: Receiver<()>,
}

impl Sink {
    /// Starts a thread that passes entries to the writer. They may take `limit` bytes.
    pub(super) fn start(name: &str, mut writer: Writer, limit: usize) -> io::Result<Rc<Self>> {
        let queue = Arc::new(Queue::new(limit));
        let (done, written) = sync_channel(0);
        let entries = Arc::clone(&queue);
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let _done: SyncSender<()> = done;
                while let Some(entry) = entries.next() {
                    let cost = entry.cost();
                    writer.handle(entry, &entries);
                    entries.release(cost);
                }
                writer.finish();
            })?;
        Ok(Rc::new(Self { queue, written }))
    }

    /// Queues lines to be written, or counts them as lost.
    pub(super) fn write(&self, entry: Entry) {
        self.queue.push(entry);
    }

    /// Opens the file again when everything that is queued is written. The receiver gets the
    /// result.
    pub(super) fn reopen(&self) -> Receiver<Result<(), String>> {
        let (sender, result) = sync_channel(1);
        self.queue.push(Entry::Reopen(sender));
        result
    }

    pub(super) fn lost_lines(&self) -> u64 {
        self.queue.lost_lines()
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> (usize, usize) {
        self.queue.bytes()
    }

    /// Waits until everything is written, for a limited time.
    pub(super) fn finish(self) {
        self.queue.close();
        let _ = self.written.recv_timeout(FINISH_TIMEOUT);
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.queue.close();
    }
}
