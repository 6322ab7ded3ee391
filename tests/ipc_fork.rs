//! Shared memory in a copy of the process, made by `fork`. It is a process of its own, without a
//! test harness, because `fork` needs a process that has only one thread.

#[cfg(all(target_os = "linux", not(miri)))]
fn main() {
    use coreloop_test_support::alone::test;
    use linux as tests;

    // The first one, because later ones have the page that this process must not have yet.
    test(
        "what_relies_on_recognizing_copies_is_an_error_without_it",
        tests::what_relies_on_recognizing_copies_is_an_error_without_it,
    );
    test(
        "a_copy_has_no_mapping_of_a_builder",
        tests::a_copy_has_no_mapping_of_a_builder,
    );
    test(
        "a_copy_does_not_unmap_what_has_taken_the_place_of_a_builder",
        tests::a_copy_does_not_unmap_what_has_taken_the_place_of_a_builder,
    );
    test(
        "a_copy_cannot_seal_a_builder",
        tests::a_copy_cannot_seal_a_builder,
    );
    test(
        "a_copy_shares_slices_and_atomic_numbers",
        tests::a_copy_shares_slices_and_atomic_numbers,
    );
    test(
        "a_copy_cannot_lock_an_array",
        tests::a_copy_cannot_lock_an_array,
    );
    test(
        "a_copy_panics_where_it_has_no_memory",
        tests::a_copy_panics_where_it_has_no_memory,
    );
    test(
        "a_copy_of_a_copy_uses_what_it_has_made_itself",
        tests::a_copy_of_a_copy_uses_what_it_has_made_itself,
    );
    test(
        "a_copy_of_a_broker_grants_nothing",
        tests::a_copy_of_a_broker_grants_nothing,
    );
    test(
        "a_copy_of_a_client_is_granted_nothing",
        tests::a_copy_of_a_client_is_granted_nothing,
    );
    test(
        "a_copy_with_the_same_pid_is_recognized",
        tests::a_copy_with_the_same_pid_is_recognized,
    );
    test(
        "a_copy_with_the_same_pid_does_not_release_an_array",
        tests::a_copy_with_the_same_pid_does_not_release_an_array,
    );
}

#[cfg(not(all(target_os = "linux", not(miri))))]
fn main() {}

#[cfg(all(target_os = "linux", not(miri)))]
#[expect(
    clippy::unwrap_used,
    reason = "the program is a test, though it has no harness that would mark it as one"
)]
mod linux {
    use std::fs;
    use std::io::{ErrorKind, Read, Write};
    use std::os::unix::process::ExitStatusExt;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::process::exit;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use coreloop::Runtime;
    use coreloop::ipc::{
        LockFile, Mutex, Shared, SharedArray, SharedAtomics, SharedSlice, SharedSliceBuilder,
    };
    use coreloop::process::{Fork, Forked, fork};
    use coreloop::task::spawn_blocking;
    use coreloop::time::{sleep, timeout};

    use rustix::fs::{FlockOperation, flock};

    const LENGTH: usize = 100_000;

    /// Runs `child` in a copy of this process, whose exit code is 0 if it returns `true`.
    #[expect(unsafe_code, reason = "`fork` is unsafe")]
    fn copied(child: impl FnOnce() -> bool) -> Forked {
        // A thread that was joined may still end.
        while fs::read_dir("/proc/self/task").unwrap().count() > 1 {
            thread::yield_now();
        }
        // SAFETY: the copies below do not use the memory of a builder, which is the only memory
        // here that must be used by one process only. There is no event loop.
        match unsafe { fork() }.unwrap() {
            Fork::Child => exit(i32::from(!child())),
            Fork::Parent(child) => child,
        }
    }

    fn succeeds(child: Forked) {
        let status = child.wait().unwrap();
        assert_eq!((status.code(), status.signal()), (Some(0), None));
    }

