//! Echo on compio with its polling driver. compio has to own the buffer, which is therefore
//! on the heap.

use std::future::pending;
use std::io;

use compio::BufResult;
use compio::io::{AsyncRead, AsyncWriteExt};
use compio::net::TcpListener;

pub(super) fn serve<const N: usize>(connections: usize) -> io::Result<()> {
    compio::runtime::Runtime::new()?.block_on(async {
        let listener = TcpListener::bind(super::ANY_PORT).await?;
        super::announce(listener.local_addr()?)?;
        for _ in 0..connections {
            let (mut stream, _) = listener.accept().await?;
            let handler = compio::runtime::spawn(async move {
                let mut buffer = Vec::with_capacity(N);
                while let BufResult(Ok(1..), read) = stream.read(buffer).await {
                    let BufResult(Ok(()), written) = stream.write_all(read).await else {
                        break;
                    };
                    buffer = written;
                    buffer.clear();
                }
                super::closed();
            });
            handler.detach();
        }
        pending().await
    })
}
