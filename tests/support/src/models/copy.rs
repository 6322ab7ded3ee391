//! A copy whose future is dropped after every poll: whatever pieces its streams read and write,
//! and wherever they fail, the buffer loses no byte.

use coreloop::io::CopyBuffer;
use futures_lite::future::{block_on, poll_once};

use crate::chunks::{Reader, Step, Writer, steps};

pub fn check(bytes: &[u8]) {
    let Some((&[size, errors, turn], script)) = bytes.split_first_chunk() else {
        return;
    };
    let (reads, writes) = script.split_at(script.len() / 2);
    let mut random = fastrand::Rng::with_seed(u64::from(turn));
    let times = if cfg!(miri) { 5 } else { 100 };
    let mut sent = vec![0; times * script.len()];
    random.fill(&mut sent);
    // Now and then either stream fails.
    let with_errors = |script, every: u8| {
        let mut steps = steps(script);
        if every > 0 {
            let place = |at: &usize| at % usize::from(every) == usize::from(every) - 1;
            for at in (0..steps.len()).filter(place) {
                steps[at] = Step::Fail;
            }
        }
        steps
    };
    let mut reader = Reader::new(sent.clone(), with_errors(reads, errors & 15));
    let mut writer = Writer::new(with_errors(writes, errors >> 4));
    let mut buffer = CopyBuffer::with_size(usize::from(size) + 1);

    block_on(async {
        loop {
            let ended = poll_once(buffer.copy(&mut reader, &mut writer)).await;
            let (given, taken) = (reader.given, writer.taken.len());
            assert_eq!(buffer.bytes_read(), given as u64);
            assert_eq!(buffer.bytes_written(), taken as u64);
            assert_eq!(buffer.unwritten(), &sent[taken..given]);
            if let Some(Ok(count)) = ended {
                assert_eq!(count, sent.len() as u64);
                break;
            }
        }
        assert!(buffer.is_at_end());
        // It has finished, and stays finished.
        let again = poll_once(buffer.copy(&mut reader, &mut writer)).await;
        assert_eq!(again.and_then(Result::ok), Some(sent.len() as u64));
    });
    assert_eq!(writer.taken, sent);
    assert_eq!(writer.flushed, sent.len());
}