    /// Makes the kernel refuse `MADV_WIPEONFORK`, as gVisor and Linux before 4.14 do.
    #[expect(unsafe_code, reason = "the filter is passed as an address")]
    fn refuse_wiped_pages(madvise: u32) {
        #[repr(C)]
        struct Step(u16, u8, u8, u32);
        #[repr(C)]
        struct Program(u16, *const Step);
        unsafe extern "C" {
            fn prctl(option: i32, mode: usize, program: *const Program) -> i32;
        }
        const SET_SECCOMP: i32 = 22;
        const FILTER: usize = 2;
        const WIPE_ON_FORK: u32 = 18;
        const LOAD: u16 = 0x20;
        const JUMP_IF_EQUAL: u16 = 0x15;
        const RETURN: u16 = 0x06;
        const INVALID: u32 = 0x0005_0000 | 22;
        const ALLOW: u32 = 0x7fff_0000;

        let steps = [
            Step(LOAD, 0, 0, 0),
            Step(JUMP_IF_EQUAL, 0, 3, madvise),
            // The lower half of the third argument.
            Step(LOAD, 0, 0, 32),
            Step(JUMP_IF_EQUAL, 0, 1, WIPE_ON_FORK),
            Step(RETURN, 0, 0, INVALID),
            Step(RETURN, 0, 0, ALLOW),
        ];
        rustix::thread::set_no_new_privs(true).unwrap();
        let program = Program(6, steps.as_ptr());
        // SAFETY: the program has this many steps, and the kernel copies it. It changes no call but
        // one advice, which has failed then.
        assert_eq!(unsafe { prctl(SET_SECCOMP, FILTER, &raw const program) }, 0);
    }

