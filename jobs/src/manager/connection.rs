//! The task of one connection: the handshake, then the frames.

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use coreloop_runtime::time::{Instant, Sleep, sleep, timeout_at};

use super::core::Core;
use super::session::Session;
use crate::connection::{Failed, Pipe, Socket, accept};
use crate::secure::random;
use crate::services::{Peer, SessionId};
use crate::wire::{ClientFrame, MAX_REQUESTS, ManagerFrame, OVERHEAD};

/// How many bytes of answers may wait for a client that does not read, before its requests are
/// not read any more.
const MAX_BACKLOG: usize = 16 * 1024 * 1024;

/// The maximum length of the list of requests in the hello of a client. It may be longer than a
/// request.
const MAX_UNANSWERED: usize = 8 * MAX_REQUESTS;

/// After how many heartbeats without a sign of life a client counts as gone.
const SILENT_HEARTBEATS: u32 = 3;

/// A client that has proved that it has the key.
pub(super) struct Authenticated {
    pipe: Pipe<Socket>,
    session: SessionId,
    unanswered: Vec<u64>,
    max_body: usize,
}

/// Makes the handshake. Returns `None` if it has failed, when the time for it has passed: a peer
/// does not learn from the time what was wrong.
pub(super) async fn authenticate(
    core: &Core,
    mut socket: Socket,
    has_failed: &Cell<bool>,
) -> Option<Authenticated> {
    let deadline = deadline(core);
    socket.set_options();
    let failed = match before(deadline, handshake(core, &mut socket)).await {
        Some(Ok((sealer, opener))) => {
            let mut pipe = Pipe::new(socket, sealer, opener);
            let hello = before(deadline, hello(&mut pipe)).await;
            let (session, unanswered, max) = hello?.ok()?;
            pipe.set_max(core.settings.max_message.saturating_add(OVERHEAD));
            return Some(Authenticated {
                pipe,
                session,
                unanswered,
                max_body: max.saturating_sub(OVERHEAD).min(core.settings.max_message),
            });
        }
        Some(Err(failed)) => failed,
        None => return None,
    };
    // The peer has left, so there is nothing to hide from it.
    if !matches!(&failed, Failed::Io(error) if is_end(error)) {
        has_failed.set(true);
        before(deadline, pending::<()>()).await;
    }
    drop(socket);
    None
}

/// Returns until when a handshake that begins now may take; `None` if there is no limit.
fn deadline(core: &Core) -> Option<Instant> {
    Instant::now().checked_add(core.settings.handshake_timeout)
}

/// Waits for a future, but not beyond the deadline, if there is one.
async fn before<F: Future>(deadline: Option<Instant>, future: F) -> Option<F::Output> {
    match deadline {
        Some(deadline) => timeout_at(deadline, future).await.ok(),
        None => Some(future.await),
    }
}

async fn handshake(
    core: &Core,
    socket: &mut Socket,
) -> Result<(crate::secure::Sealer, crate::secure::Opener), Failed> {
    let settings = &core.settings;
    if let Some(acceptor) = &settings.tls {
        socket.accept_tls(acceptor).await?;
    }
    let binding = socket.binding()?;
    // Until the hello has come.
    let max = settings.max_message.max(MAX_UNANSWERED);
    let max = max.saturating_add(OVERHEAD);
    accept(socket, &settings.key, &binding, max).await
}

fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted
    )
}

