//! Memory that a receiver refuses, from any sender.

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU8, AtomicU64};

use rustix::fs::{FallocateFlags, SealFlags};
use rustix::io::Errno;

use super::super::map::{Cells, Sealed};
use super::super::{Shared, SharedSlice};
use super::{ALL, file, receive_atomics, receive_slice};

const SIZE_ONLY: SealFlags = SealFlags::SHRINK
    .union(SealFlags::GROW)
    .union(SealFlags::SEAL);

/// Returns why a slice of two numbers is refused.
fn refusal(file: &OwnedFd, length: u64) -> String {
    Sealed::<u64>::open(file, length).unwrap_err().to_string()
}

#[test]
fn a_slice_with_missing_or_other_seals_is_refused() {
    let others = [
        SealFlags::empty(),
        SealFlags::WRITE,
        SIZE_ONLY,
        SIZE_ONLY | SealFlags::FUTURE_WRITE,
        ALL.difference(SealFlags::SEAL),
        ALL.difference(SealFlags::GROW),
        ALL.difference(SealFlags::SHRINK),
    ];
    for seals in others {
        let file = file(16, 16, seals);
        assert!(refusal(&file, 2).contains("not sealed"), "{seals:?}");
        let refused = receive_slice::<u64>(file, 2).unwrap_err();
        assert!(refused.contains("not sealed"), "{refused}");
    }
    // More seals than needed do no harm.
    let more = file(16, 16, ALL | SealFlags::FUTURE_WRITE);
    assert_eq!(*receive_slice::<u64>(more, 2).unwrap(), [0, 0]);
}

