//! `empty`, `repeat` and `sink`: always ready, and yet they let others have their turn.

use std::io::{IoSlice, SeekFrom};
use std::time::Duration;

use coreloop::io::{
    AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, AsyncWriteExt, copy, empty, repeat, sink,
};
use coreloop::select;
use coreloop::task::yield_now;
use coreloop::time::timeout;

#[coreloop::test]
async fn they_read_and_write_nothing() {
    let mut bytes = [1; 8];
    assert_eq!(empty().read(&mut bytes).await.unwrap(), 0);
    let mut line = String::new();
    assert_eq!(empty().read_line(&mut line).await.unwrap(), 0);
    assert_eq!(empty().seek(SeekFrom::End(-1)).await.unwrap(), 0);
    assert_eq!(empty().write(&bytes).await.unwrap(), 8);
    assert_eq!(repeat(7).read(&mut bytes).await.unwrap(), 8);
    assert_eq!(bytes, [7; 8]);
    let slices = [IoSlice::new(&bytes), IoSlice::new(&bytes[..3])];
    assert_eq!(sink().write_vectored(&slices).await.unwrap(), 11);
    sink().write_all(&bytes).await.unwrap();
    sink().flush().await.unwrap();
    sink().close().await.unwrap();
    let copied = copy(&mut repeat(7).take(100_000), &mut sink()).await;
    assert_eq!(copied.unwrap(), 100_000);
}

/// Awaits something again and again, beside a future that yields, and with a time limit.
macro_rules! gives_way {
    ($name:ident, $operation:expr) => {
        #[coreloop::test(start_paused = true)]
        #[cfg_attr(miri, ignore = "hundreds of units of budget, in safe code")]
        async fn $name() {
            let busy = async || {
                loop {
                    $operation.await.unwrap();
                }
            };
            select! {
                biased;
                () = busy() => {}
                () = yield_now() => {}
            }
            assert!(timeout(Duration::ZERO, busy()).await.is_err());
        }
    };
}

gives_way!(reading_nothing_gives_way, empty().read(&mut [0; 1]));
gives_way!(
    reading_no_line_gives_way,
    empty().read_line(&mut String::new())
);
gives_way!(
    reading_a_byte_without_end_gives_way,
    repeat(1).read(&mut [0; 1])
);
gives_way!(writing_nowhere_gives_way, sink().write_all(b"x"));
gives_way!(flushing_nothing_gives_way, sink().flush());
