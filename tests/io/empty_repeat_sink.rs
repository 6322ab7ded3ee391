//! `empty`, `repeat` and `sink` are always ready, and yet they let other tasks run.

use std::io::{IoSlice, SeekFrom};
use std::time::Duration;

use coreloop::io::{
    AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, AsyncWriteExt, copy, empty, repeat, sink,
};
use coreloop::select;
use coreloop::task::yield_now;
use coreloop::time::timeout;

#[coreloop::test]
async fn empty_repeat_and_sink_read_and_write() {
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

/// Awaits an operation again and again, beside a future that yields, and with a time limit.
macro_rules! lets_others_run {
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

lets_others_run!(reading_nothing_lets_others_run, empty().read(&mut [0; 1]));
lets_others_run!(
    reading_no_line_lets_others_run,
    empty().read_line(&mut String::new())
);
lets_others_run!(
    reading_a_byte_without_end_lets_others_run,
    repeat(1).read(&mut [0; 1])
);
lets_others_run!(writing_nowhere_lets_others_run, sink().write_all(b"x"));
lets_others_run!(flushing_nothing_lets_others_run, sink().flush());
