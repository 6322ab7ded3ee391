//! [`Pump`], which reads the socket of a client on a loop.
//!
//! Each loop of a thread that has waited for an answer has a pump of its own, because a thread may
//! drive its loops by turns, and a loop that is not driven reads nothing.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use coreloop_runtime::io::Async;
use coreloop_runtime::task::spawn_hidden;
use coreloop_runtime::time::{Sleep, sleep};

use super::{Client, Out};
use crate::ipc::broker::table::wake_all;
use crate::ipc::broker::{BrokerError, PAUSE};
use crate::ipc::wire::is_short_of_memory;

pub(super) struct Pump {
    socket: Async<Rc<OwnedFd>>,
    /// The waker of the pump's task.
    waker: RefCell<Option<Waker>>,
}

impl Pump {
    pub(super) fn take_waker(&self) -> Option<Waker> {
        self.waker.take()
    }

    fn poll_write(&self, cx: &mut Context<'_>, out: &RefCell<Out>) -> Poll<io::Result<()>> {
        let mut out = out.borrow_mut();
        if !out.has_more() {
            return Poll::Ready(Ok(()));
        }
        let Out {
            greeting, requests, ..
        } = &mut *out;
        ready!(greeting.poll_write(cx, &self.socket))?;
        requests.poll_write(cx, &self.socket)
    }
}

impl Client {
    /// Has the current loop read the socket from now on, if it does not yet.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no current runtime.
    pub(in crate::ipc::broker) fn watch(self: &Rc<Self>) -> Result<(), BrokerError> {
        if self.has_pump() {
            return Ok(());
        }
        let socket = Async::from_nonblocking(Rc::clone(&self.socket)).map_err(|error| {
            BrokerError::failed(
                "the operation cannot wait here; use its blocking form",
                &error,
            )
        })?;
        let pump = Rc::new(Pump {
            socket,
            waker: RefCell::new(None),
        });
        self.pumps.borrow_mut().push(Rc::clone(&pump));
        let mut running = Running {
            client: Rc::clone(self),
            pump,
            pause: None,
        };
        spawn_hidden(async move {
            poll_fn(|cx| running.poll(cx)).await;
        });
        Ok(())
    }

    /// Returns whether the current loop reads the socket.
    pub(super) fn has_pump(&self) -> bool {
        let pumps = self.pumps.borrow();
        pumps.iter().any(|pump| pump.socket.is_on_current_loop())
    }

    /// Leaves the rest of a write to the pump of the current loop, if there is one.
    pub(super) fn wake_pump(&self) {
        let waker = {
            let pumps = self.pumps.borrow();
            let mut pumps = pumps.iter();
            let own = pumps.find(|pump| pump.socket.is_on_current_loop());
            own.and_then(|pump| pump.take_waker())
        };
        wake_all(waker.into_iter().collect());
    }
}

/// A pump whose task runs.
struct Running {
    client: Rc<Client>,
    pump: Rc<Pump>,
    /// The system had no memory for a read or a write.
    pause: Option<Pin<Box<Sleep>>>,
}

impl Running {
    /// Ready when the connection has ended.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Self {
            client,
            pump,
            pause,
        } = self;
        let old = pump.waker.replace(Some(cx.waker().clone()));
        drop(old);
        while client.table.failure().is_none() {
            // Invariant 4 of the client. Not ready: the end of the task would remove the socket from
            // the epoll instance that a copy shares with its original. In the loop, because a waker
            // may have called `fork`.
            if client.is_copied() {
                return Poll::Pending;
            }
            if let Some(sleep) = pause {
                ready!(sleep.as_mut().poll(cx));
                *pause = None;
            }
            match pump.poll_write(cx, &client.out) {
                Poll::Ready(Ok(())) => {
                    if client.out.borrow().is_empty() {
                        client.wake_flushed();
                    }
                }
                Poll::Ready(Err(error)) if is_short_of_memory(&error) => {
                    *pause = Some(Box::pin(sleep(PAUSE)));
                    continue;
                }
                Poll::Ready(Err(error)) => {
                    client.broken(&error);
                    break;
                }
                Poll::Pending => {}
            }
            let filled = client.incoming.borrow_mut().poll_fill(cx, &pump.socket);
            match ready!(filled) {
                Err(error) if is_short_of_memory(&error) => {
                    *pause = Some(Box::pin(sleep(PAUSE)));
                }
                filled => client.filled(filled),
            }
        }
        Poll::Ready(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Self { client, pump, .. } = self;
        client
            .pumps
            .borrow_mut()
            .retain(|other| !Rc::ptr_eq(other, pump));
        // The loop has ended.
        client.write_last();
        // Tasks of other loops that wait have those read the socket.
        wake_all(client.table.take_wakers());
        client.wake_flushed();
    }
}