    /// A copy with the same process id took itself for its original, and wrote to an address at
    /// which it had something else.
    pub(super) fn what_relies_on_recognizing_copies_is_an_error_without_it() {
        let madvise = match std::env::consts::ARCH {
            "x86_64" => 28,
            "aarch64" => 233,
            _ => return,
        };
        succeeds(copied(|| {
            refuse_wiped_pages(madvise);
            let builder = SharedSliceBuilder::<u64>::with_len(LENGTH).map(drop);
            let error = builder.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().contains("the original of its copies"));
            let slice = SharedSlice::from_slice(&[1_u64]).map(drop);
            // It is written without a mapping.
            assert!(slice.is_ok());
            Runtime::new().unwrap().block_on(async {
                let array = SharedArray::<u64>::with_len(LENGTH).map(drop);
                assert!(array.is_err());
                let lock = Mutex::new().unwrap();
                lock.lock().await.is_ok()
            })
        }));
    }

    /// The addresses of the mappings of a process.
    fn is_mapped(address: usize) -> bool {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines().any(|line| {
            let (start, rest) = line.split_once('-').unwrap();
            let (end, _) = rest.split_once(' ').unwrap();
            let number = |digits| usize::from_str_radix(digits, 16).unwrap();
            (number(start)..number(end)).contains(&address)
        })
    }

    /// So the builder can be sealed although the copy still exists.
    pub(super) fn a_copy_has_no_mapping_of_a_builder() {
        let mut builder = SharedSliceBuilder::<u64>::with_len(LENGTH).unwrap();
        builder.fill(7);
        let address = builder.as_ptr().addr();
        assert!(is_mapped(address));
        let (mut lives, here) = std::io::pipe().unwrap();
        let (mut sealed, there) = std::io::pipe().unwrap();
        let (mut here, mut there) = (Some(here), Some(there));
        let child = copied(|| {
            let has_none = !is_mapped(address);
            drop((here.take(), there.take()));
            // Waits until the parent has sealed.
            sealed.read_to_end(&mut Vec::new()).unwrap();
            has_none
        });
        drop(here);
        lives.read_to_end(&mut Vec::new()).unwrap();
        let slice = builder.seal().unwrap();
        drop(there);
        succeeds(child);
        assert!(slice.iter().all(|value| *value == 7));
    }

    pub(super) fn a_copy_does_not_unmap_what_has_taken_the_place_of_a_builder() {
        let mut builder = Some(SharedSliceBuilder::<u64>::with_len(LENGTH).unwrap());
        let address = builder.as_ref().unwrap().as_ptr().addr();
        let child = copied(|| {
            // The kernel takes the highest gap that is large enough.
            let mut others = Vec::new();
            for number in 0..1_000 {
                let other = SharedSlice::from_slice(&vec![number; LENGTH]).unwrap();
                let is_there = other.as_ptr().addr() == address;
                others.push(other);
                if is_there {
                    break;
                }
            }
            assert!(is_mapped(address), "no mapping took the place");
            drop(builder.take());
            is_mapped(address) && (0..).zip(&others).all(|(n, other)| other[LENGTH - 1] == n)
        });
        succeeds(child);
        let mut builder = builder.unwrap();
        builder[0] = 1;
        assert_eq!(builder.seal().unwrap()[0], 1);
    }

    pub(super) fn a_copy_cannot_seal_a_builder() {
        let mut builder = SharedSliceBuilder::<u64>::with_len(LENGTH).unwrap();
        builder[5] = 5;
        let mut builder = Some(builder);
        let child = copied(|| {
            let error = builder.take().unwrap().seal().unwrap_err();
            error.kind() == ErrorKind::ResourceBusy
        });
        succeeds(child);
        let mut builder = builder.unwrap();
        builder[6] = 6;
        let slice = builder.seal().unwrap();
        assert_eq!((slice[5], slice[6]), (5, 6));
    }

    pub(super) fn a_copy_shares_slices_and_atomic_numbers() {
        let slice = SharedSlice::from_values(0..LENGTH as u64).unwrap();
        let counter = Shared::new(AtomicU64::new(0)).unwrap();
        let numbers = SharedAtomics::<AtomicU64>::with_len(3).unwrap();
        let children: Vec<_> = (1..=3)
            .map(|child| {
                let (slice, counter, numbers) = (slice.clone(), counter.clone(), numbers.clone());
                copied(move || {
                    for value in &slice {
                        counter.fetch_add(*value % 2, Ordering::Relaxed);
                    }
                    numbers[child - 1].store(child as u64, Ordering::Relaxed);
                    // The mappings of the copy only are removed.
                    drop((slice, counter, numbers));
                    true
                })
            })
            .collect();
        children.into_iter().for_each(succeeds);
        assert_eq!(counter.load(Ordering::Relaxed), 3 * LENGTH as u64 / 2);
        let stored = numbers.iter().map(|number| number.load(Ordering::Relaxed));
        assert!(stored.eq(1..=3));
        assert!((0..LENGTH as u64).eq(slice.iter().copied()));
    }
    /// The array is locked when the process is copied, and stays so.
    pub(super) fn a_copy_cannot_lock_an_array() {
        let runtime = Runtime::new().unwrap();
        let (array, mut guard) = runtime.block_on(async {
            let array = SharedArray::<u64>::with_len(LENGTH).unwrap();
            let guard = array.lock().await.unwrap();
            (array, guard)
        });
        guard[0] = 1;
        let address = guard.as_ptr().addr();
        let mut held = Some(guard);
        let child = copied(|| {
            let has_none = !is_mapped(address);
            // The copies of the guard and of the array release nothing.
            drop(held.take());
            let locked = array.blocking_lock().map(drop).unwrap_err();
            let error = locked.into_guard().unwrap_err().to_string();
            drop(array.clone());
            has_none && error.contains("copy")
        });
        succeeds(child);
        assert!(array.blocking_try_lock().unwrap().is_none());
        let mut guard = held.unwrap();
        guard[1] = 2;
        assert_eq!(guard[..2], [1, 2]);
        drop(guard);
        assert!(array.blocking_try_lock().unwrap().is_some());
        drop(runtime);
    }

    /// Returns whether `use_it` panics because this process is a copy. The message is not printed.
    fn is_refused<R>(use_it: impl FnOnce() -> R) -> bool {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| ()));
        let result = catch_unwind(AssertUnwindSafe(use_it));
        std::panic::set_hook(hook);
        let Err(panic) = result else {
            return false;
        };
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        text.is_some_and(|text| text.contains("a copy, made by `fork`"))
    }

    /// What the copy does with both is safe code, and `fork` is in the safe functions of others.
    pub(super) fn a_copy_panics_where_it_has_no_memory() {
        let mut builder = SharedSliceBuilder::<u64>::with_len(LENGTH).unwrap();
        let runtime = Runtime::new().unwrap();
        let (array, mut guard) = runtime.block_on(async {
            let array = SharedArray::<u64>::with_len(LENGTH).unwrap();
            let guard = array.lock().await.unwrap();
            (array, guard)
        });
        let child = copied(|| {
            let length = format!("length: {LENGTH}");
            is_refused(|| builder[0])
                && is_refused(|| builder[0] = 1)
                && is_refused(|| guard[0])
                && is_refused(|| guard[0] = 1)
                // These make no reference to the memory.
                && format!("{builder:?} {array:?}").matches(&length).count() == 2
                && guard.fencing() == 1
                && !guard.is_valid()
        });
        succeeds(child);
        builder[0] = 1;
        guard[0] = 1;
        assert_eq!((builder[0], guard[0]), (1, 1));
        drop(runtime);
    }

    pub(super) fn a_copy_of_a_copy_uses_what_it_has_made_itself() {
        let first = SharedSliceBuilder::<u64>::with_len(LENGTH).unwrap();
        let child = copied(|| {
            let mut second = SharedSliceBuilder::<u64>::with_len(LENGTH).unwrap();
            second[1] = 2;
            let grandchild = copied(|| {
                let mut third = SharedSliceBuilder::<u64>::with_len(LENGTH).unwrap();
                third[2] = 3;
                let refused = is_refused(|| first[0]) && is_refused(|| second[0]);
                refused && third.seal().unwrap()[2] == 3
            });
            succeeds(grandchild);
            is_refused(|| first[0]) && second.seal().unwrap()[1] == 2
        });
        succeeds(child);
        assert_eq!(first[0], 0);
    }

    /// A thread with a guard of an array, or with none if it has waited for too long.
    struct Locking {
        was_granted: mpsc::Receiver<bool>,
        release: mpsc::Sender<()>,
        thread: thread::JoinHandle<()>,
    }

    impl Locking {
        fn start(handle: &[u8], limit: Duration) -> Self {
            let array: SharedArray<u64> = rmp_serde::from_slice(handle).unwrap();
            let (granted, was_granted) = mpsc::channel();
            let (release, released) = mpsc::channel::<()>();
            let thread = thread::spawn(move || {
                let guard = array.blocking_lock_timeout(limit);
                granted.send(guard.is_ok()).unwrap();
                let _ = released.recv();
            });
            Self {
                was_granted,
                release,
                thread,
            }
        }

        fn is_granted(&self) -> bool {
            self.was_granted.recv().unwrap()
        }

        fn end(self) {
            drop(self.release);
            self.thread.join().unwrap();
        }
    }

    /// Two threads of one process ask for the lock. While the first one connects, only the copy of
    /// the broker drives its loop. It had accepted the connection, and granted the lock with a valid
    /// signature, which the original then granted again.
    pub(super) fn a_copy_of_a_broker_grants_nothing() {
        let runtime = Runtime::new().unwrap();
        let array = runtime.block_on(async { SharedArray::<u64>::with_len(4).unwrap() });
        let handle = rmp_serde::to_vec(&array).unwrap();
        let clients = copied(|| {
            let one = Locking::start(&handle, Duration::from_secs(20));
            let is_granted = one.is_granted();
            let other = Locking::start(&handle, Duration::from_millis(200));
            let is_alone = !other.is_granted();
            other.end();
            one.end();
            is_granted && is_alone
        });
        succeeds(copied(|| {
            runtime.block_on(async { sleep(Duration::from_millis(300)).await });
            true
        }));
        runtime.block_on(async {
            // The copy may have taken the event of the connection that waits. This is another one.
            let third: SharedArray<u64> = rmp_serde::from_slice(&handle).unwrap();
            let connecting = spawn_blocking(move || third.mutex().blocking_holder().map(drop));
            connecting.await.unwrap().unwrap();
            spawn_blocking(move || succeeds(clients)).await.unwrap();
            assert_eq!(array.lock().await.unwrap().fencing(), 2);
        });
    }

    /// In both parts, the lock is granted to a task that is polled by the copy first.
    pub(super) fn a_copy_of_a_client_is_granted_nothing() {
        let runtime = Runtime::new().unwrap();
        // The answer was handed out before the process is copied.
        let lock = runtime.block_on(async { Mutex::new().unwrap() });
        let guard = runtime.block_on(lock.lock()).unwrap();
        let mut waiting = Box::pin(lock.lock());
        let nothing = Duration::from_millis(1);
        let mut wait = |limit| runtime.block_on(async { timeout(limit, waiting.as_mut()).await });
        assert!(wait(nothing).is_err());
        drop(guard);
        succeeds(copied(|| wait(nothing).unwrap().is_err()));
        drop(wait(nothing).unwrap().unwrap());

        // The answer comes afterwards, and the copy drives the loop that reads it.
        let guard = runtime.block_on(lock.lock()).unwrap();
        let handle = rmp_serde::to_vec(&lock).unwrap();
        let (mut copied_once, there) = std::io::pipe().unwrap();
        let mut there = Some(there);
        let client = copied(|| {
            let lock: Mutex = rmp_serde::from_slice(&handle).unwrap();
            let runtime = Runtime::new().unwrap();
            let mut waiting = Box::pin(lock.lock());
            let limit = Duration::from_millis(200);
            let wait = runtime.block_on(async { timeout(limit, waiting.as_mut()).await });
            assert!(wait.is_err());
            let copy = copied(|| {
                there.take().unwrap().write_all(b"x").unwrap();
                runtime.block_on(async { sleep(Duration::from_millis(300)).await });
                runtime.block_on(waiting.as_mut()).is_err()
            });
            drop(there.take());
            succeeds(copy);
            runtime.block_on(async {
                // The copy may have taken the event of the answer. This has another one.
                lock.is_poisoned().await.unwrap();
                let granted = timeout(Duration::from_secs(10), waiting).await;
                granted.is_ok_and(|granted| granted.is_ok())
            })
        });
        drop(there.take());
        runtime.block_on(async {
            let copying = spawn_blocking(move || copied_once.read_exact(&mut [0]));
            copying.await.unwrap().unwrap();
            drop(guard);
            spawn_blocking(move || succeeds(client)).await.unwrap();
        });
    }

    /// The next copy of this process is the first process in a new PID namespace.
    #[expect(unsafe_code, reason = "`unshare` is unsafe")]
    fn enter_namespace() -> bool {
        use rustix::thread::{UnshareFlags, unshare_unsafe};

        // SAFETY: this process has one thread, and keeps its table of descriptors.
        unsafe { unshare_unsafe(UnshareFlags::NEWPID) }.is_ok()
    }

    pub(super) fn a_copy_with_the_same_pid_is_recognized() {
        let folder = std::env::temp_dir().join(format!("coreloop-fork-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let path = folder.join("lock");
        let child = copied(|| {
            if !enter_namespace() {
                println!("SKIPPED: no PID namespace can be made ... ");
                return true;
            }
            succeeds(copied(|| {
                assert_eq!(std::process::id(), 1);
                let builder = SharedSliceBuilder::<u64>::with_len(LENGTH).unwrap();
                let lock = LockFile::open(&path).unwrap();
                let mut held = Some(lock.blocking_lock().unwrap());
                assert!(enter_namespace());
                succeeds(copied(|| {
                    // The copy does not release the lock of its original.
                    drop(held.take());
                    std::process::id() == 1 && is_refused(|| builder[0])
                }));
                let is_free = || {
                    let file = fs::File::open(&path).unwrap();
                    flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
                };
                let is_whole = builder[0] == 0 && !is_free();
                drop(held.take());
                is_whole && is_free()
            }));
            true
        });
        succeeds(child);
        fs::remove_dir_all(&folder).unwrap();
    }

    /// The copy has the guard and the socket of its original.
    pub(super) fn a_copy_with_the_same_pid_does_not_release_an_array() {
        let runtime = Runtime::new().unwrap();
        let array = runtime.block_on(async { SharedArray::<u64>::with_len(4).unwrap() });
        let handle = rmp_serde::to_vec(&array).unwrap();
        let (mut copied_once, there) = std::io::pipe().unwrap();
        let (mut checked, here) = std::io::pipe().unwrap();
        let (mut there, mut here) = (Some(there), Some(here));
        let child = copied(|| {
            drop(here.take());
            if !enter_namespace() {
                println!("SKIPPED: no PID namespace can be made ... ");
                return true;
            }
            succeeds(copied(|| {
                let array: SharedArray<u64> = rmp_serde::from_slice(&handle).unwrap();
                let mut held = Some(array.blocking_lock().unwrap());
                assert!(enter_namespace());
                succeeds(copied(|| {
                    drop(held.take());
                    std::process::id() == 1
                }));
                // The answer comes after everything that the copy might have sent.
                let is_held = array.mutex().blocking_holder().unwrap().is_some();
                there.take().unwrap().write_all(b"x").unwrap();
                checked.read_to_end(&mut Vec::new()).unwrap();
                let mut guard = held.take().unwrap();
                guard[0] = 1;
                is_held && guard.is_valid()
            }));
            true
        });
        drop(there.take());
        rustix::io::ioctl_fionbio(&copied_once, true).unwrap();
        runtime.block_on(async {
            let mut byte = [0];
            let is_held = loop {
                match copied_once.read(&mut byte) {
                    Ok(count) => break count == 1,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
                coreloop::task::yield_now().await;
            };
            assert_eq!(array.try_lock().await.unwrap().is_none(), is_held);
            drop(here.take());
            assert_eq!(array.lock().await.unwrap()[0], u64::from(is_held));
        });
        succeeds(child);
    }
}
