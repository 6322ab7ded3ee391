//! The task of a broker, which accepts its connections.

use std::future::poll_fn;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use coreloop_runtime::task::spawn_hidden;
use coreloop_runtime::time::{Sleep, sleep};

use super::connection::Connection;
use super::{Broker, Listener};

/// How long the broker pauses when the system has no descriptor or memory for a connection.
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until the loop ends.
pub(super) fn serve(broker: Rc<Broker>, listener: Rc<Listener>) {
    // Made here, because the loop may drop the task before it has polled it.
    let mut task = Task {
        broker: Running(broker),
        listener,
        pause: None,
    };
    spawn_hidden(async move {
        poll_fn(|cx| task.poll(cx)).await;
    });
}

struct Task {
    broker: Running,
    listener: Rc<Listener>,
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
        for object in broker.inbox.take(cx.waker()) {
            broker.remove_object(object);
        }
        loop {
            if let Some(pause) = &mut self.pause {
                if pause.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                self.pause = None;
            }
            let accepted = self.listener.socket.poll_read_with(cx, |socket| {
                let (stream, _) = socket.accept()?;
                Ok(stream)
            });
            match accepted {
                Poll::Ready(Ok(stream)) => accept(broker, stream),
                Poll::Ready(Err(_)) => self.pause = Some(Box::pin(sleep(PAUSE))),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// Begins to serve a connection. One that is refused is closed, and the client learns no reason.
fn accept(broker: &Rc<Broker>, stream: UnixStream) {
    if let Ok(connection) = Connection::new(broker, stream) {
        spawn_hidden(connection.serve());
    }
}
