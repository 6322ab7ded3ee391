//! Streams of bytes, of either library.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A connection.
pub(crate) trait Bytes: 'static {
    /// Reads some bytes; returns 0 at the end.
    async fn read_some(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
    async fn read_all(&mut self, buffer: &mut [u8]) -> io::Result<()>;
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// Sends back the received bytes, until the end.
pub(crate) async fn echo(mut stream: impl Bytes) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = stream.read_some(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        stream.write(&buffer[..count]).await?;
    }
}

/// Sends a message and waits until it has come back, a number of times.
pub(crate) async fn ask(stream: &mut impl Bytes, bytes: usize, times: u64) -> io::Result<()> {
    let mut buffer = vec![b'x'; bytes];
    for _ in 0..times {
        stream.write(&buffer).await?;
        stream.read_all(&mut buffer).await?;
    }
    Ok(())
}

/// coreloop's streams have these methods, and tokio's streams have them through its traits.
macro_rules! bytes {
    ($($stream:ty),*) => {$(
        impl Bytes for $stream {
            async fn read_some(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.read(buffer).await
            }

            async fn read_all(&mut self, buffer: &mut [u8]) -> io::Result<()> {
                self.read_exact(buffer).await.map(drop)
            }

            async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
                self.write_all(bytes).await
            }
        }
    )*};
}

bytes!(
    coreloop::net::TcpStream,
    coreloop::net::UnixStream,
    tokio::net::TcpStream,
    tokio::net::UnixStream
);
