//! The task of a broker, which accepts its connections.

use std::future::poll_fn;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use coreloop_runtime::task::spawn_hidden;
use coreloop_runtime::time::{Sleep, sleep};

use super::connection::{Connection, Refused};
use super::{Broker, Listener};
use crate::ipc::broker::PAUSE;

/// Accepts connections until the loop ends.
pub(super) fn serve(broker: Rc<Broker>, listener: Rc<Listener>) {
    // Made here, because the loop may drop the task before it has polled it.
    let mut task = Task {
        broker: Running(broker),
        listener,
        next: None,
        pause: None,
    };
    spawn_hidden(async move {
        poll_fn(|cx| task.poll(cx)).await;
    });
}

struct Task {
    broker: Running,
    listener: Rc<Listener>,
    /// A connection that is served after the pause.
    next: Option<UnixStream>,
    pause: Option<Pin<Box<Sleep>>>,
}

/// A broker whose task runs.
struct Running(Rc<Broker>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Task {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let broker = &self.broker.0;
        // Invariant 4. Not ready: the end of the task would remove the socket from the epoll instance
        // that the copy shares with its original.
        if broker.is_copied() {
            return Poll::Pending;
        }
        for object in broker.inbox.take(cx.waker()) {
            broker.remove_object(object);
        }
        loop {
            // A waker or a destructor may have called `fork`.
            if self.broker.0.is_copied() {
                return Poll::Pending;
            }
            if let Some(pause) = &mut self.pause {
                if pause.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                self.pause = None;
            }
            if let Some(stream) = self.next.take() {
                self.begin(stream);
                continue;
            }
            let accepted = self.listener.socket.poll_read_with(cx, |socket| {
                let (stream, _) = socket.accept()?;
                Ok(stream)
            });
            match accepted {
                Poll::Ready(Ok(stream)) => self.next = Some(stream),
                Poll::Ready(Err(_)) => self.pause = Some(Box::pin(sleep(PAUSE))),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Begins to serve a connection. One that is refused is closed, and the client learns no reason.
    fn begin(&mut self, stream: UnixStream) {
        match Connection::new(&self.broker.0, stream) {
            Ok(connection) => spawn_hidden(connection.serve()),
            Err(Refused::ForNow(stream)) => {
                self.next = Some(stream);
                self.pause = Some(Box::pin(sleep(PAUSE)));
            }
            Err(Refused::ForEver) => {}
        }
    }
}
