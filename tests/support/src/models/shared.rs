//! Memory that a process receives, whatever the other process has made of it.
//!
//! What is accepted cannot change: neither by what the kernel says about a file, as data, nor
//! by what one can do to a real file afterwards.

use coreloop::pool::__fuzz::shared::File;

pub fn check(bytes: &[u8]) {
    for step in bytes.chunks_exact(8) {
        as_data(step);
    }
    #[cfg(target_os = "linux")]
    for step in bytes.chunks_exact(24) {
        real::check(step);
    }
}

/// Compares the checks with arithmetic in numbers that are long enough.
fn as_data(step: &[u8]) {
    let element = [1, 2, 3, 4, 8, 12, 64, 4096][usize::from(step[0] % 8)];
    let length = number(step[1], step[2], 1);
    let size = match step[3] % 4 {
        0 => number(step[4], step[5], 1),
        1 => length
            .wrapping_mul(element)
            .wrapping_add(u64::from(step[5] % 3)),
        _ => length.wrapping_mul(element),
    };
    let file = File {
        has_fixed_size: step[6] & 1 == 0 || step[6] & 2 == 0,
        has_fixed_contents: step[6] & 2 == 0,
        size,
        allocated: match step[7] % 4 {
            0 => size.wrapping_sub(u64::from(step[5])),
            1 => number(step[4], step[7], 512),
            _ => size.saturating_add(u64::from(step[5])),
        },
    };
    let bytes = u128::from(length) * u128::from(element);
    let is_whole = length > 0 && bytes == u128::from(size) && isize::try_from(bytes).is_ok();
    let expected = |is_accepted: bool| is_accepted.then(|| usize::try_from(length).unwrap());
    let element = usize::try_from(element).unwrap();
    assert_eq!(
        file.as_slice(length, element),
        expected(is_whole && file.has_fixed_contents && file.allocated >= size),
        "{file:?} {length} {element}"
    );
    assert_eq!(
        file.as_atomics(length, element),
        expected(is_whole && file.has_fixed_size),
        "{file:?} {length} {element}"
    );
}

/// Makes numbers near the powers of two, and small ones.
fn number(a: u8, b: u8, unit: u64) -> u64 {
    let near = 1_u64.checked_shl(u32::from(a % 80)).unwrap_or(0);
    match a / 80 {
        0 => u64::from(b) * unit,
        1 => near.wrapping_add(u64::from(b)),
        2 => near.wrapping_sub(u64::from(b)),
        _ => near.wrapping_mul(unit),
    }
}

#[cfg(target_os = "linux")]
mod real {
    use std::fs;
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::FileExt;
    use std::sync::atomic::Ordering;

    use coreloop::pool::__fuzz::shared::{receive_atomics, receive_slice};
    use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};

    const SEALS: [SealFlags; 5] = [
        SealFlags::SHRINK,
        SealFlags::GROW,
        SealFlags::SEAL,
        SealFlags::WRITE,
        SealFlags::FUTURE_WRITE,
    ];

    /// The seals of a slice.
    const ALL: SealFlags = SealFlags::SHRINK
        .union(SealFlags::GROW)
        .union(SealFlags::SEAL)
        .union(SealFlags::WRITE);

    /// Sends a file and a message that a script describes, and attacks what is accepted.
    pub(super) fn check(script: &[u8]) {
        let size = u64::from(u16::from_le_bytes([script[0], script[1]])) % 20_000;
        let size = if script[2] & 1 == 0 { size } else { size & !3 };
        // Mostly all seals, so that the rest is reached.
        let set = if script[2] & 6 == 0 { script[3] } else { !0 };
        let set = (0..SEALS.len()).filter(|bit| set >> bit & 1 == 1);
        let mut seals: SealFlags = set.map(|bit| SEALS[bit]).collect();
        if script[2] & 8 == 0 {
            seals.remove(SealFlags::WRITE | SealFlags::FUTURE_WRITE);
        }
        let is_sparse = script[2] & 0x70 == 0;
        let length = match script[4] % 8 {
            0 => u64::from(script[5]),
            1 => u64::MAX - u64::from(script[5]),
            2 => (size / 4).wrapping_sub(1),
            _ => size / 4,
        };
        let position = u64::from(script[6].is_multiple_of(16));
        let made = || file(size, is_sparse, seals);

        let mut slice_message = vec![0];
        put(&mut slice_message, position);
        put(&mut slice_message, length);
        let mut numbers_message = vec![1];
        put(&mut numbers_message, position);
        put(&mut numbers_message, length);
        let is_garbled = script[7].is_multiple_of(4);
        if is_garbled {
            let at = usize::from(script[8]);
            for message in [&mut slice_message, &mut numbers_message] {
                let at = at % message.len();
                message[at] ^= script[9];
            }
        }

        let is_whole = length > 0 && length.checked_mul(4) == Some(size) && position == 0;
        let kept = made();
        let slice = receive_slice(&slice_message, vec![kept.try_clone().unwrap()]);
        if !is_garbled {
            let expected = is_whole && seals.contains(ALL) && !is_sparse;
            assert_eq!(
                slice.is_ok(),
                expected,
                "{slice:?} {seals:?} {size} {length}"
            );
        }
        if let Ok(slice) = slice {
            let before = slice.to_vec();
            attack(&kept);
            assert_eq!(*slice, before);
        }

        let kept = made();
        let numbers = receive_atomics(&numbers_message, vec![kept.try_clone().unwrap()]);
        if !is_garbled {
            let is_writable = !seals.intersects(SealFlags::WRITE | SealFlags::FUTURE_WRITE);
            let has_size = seals.contains(ALL.difference(SealFlags::WRITE));
            let expected = is_whole && has_size && is_writable;
            assert_eq!(numbers.is_ok(), expected, "{seals:?} {size} {length}");
        }
        if let Ok(numbers) = numbers {
            attack(&kept);
            for number in &numbers {
                number.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Writes a number as the encoding of messages does.
    fn put(message: &mut Vec<u8>, mut number: u64) {
        loop {
            let low = u8::try_from(number & 0x7f).unwrap();
            number >>= 7;
            if number == 0 {
                message.push(low);
                return;
            }
            message.push(low | 0x80);
        }
    }

    fn file(size: u64, is_sparse: bool, seals: SealFlags) -> OwnedFd {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = rustix::fs::memfd_create(c"fuzz", flags).unwrap();
        if is_sparse {
            rustix::fs::ftruncate(&file, size).unwrap();
        } else {
            let contents: Vec<u8> = (0..=250)
                .cycle()
                .take(usize::try_from(size).unwrap())
                .collect();
            let writer = fs::File::from(file.try_clone().unwrap());
            writer.write_all_at(&contents, 0).unwrap();
        }
        rustix::fs::fcntl_add_seals(&file, seals).unwrap();
        file
    }

    /// Tries to change the contents and the size.
    fn attack(file: &OwnedFd) {
        let writer = fs::File::from(file.try_clone().unwrap());
        let _ = writer.write_at(&[0xee; 4096], 0);
        let holes = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let _ = rustix::fs::fallocate(file, holes, 0, 1 << 20);
        let _ = rustix::fs::ftruncate(file, 0);
        let _ = rustix::fs::ftruncate(file, 1 << 20);
    }
}
