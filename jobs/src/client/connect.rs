//! How a client connects: the socket, TLS, the handshake, and the first two frames.

use std::future::poll_fn;
use std::io;
use std::time::Duration;

use coreloop_runtime::time::{Instant, sleep, timeout};

use super::link::{Link, fail, too_long};
use super::runner::Backoff;
use crate::connection::{Failed, Pipe, Socket, connect};
use crate::error::{Error, Kind};
use crate::secure::Refusal;
use crate::wire::{ClientFrame, ManagerFrame, OVERHEAD};

/// How long the connect may take, and then the handshake. A manager closes a connection that it refuses after 5 s, so that
/// its answer comes first.
const ATTEMPT: Duration = Duration::from_secs(6);

/// If the manager closes a connection sooner, it had no place for it, or has ended. Later, it has
/// refused it.
const TOO_SOON: Duration = Duration::from_secs(4);

/// A connection on which both sides have said hello.
pub(super) struct Connected {
    pub(super) pipe: Pipe<Socket>,
    pub(super) heartbeat: Duration,
}

/// Makes the first connection.
pub(super) async fn first(link: &Link) -> Result<Connected, Error> {
    let start = Instant::now();
    let mut backoff = Backoff::new();
    loop {
        let begin = Instant::now();
        let error = match once(link).await {
            Ok(connected) => return Ok(connected),
            Err(Attempt::Interrupted(error)) if begin.elapsed() < TOO_SOON => error,
            Err(Attempt::Interrupted(error) | Attempt::Failed(error)) => return Err(error),
        };
        let pause = backoff.next();
        if start.elapsed() + pause >= link.settings.connect_timeout {
            return Err(error);
        }
        sleep(pause).await;
    }
}

/// Why an attempt has failed.
pub(super) enum Attempt {
    /// The connection was closed during the handshake.
    Interrupted(Error),
    Failed(Error),
}

impl Attempt {
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Interrupted(error) | Self::Failed(error) => error,
        }
    }
}

impl From<Error> for Attempt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Connects once.
pub(super) async fn once(link: &Link) -> Result<Connected, Attempt> {
    let settings = &link.settings;
    let allows_network = settings.allows_network || settings.tls.is_some();
    let connecting = Socket::connect(&settings.address, allows_network);
    let socket = timeout(ATTEMPT, Box::pin(connecting)).await;
    let Ok(socket) = socket else {
        let address = &settings.address;
        let text = format!("cannot connect to {address}: no answer within {ATTEMPT:?}");
        return Err(Error::new(Kind::TimedOut, text).into());
    };
    match timeout(ATTEMPT, Box::pin(greet(link, socket?))).await {
        Ok(result) => result,
        Err(_) => Err(Attempt::Failed(refused(
            link,
            "does not answer: it has another key, or is no manager",
        ))),
    }
}

/// Makes the handshake, and exchanges the first two frames.
async fn greet(link: &Link, mut socket: Socket) -> Result<Connected, Attempt> {
    let settings = &link.settings;
    socket.set_options();
    if let Some(connector) = &settings.tls {
        let made = socket.connect_tls(connector).await;
        made.map_err(|error| {
            let text = format!("TLS with {} has failed: {error}", settings.address);
            Error::new(Kind::Io(error.kind()), text)
        })?;
    }
    let binding = socket.binding().map_err(Error::from)?;
    let max = settings.max_message.saturating_add(OVERHEAD);
    let (sealer, opener) = connect(&mut socket, &settings.key, &binding, max)
        .await
        .map_err(|failed| explain(link, failed))?;
    let mut pipe = Pipe::new(socket, sealer, opener);
    let hello = ClientFrame::Hello {
        session: link.session,
        max: u32::try_from(max).unwrap_or(u32::MAX),
        unanswered: link.book.borrow().unanswered(),
    };
    pipe.push(|out| hello.write(out));
    let ended = |error: io::Error| explain(link, Failed::Io(error));
    poll_fn(|cx| pipe.poll_write(cx)).await.map_err(ended)?;
    let heartbeat = welcome(link, &mut pipe).await?;
    Ok(Connected { pipe, heartbeat })
}

/// Waits for the first frame of the manager. Returns how often the client says something.
async fn welcome(link: &Link, pipe: &mut Pipe<Socket>) -> Result<Duration, Attempt> {
    let ended = |error: io::Error| explain(link, Failed::Io(error));
    loop {
        if let Some(body) = pipe.next().map_err(ended)? {
            let (record, last, max, heartbeat) = match ManagerFrame::parse(body) {
                Ok(ManagerFrame::Welcome {
                    record,
                    last,
                    max,
                    heartbeat,
                }) => (record, last, max, heartbeat),
                Ok(ManagerFrame::Refusal { reason }) => {
                    let address = &link.settings.address;
                    let text = format!("the manager at {address} refuses the client: {reason}");
                    return Err(Error::new(Kind::Refused, text).into());
                }
                _ => return Err(refused(link, "speaks another protocol").into()),
            };
            // From here on, nothing waits: the client and the manager have the same record.
            let max = usize::try_from(max).unwrap_or(usize::MAX);
            let max = max.min(link.settings.max_message.saturating_add(OVERHEAD));
            let max = max.saturating_sub(OVERHEAD);
            link.max_body.set(max);
            let dropped = link.book.borrow_mut().welcome(record, last, max);
            let text = "the manager has lost the client before it answered: it may have carried \
                        out the request";
            fail(dropped.lost, &Error::new(Kind::Lost, text));
            for (caller, length) in dropped.too_long {
                fail(vec![caller], &too_long(length, max));
            }
            link.set_connected();
            return Ok(Duration::from_millis(u64::from(heartbeat).max(1)));
        }
        if poll_fn(|cx| pipe.poll_fill(cx)).await.map_err(ended)? == 0 {
            return Err(ended(io::ErrorKind::UnexpectedEof.into()));
        }
    }
}

/// Returns an error that says what was wrong with a handshake.
fn explain(link: &Link, failed: Failed) -> Attempt {
    let text = match failed {
        Failed::Random(error) => return error.into(),
        Failed::Io(_) => {
            let text = "has closed the connection during the handshake: it has another key, or \
                        too many connect at the same time";
            return Attempt::Interrupted(refused(link, text));
        }
        Failed::Refused(Refusal::Proof) => "has another key".to_owned(),
        Failed::Refused(Refusal::Version(version)) => {
            format!("speaks version {version} of the protocol")
        }
        Failed::Refused(Refusal::SameRole) => "is a client".to_owned(),
        Failed::Refused(Refusal::Stranger) => "is no manager".to_owned(),
    };
    refused(link, &text).into()
}

fn refused(link: &Link, what: &str) -> Error {
    let text = format!("what listens at {} {what}", link.settings.address);
    Error::new(Kind::Refused, text)
}
