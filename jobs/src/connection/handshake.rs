//! The handshake on a stream. The caller limits its time.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::ready;

use futures_io::{AsyncRead, AsyncWrite};

use crate::error::Error;
use crate::secure::{HELLO, Key, Opener, PROOF, Refusal, Role, Sealer, Start, random};

/// Why a handshake has failed.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The peer does not have the key, or is no peer of this kind.
    Refused(Refusal),
    /// The connection has ended.
    Io(io::Error),
    /// There is no random number.
    Random(Error),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// The side of a manager. A peer that it refuses gets no answer: the caller closes the connection
/// when the time for the handshake has passed, whatever was wrong.
///
/// The manager says nothing before the peer has said hello in this protocol.
pub(crate) async fn accept<S>(
    stream: &mut S,
    key: &Key,
    binding: &[u8],
    max: usize,
) -> Result<(Sealer, Opener), Failed>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let start = Start::new(Role::Manager, random().map_err(Failed::Random)?);
    let own = *start.hello();
    let mut hello = [0; HELLO];
    read(stream, &mut hello).await?;
    let met = start.meet(&hello, key, binding)?;
    write(stream, &own).await?;
    let mut proof = [0; PROOF];
    read(stream, &mut proof).await?;
    let own = met.proof();
    let keys = met.verify(&proof, max)?;
    write(stream, &own).await?;
    Ok(keys)
}

/// The side of a client.
pub(crate) async fn connect<S>(
    stream: &mut S,
    key: &Key,
    binding: &[u8],
    max: usize,
) -> Result<(Sealer, Opener), Failed>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let start = Start::new(Role::Client, random().map_err(Failed::Random)?);
    write(stream, start.hello()).await?;
    let mut hello = [0; HELLO];
    read(stream, &mut hello).await?;
    let met = start.meet(&hello, key, binding)?;
    write(stream, &met.proof()).await?;
    let mut proof = [0; PROOF];
    read(stream, &mut proof).await?;
    Ok(met.verify(&proof, max)?)
}

/// Fills the buffer, and reads no byte more.
async fn read<S: AsyncRead + Unpin>(stream: &mut S, buffer: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    poll_fn(|cx| {
        while filled < buffer.len() {
            match ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer[filled..]))? {
                0 => {
                    let text = "the connection was closed during the handshake";
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text)).into();
                }
                count => filled += count,
            }
        }
        Ok(()).into()
    })
    .await
}

async fn write<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> io::Result<()> {
    let mut written = 0;
    poll_fn(|cx| {
        while written < bytes.len() {
            match ready!(Pin::new(&mut *stream).poll_write(cx, &bytes[written..]))? {
                0 => return Err(io::ErrorKind::WriteZero.into()).into(),
                count => written += count,
            }
        }
        Pin::new(&mut *stream).poll_flush(cx)
    })
    .await
}