/// Waits for the first frame.
async fn hello(pipe: &mut Pipe<Socket>) -> io::Result<(SessionId, Vec<u64>, usize)> {
    loop {
        if let Some(body) = pipe.next()? {
            return match ClientFrame::parse(body) {
                Ok(ClientFrame::Hello {
                    session,
                    max,
                    unanswered,
                }) => {
                    let max = usize::try_from(max).unwrap_or(usize::MAX);
                    Ok((SessionId(session), unanswered, max))
                }
                _ => Err(io::ErrorKind::InvalidData.into()),
            };
        }
        if poll_fn(|cx| pipe.poll_fill(cx)).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Serves a client until its connection ends.
pub(super) async fn serve(core: &Rc<Core>, client: Authenticated, address: Option<SocketAddr>) {
    let mut pipe = client.pipe;
    let peer = Peer::new(client.session, address, client.max_body);
    let Ok(record) = random().map(u64::from_be_bytes) else {
        return;
    };
    let connected = core.sessions.connect(peer, record, &client.unanswered);
    let Some((session, number)) = connected.filter(|_| !core.is_closed()) else {
        let reason = "the manager has as many clients as it accepts";
        pipe.push(|out| ManagerFrame::Refusal { reason }.write(out));
        // A client that does not read it learns it at its next try.
        before(deadline(core), poll_fn(|cx| pipe.poll_write(cx))).await;
        return;
    };
    let settings = &core.settings;
    let welcome = ManagerFrame::Welcome {
        record: session.record,
        last: session.book.borrow().last(),
        max: u32::try_from(settings.max_message.saturating_add(OVERHEAD)).unwrap_or(u32::MAX),
        heartbeat: u32::try_from(settings.heartbeat.as_millis()).unwrap_or(u32::MAX),
    };
    pipe.push(|out| welcome.write(out));
    let mut connection = Connection {
        core: Rc::clone(core),
        session: Rc::clone(&session),
        number,
        pipe,
        owes_pong: false,
        is_paused: false,
        silent: 0,
        timer: Box::pin(sleep(settings.heartbeat)),
    };
    match poll_fn(|cx| connection.poll(cx)).await {
        Ok(End::Left) => core.sessions.end(&session),
        // The reason is of no use here: the client comes back, or its session ends.
        Ok(End::Replaced) | Err(_) => core.sessions.disconnect(&session, number),
    }
}

/// How the connection of a client has ended without an error.
enum End {
    /// The client has left.
    Left,
    /// The session has ended, or has another connection.
    Replaced,
}

/// The connection of a client.
struct Connection {
    core: Rc<Core>,
    session: Rc<Session>,
    number: u64,
    pipe: Pipe<Socket>,
    /// Whether the manager has to send a pong.
    owes_pong: bool,
    /// Whether no requests were read because of the answers that wait.
    is_paused: bool,
    /// How many heartbeats have passed without a sign of life: a byte that has come, or room for
    /// bytes that had to wait.
    silent: u32,
    timer: Pin<Box<Sleep>>,
}

impl Connection {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<End>> {
        // A connection that was replaced must not overwrite the waker of the new one.
        if !self.session.is_on(self.number) {
            return Poll::Ready(Ok(End::Replaced));
        }
        self.session.keep_waker(cx.waker());
        if self.timer.as_mut().poll(cx).is_ready() {
            // The client's ping is behind the frame of which a part has come.
            self.owes_pong |= self.silent == 0 && self.pipe.is_in_frame();
            self.silent += 1;
            if self.silent > SILENT_HEARTBEATS {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.timer.set(sleep(self.core.settings.heartbeat));
            // Registers the timer.
            if self.timer.as_mut().poll(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
        loop {
            if let Poll::Ready(left) = self.poll_read(cx)? {
                return Poll::Ready(Ok(left));
            }
            self.poll_write(cx)?;
            if self.pipe.take_progress() {
                self.silent = 0;
            }
            // If the answers that were in the way could be written, no event would come.
            if !std::mem::take(&mut self.is_paused) || self.has_backlog() {
                break;
            }
        }
        // A service may have ended the session.
        if !self.session.is_on(self.number) {
            return Poll::Ready(Ok(End::Replaced));
        }
        Poll::Pending
    }

    /// Reads requests, as long as the client reads its answers.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<End>> {
        loop {
            // The answer to one frame may be long. The frames that are left are taken later.
            if self.has_backlog() {
                self.is_paused = true;
                return Poll::Pending;
            }
            let Some(body) = self.pipe.next()? else {
                if ready!(self.pipe.poll_fill(cx))? == 0 {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                self.silent = 0;
                continue;
            };
            let frame = ClientFrame::parse(body).map_err(|_| io::ErrorKind::InvalidData)?;
            let mut book = self.session.book.borrow_mut();
            let counted = match &frame {
                ClientFrame::Hello { .. } => Err(crate::wire::Malformed),
                ClientFrame::Request { received, .. }
                | ClientFrame::Cancel { received, .. }
                | ClientFrame::Ping { received, .. }
                | ClientFrame::Bye { received } => book.count(*received),
            };
            drop(book);
            counted.map_err(|_| io::ErrorKind::InvalidData)?;
            match frame {
                ClientFrame::Request {
                    id,
                    is_notice,
                    service,
                    body,
                    ..
                } => {
                    let services = &self.core.services;
                    let session = &self.session;
                    session
                        .request(services, id, is_notice, service, body)
                        .map_err(|_| io::ErrorKind::InvalidData)?;
                }
                ClientFrame::Cancel { id, .. } => self.session.cancel(id),
                ClientFrame::Ping { reply, .. } => self.owes_pong |= reply,
                ClientFrame::Bye { .. } => return Poll::Ready(Ok(End::Left)),
                ClientFrame::Hello { .. } => {}
            }
        }
    }

    fn has_backlog(&self) -> bool {
        self.session.book.borrow().unsent_bytes() > MAX_BACKLOG
    }

    /// Writes answers. The first of them come without a wait for the others.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        loop {
            let mut book = self.session.book.borrow_mut();
            let last = book.last();
            while !self.pipe.is_full()
                && let Some((id, response)) = book.next()
            {
                let frame = ManagerFrame::Response { last, id, response };
                self.pipe.push(|out| frame.write(out));
            }
            let is_done = !book.has_unsent();
            drop(book);
            if std::mem::take(&mut self.owes_pong) {
                self.pipe.push(|out| ManagerFrame::Pong { last }.write(out));
            }
            match self.pipe.poll_write(cx) {
                Poll::Ready(Ok(())) if is_done => return Ok(()),
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(()),
            }
        }
    }
}
