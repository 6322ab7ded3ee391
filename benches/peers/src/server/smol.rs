//! Echo on smol: one `LocalExecutor`, with async-io's own thread beside it.

use std::future::pending;
use std::io;

use smol::LocalExecutor;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::TcpListener;

pub(super) fn serve<const N: usize>(connections: usize) -> io::Result<()> {
    let executor = LocalExecutor::new();
    smol::block_on(executor.run(async {
        let listener = TcpListener::bind(super::ANY_PORT).await?;
        super::announce(listener.local_addr()?)?;
        for _ in 0..connections {
            let (mut stream, _) = listener.accept().await?;
            let handler = executor.spawn(async move {
                let mut buffer = [0; N];
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    if stream.write_all(&buffer[..count]).await.is_err() {
                        break;
                    }
                }
                super::closed();
            });
            handler.detach();
        }
        pending().await
    }))
}
