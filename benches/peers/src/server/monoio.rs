//! Echo on monoio with its legacy driver. monoio has to own the buffer, which is therefore
//! on the heap.

use std::future::pending;
use std::io;

use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::TcpListener;
use monoio::{LegacyDriver, RuntimeBuilder};

pub(super) fn serve<const N: usize>(connections: usize) -> io::Result<()> {
    RuntimeBuilder::<LegacyDriver>::new()
        .build()?
        .block_on(async {
            let listener = TcpListener::bind(super::ANY_PORT)?;
            super::announce(listener.local_addr()?)?;
            for _ in 0..connections {
                let (mut stream, _) = listener.accept().await?;
                drop(monoio::spawn(async move {
                    let mut buffer = Vec::with_capacity(N);
                    // The read sets the length to the number of bytes read, and the write
                    // sends that many.
                    while let (Ok(1..), read) = stream.read(buffer).await {
                        let (Ok(_), written) = stream.write_all(read).await else {
                            break;
                        };
                        buffer = written;
                    }
                    super::closed();
                }));
            }
            pending().await
        })
}
