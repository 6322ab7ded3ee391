//! What the kernel refuses once memory is sealed.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{FallocateFlags, SealFlags};
use rustix::io::Errno;

use super::super::map::Kept;
use super::super::{SharedAtomics, SharedSlice, SharedSliceBuilder};
use super::ALL;

const LENGTH: u32 = 10_000;

fn slice() -> SharedSlice<u32> {
    SharedSlice::from_values(0..LENGTH).unwrap()
}

/// Tries to change a sealed file in each way that there is.
fn attack(slice: &SharedSlice<u32>) {
    let file = slice.file();
    let bytes = size_of_val(&**slice) as u64;
    let mut written = File::from(file.try_clone().unwrap());
    let error = written.write(b"x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    let error = written.write_at(b"x", bytes - 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    for length in [0, 1, bytes - 1, bytes + 1, bytes * 2] {
        assert_eq!(rustix::fs::ftruncate(file, length), Err(Errno::PERM));
    }
    let holes = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    for (flags, offset, length) in [
        (holes, 0, bytes),
        (holes, 0, 4096),
        (FallocateFlags::empty(), 0, bytes * 2),
        (FallocateFlags::empty(), bytes, 4096),
    ] {
        let changed = rustix::fs::fallocate(file, flags, offset, length);
        assert_eq!(changed, Err(Errno::PERM), "{flags:?} {offset} {length}");
    }
    let error = Kept::writable(file, 4096).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    for options in [
        OpenOptions::new().write(true),
        OpenOptions::new().read(true).write(true),
        OpenOptions::new().append(true),
        OpenOptions::new().write(true).truncate(true),
    ] {
        // The file can be opened, but not written to.
        match options.open(&path) {
            Ok(mut opened) => {
                let error = opened.write(b"x").unwrap_err();
                assert_eq!(error.kind(), ErrorKind::PermissionDenied);
                assert!(opened.set_len(0).is_err());
                assert!(Kept::writable(&opened.into(), 4096).is_err());
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::PermissionDenied),
        }
    }
    for seals in [
        SealFlags::FUTURE_WRITE,
        SealFlags::WRITE,
        SealFlags::empty(),
    ] {
        let sealed = rustix::fs::fcntl_add_seals(file, seals);
        assert_eq!(sealed, Err(Errno::PERM));
    }
}

#[test]
fn nothing_changes_a_slice() {
    let slice = slice();
    assert!(
        rustix::fs::fcntl_get_seals(slice.file())
            .unwrap()
            .contains(ALL)
    );
    attack(&slice);
    assert!((0..LENGTH).eq(slice.iter().copied()));
}

#[test]
fn nothing_changes_a_slice_of_a_builder() {
    let mut builder = SharedSliceBuilder::with_len(LENGTH as usize).unwrap();
    for (number, value) in (0..).zip(builder.iter_mut()) {
        *value = number;
    }
    let slice = builder.seal().unwrap();
    attack(&slice);
    assert!((0..LENGTH).eq(slice.iter().copied()));
}

#[test]
fn a_builder_whose_memory_is_mapped_elsewhere_is_busy() {
    let builder = SharedSliceBuilder::<u32>::with_len(LENGTH as usize).unwrap();
    let file = builder.file().try_clone().unwrap();
    let leaked = Kept::writable(&file, 4096).unwrap();
    let error = builder.seal().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourceBusy);
    assert!(
        error.to_string().contains("copy of this process"),
        "{error}"
    );
    // The mapping still writes, so the file got no seal at all.
    let seals = rustix::fs::fcntl_get_seals(&file).unwrap();
    assert!(!seals.intersects(ALL), "{seals:?}");
    drop(leaked);
    rustix::fs::fcntl_add_seals(&file, ALL).unwrap();
}

#[test]
fn a_mapping_that_only_reads_does_not_hinder_a_builder() {
    let builder = SharedSliceBuilder::<u32>::with_len(LENGTH as usize).unwrap();
    let _kept = Kept::readable(builder.file(), 4096).unwrap();
    builder.seal().unwrap();
}

#[test]
fn the_size_of_atomic_numbers_is_constant() {
    let numbers = SharedAtomics::<AtomicU64>::with_len(2_000).unwrap();
    let file = numbers.file();
    let bytes = size_of_val(&*numbers) as u64;
    for length in [0, 1, bytes - 1, bytes + 1] {
        assert_eq!(rustix::fs::ftruncate(file, length), Err(Errno::PERM));
    }
    for seals in [SealFlags::WRITE, SealFlags::FUTURE_WRITE] {
        let sealed = rustix::fs::fcntl_add_seals(file, seals);
        assert_eq!(sealed, Err(Errno::PERM));
    }
    // A process that has the numbers can make holes, which only sets numbers to zero.
    numbers[1_999].store(5, Ordering::Relaxed);
    let holes = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(file, holes, 0, bytes).unwrap();
    assert_eq!(numbers[1_999].load(Ordering::Relaxed), 0);
    numbers[1_999].store(6, Ordering::Relaxed);
    assert_eq!(numbers[1_999].load(Ordering::Relaxed), 6);
}