#[test]
fn other_files_are_refused() {
    let plain = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
    let (socket, _other) = UnixStream::pair().unwrap();
    let (pipe, _writer) = rustix::pipe::pipe().unwrap();
    let unsealable = rustix::fs::memfd_create(c"test", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    rustix::fs::ftruncate(&unsealable, 16).unwrap();
    for file in [plain.into(), socket.into(), pipe, unsealable] {
        assert!(refusal(&file, 2).contains("not sealed"));
        assert!(Cells::<AtomicU64>::open(&file, 2).is_err());
    }
}

#[test]
fn a_slice_of_another_size_is_refused() {
    for (size, length, why) in [
        (16, 0, "empty"),
        (16, 1, "1 elements have 8"),
        (16, 3, "3 elements have 24"),
        (15, 2, "no multiple"),
        (17, 2, "no multiple"),
        (0, 2, "has 0 bytes"),
        (16, u64::MAX, "more than a process can have"),
        (16, 1 << 61, "more than a process can have"),
        (16, 1 << 60, "more than a process can have"),
        (16, (1 << 60) - 1, "has 16 bytes"),
    ] {
        let file = file(size, size, ALL);
        let refused = refusal(&file, length);
        assert!(refused.contains(why), "{size} {length}: {refused}");
        receive_slice::<u64>(file, length).unwrap_err();
    }
}

#[test]
fn a_slice_without_its_memory_is_refused() {
    let sparse = file(1 << 40, 0, ALL);
    assert!(refusal(&sparse, 1 << 37).contains("not allocated"));
    let half = file(8192, 4096, ALL);
    assert!(refusal(&half, 1024).contains("not allocated"));
    // The last page may belong to the contents in part only.
    assert!(receive_slice::<u64>(file(4104, 8192, ALL), 513).is_ok());
}

/// The kernel counts the pages behind the end too, as many as are missing before it.
#[test]
fn a_slice_with_a_hole_is_refused_whatever_is_behind_its_end() {
    let behind = |size: u64, allocated: u64, pages: u64| {
        let file = file(size, allocated, SealFlags::empty());
        let keep = FallocateFlags::KEEP_SIZE;
        for start in [size.next_multiple_of(4096), 1 << 40] {
            rustix::fs::fallocate(&file, keep, start, pages * 4096).unwrap();
        }
        rustix::fs::fcntl_add_seals(&file, ALL).unwrap();
        file
    };
    for (size, allocated) in [
        (8192, 4096),
        (8192, 0),
        (1 << 20, (1 << 20) - 4096),
        (24, 0),
    ] {
        let file = behind(size, allocated, 256);
        let counted = rustix::fs::fstat(&file).unwrap().st_blocks * 512;
        assert!(u64::try_from(counted).unwrap() > size);
        assert!(refusal(&file, size / 8).contains("not allocated"));
        receive_slice::<u64>(file, size / 8).unwrap_err();
    }
    // Without a hole, the pages behind the end are freed, and the contents stay as they are.
    let file = file(4104, 8192, SealFlags::empty());
    let writer = std::fs::File::from(file.try_clone().unwrap());
    writer.write_all_at(&[7; 4104], 0).unwrap();
    rustix::fs::fallocate(&file, FallocateFlags::KEEP_SIZE, 1 << 30, 1 << 20).unwrap();
    rustix::fs::fcntl_add_seals(&file, ALL).unwrap();
    let copy = file.try_clone().unwrap();
    let slice = receive_slice::<u8>(file, 4104).unwrap();
    assert_eq!(*slice, [7; 4104]);
    let stat = rustix::fs::fstat(&copy).unwrap();
    assert_eq!((stat.st_blocks, stat.st_size), (16, 4104));
    // They cannot come back.
    let again = rustix::fs::fallocate(&copy, FallocateFlags::KEEP_SIZE, 1 << 30, 4096);
    assert_eq!(again, Err(Errno::PERM));
}

#[test]
fn a_descriptor_that_only_reads_is_refused() {
    let file = file(16, 16, ALL);
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let readable = std::fs::File::open(path).unwrap().into();
    assert!(refusal(&readable, 2).contains("only reads"));
    receive_slice::<u64>(readable, 2).unwrap_err();
    receive_slice::<u64>(file, 2).unwrap();
}

#[test]
fn a_slice_cannot_grow_after_the_check() {
    let file = file(16, 16, ALL);
    let copy = file.try_clone().unwrap();
    let slice = receive_slice::<u64>(file, 2).unwrap();
    assert_eq!(rustix::fs::ftruncate(&copy, 4096), Err(Errno::PERM));
    assert_eq!(rustix::fs::ftruncate(&copy, 0), Err(Errno::PERM));
    assert_eq!(*slice, [0, 0]);
}

#[test]
fn atomic_numbers_of_another_size_or_without_seals_are_refused() {
    let all = [
        SealFlags::empty(),
        SealFlags::SHRINK,
        SealFlags::SHRINK | SealFlags::GROW,
        SIZE_ONLY.difference(SealFlags::SHRINK),
    ];
    for seals in all {
        let file = file(16, 16, seals);
        let refused = Cells::<AtomicU64>::open(&file, 2).unwrap_err();
        assert!(refused.to_string().contains("not sealed"), "{refused}");
        receive_atomics::<AtomicU64>(file, 2).unwrap_err();
    }
    for (size, length) in [(16, 0), (16, 1), (16, 3), (15, 2), (0, 1), (16, u64::MAX)] {
        let file = file(size, size, SIZE_ONLY);
        receive_atomics::<AtomicU64>(file, length).unwrap_err();
    }
    receive_atomics::<AtomicU64>(file(16, 16, SIZE_ONLY), 2).unwrap();
}

/// The contents of a slice cannot be written, not even as atomic numbers.
#[test]
fn a_slice_is_not_received_as_atomic_numbers() {
    let slice = SharedSlice::from_slice(&[1_u64, 2]).unwrap();
    let file = slice.file().try_clone().unwrap();
    receive_atomics::<AtomicU64>(file, 2).unwrap_err();
    let numbers = Shared::new(AtomicU8::new(1)).unwrap();
    let file = numbers.file().try_clone().unwrap();
    receive_slice::<u8>(file, 1).unwrap_err();
}

#[test]
fn several_numbers_are_not_received_as_one() {
    for count in [0, 2] {
        let file = file(8 * count, 8 * count, SIZE_ONLY);
        let bytes = postcard::to_stdvec(&(0_u32, count)).unwrap();
        let refused = crate::ipc::decode::<Shared<AtomicU64>>(&bytes, vec![file]).unwrap_err();
        let why = ["announced as empty", "", "2 atomic numbers were sent"];
        assert!(
            refused.contains(why[usize::try_from(count).unwrap()]),
            "{refused}"
        );
    }
}
