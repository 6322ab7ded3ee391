//! Echo on tokio's `current_thread` runtime.

use std::future::pending;
use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

pub(super) fn serve<const N: usize>(connections: usize) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(super::ANY_PORT).await?;
        super::announce(listener.local_addr()?)?;
        for _ in 0..connections {
            let (mut stream, _) = listener.accept().await?;
            drop(tokio::spawn(async move {
                let mut buffer = [0; N];
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    if stream.write_all(&buffer[..count]).await.is_err() {
                        break;
                    }
                }
                super::closed();
            }));
        }
        pending().await
    })
}
