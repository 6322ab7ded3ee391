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
use super::{ALL, file, receive_slice};

const LENGTH: u32 = 10_000;

/// The seals of the memory of a builder.
const DRAFT: SealFlags = SealFlags::SHRINK
    .union(SealFlags::GROW)
    .union(SealFlags::FUTURE_WRITE);

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
    // Since the file of a builder cannot be mapped for writing any more, this is one without seals.
    let file = file(
        u64::from(LENGTH) * 4,
        u64::from(LENGTH) * 4,
        SealFlags::empty(),
    );
    let leaked = Kept::writable(&file, 4096).unwrap();
    let builder = SharedSliceBuilder::<u32>::of(file.try_clone().unwrap(), LENGTH as usize);
    let error = builder.seal().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourceBusy);
    assert!(
        error.to_string().contains("copy of this process"),
        "{error}"
    );
    // The mapping still writes, so the file got no seal that says otherwise.
    let seals = rustix::fs::fcntl_get_seals(&file).unwrap();
    assert_eq!(seals, DRAFT);
    receive_slice::<u32>(file.try_clone().unwrap(), u64::from(LENGTH)).unwrap_err();
    drop(leaked);
    rustix::fs::fcntl_add_seals(&file, ALL).unwrap();
}

/// As another process of the user might open it, by `/proc`.
#[test]
fn only_a_builder_writes_to_its_memory() {
    let mut builder = SharedSliceBuilder::<u32>::with_len(LENGTH as usize).unwrap();
    let path = format!("/proc/self/fd/{}", builder.file().as_raw_fd());
    let mut options = OpenOptions::new();
    let opened = options.read(true).write(true).open(path).unwrap();
    let seals = rustix::fs::fcntl_get_seals(&opened).unwrap();
    assert_eq!(seals.difference(SealFlags::EXEC), DRAFT);
    let error = opened.write_at(b"x", 0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(opened.set_len(0).is_err());
    let holes = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    assert!(rustix::fs::fallocate(&opened, holes, 0, 4096).is_err());
    let opened = opened.into();
    let error = Kept::writable(&opened, 4096).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(builder.iter().all(|value| *value == 0));
    builder.fill(7);
    let _readable = Kept::readable(&opened, 4096).unwrap();
    let slice = builder.seal().unwrap();
    assert!(slice.iter().all(|value| *value == 7));
    attack(&slice);
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
