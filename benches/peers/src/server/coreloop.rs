//! Echo on coreloop.

use std::future::pending;
use std::io;

use coreloop::net::TcpListener;

pub(super) fn serve<const N: usize>(connections: usize) -> io::Result<()> {
    coreloop::Runtime::new()?.block_on(async {
        let listener = TcpListener::bind(super::ANY_PORT).await?;
        super::announce(listener.local_addr()?)?;
        for _ in 0..connections {
            let (mut stream, _) = listener.accept().await?;
            drop(coreloop::spawn(async move {
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
