//! `RwLock`: many readers or one writer, in the order of their requests.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use coreloop::sync::{
    OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, RwLockMappedWriteGuard, RwLockReadGuard,
    RwLockWriteGuard,
};
use coreloop::task::yield_now;

use crate::permits_model::{self, Subject};
use coreloop_test_support::waiter::{Waiter, ready};

/// A guard of each kind, through which the value is read and changed.
enum Held<'a> {
    Read(RwLockReadGuard<'a, Box<u32>>),
    Write(RwLockWriteGuard<'a, Box<u32>>),
    OwnedRead(OwnedRwLockReadGuard<Box<u32>>),
    OwnedWrite(OwnedRwLockWriteGuard<Box<u32>>),
}

/// A lock for at most three readers, and whether to use its owned guards.
struct Both(Rc<RwLock<Box<u32>>>, bool);

impl Subject for Both {
    type Held<'a> = Held<'a>;
    const PERMITS: usize = 3;
    const REQUESTS: &'static [usize] = &[1, 1, 3];

    async fn acquire(&self, count: usize) -> Option<Held<'_>> {
        let lock = &self.0;
        Some(match (count, self.1) {
            (1, false) => Held::Read(lock.read().await),
            (_, false) => {
                let mut guard = lock.write().await;
                **guard += 1;
                Held::Write(guard)
            }
            (1, true) => Held::OwnedRead(Rc::clone(lock).read_owned().await),
            (_, true) => {
                let mut guard = Rc::clone(lock).write_owned().await;
                **guard += 1;
                Held::OwnedWrite(guard)
            }
        })
    }

    fn try_acquire(&self, count: usize) -> Option<Held<'_>> {
        let lock = &self.0;
        // The kind of guard that `acquire` does not use, so that both kinds meet.
        match (count, self.1) {
            (1, true) => lock.try_read().ok().map(Held::Read),
            (_, true) => lock.try_write().ok().map(Held::Write),
            (1, false) => Rc::clone(lock).try_read_owned().ok().map(Held::OwnedRead),
            (_, false) => Rc::clone(lock).try_write_owned().ok().map(Held::OwnedWrite),
        }
    }

    fn reduce<'a>(&'a self, held: Held<'a>) -> (Held<'a>, usize) {
        match held {
            Held::Write(guard) => (Held::Read(guard.downgrade()), 2),
            Held::OwnedWrite(guard) => (Held::OwnedRead(guard.downgrade()), 2),
            Held::Read(guard) => {
                assert!(**guard < u32::MAX);
                (Held::Read(guard), 0)
            }
            Held::OwnedRead(guard) => {
                assert!(**guard < u32::MAX);
                (Held::OwnedRead(guard), 0)
            }
        }
    }
}

#[test]
fn a_rwlock_agrees_with_its_model() {
    for owned in [false, true] {
        permits_model::check(|| Both(Rc::new(RwLock::with_max_readers(Box::new(0), 3)), owned));
    }
}

#[test]
fn later_readers_wait_behind_a_waiting_writer() {
    let lock = RwLock::new(0);
    let reader = lock.try_read().unwrap();
    let mut writer = Waiter::new(lock.write());
    assert!(!writer.is_ready());
    assert!(lock.try_read().is_err());
    let mut late = [Waiter::new(lock.read()), Waiter::new(lock.read())];
    assert!(late.iter_mut().all(|it| !it.is_ready()));
    let mut last = Waiter::new(lock.write());
    assert!(!last.is_ready());
    drop(reader);
    assert_eq!(writer.woken(), 1);
    drop(ready(writer.poll()));
    // Both readers are granted the lock at once, and the writer behind them is not.
    let readers = late.each_mut().map(|it| ready(it.poll()));
    assert!(!last.is_ready());
    drop(readers);
    assert!(last.is_ready());
}

#[test]
fn dropping_a_waiting_writer_lets_the_readers_behind_it_in() {
    let lock = RwLock::new(0);
    let _reader = lock.try_read().unwrap();
    let mut writer = Waiter::new(lock.write());
    let mut late = Waiter::new(lock.read());
    assert!(!writer.is_ready() && !late.is_ready());
    writer.cancel();
    assert_eq!(late.woken(), 1);
    assert!(late.is_ready());
}

#[test]
fn downgrade_lets_no_writer_in_between() {
    let lock = RwLock::new(1);
    let mut writer = lock.try_write().unwrap();
    let mut reader = Waiter::new(lock.read());
    let mut next = Waiter::new(lock.write());
    assert!(!reader.is_ready() && !next.is_ready());
    *writer = 2;
    let first = writer.downgrade();
    assert_eq!(*ready(reader.poll()), 2);
    assert!(!next.is_ready());
    assert_eq!(*first, 2);
    drop(first);
    *ready(next.poll()) = 3;

    let writer = lock.try_write().unwrap();
    let part = RwLockWriteGuard::downgrade_map(writer, |value| value);
    assert_eq!(*part, 3);
    assert!(lock.try_read().is_ok() && lock.try_write().is_err());
}

#[test]
fn guards_are_mapped() {
    let lock = RwLock::new((1, Some(2)));
    {
        let first = RwLockReadGuard::map(lock.try_read().unwrap(), |pair| &pair.0);
        let second = RwLockReadGuard::try_map(lock.try_read().unwrap(), |pair| pair.1.as_ref());
        assert_eq!(
            (format!("{first}"), format!("{:?}", second.unwrap())),
            ("1".into(), "2".into())
        );
        let none = RwLockReadGuard::try_map(first, |_| None::<&()>);
        assert_eq!(*none.unwrap_err(), 1);
    }
    let mut first = RwLockWriteGuard::map(lock.try_write().unwrap(), |pair| &mut pair.0);
    *first = 10;
    assert!(lock.try_read().is_err());
    let same = RwLockMappedWriteGuard::try_map(first, |_| None::<&mut ()>).unwrap_err();
    drop(RwLockMappedWriteGuard::map(same, |first| first));
    let guard = RwLockWriteGuard::try_map(lock.try_write().unwrap(), |_| None::<&mut ()>);
    let mut guard = guard.unwrap_err();
    guard.1 = None;
    drop(guard);
    assert_eq!(lock.into_inner(), (10, None));
}

#[test]
fn owned_guards_keep_the_lock() {
    let value = Rc::new(());
    let lock = Rc::new(RwLock::new(Rc::clone(&value)));
    let writer = Rc::clone(&lock).try_write_owned().unwrap();
    assert!(Rc::ptr_eq(OwnedRwLockWriteGuard::rwlock(&writer), &lock));
    assert_eq!(format!("{lock:?}"), "RwLock { data: <locked> }");
    let reader = writer.downgrade();
    assert_eq!(format!("{lock:?}"), "RwLock { data: () }");
    assert!(Rc::ptr_eq(OwnedRwLockReadGuard::rwlock(&reader), &lock));
    drop(lock);
    assert_eq!(Rc::strong_count(&value), 2);
    drop(reader);
    assert_eq!(Rc::strong_count(&value), 1);
}

#[test]
fn a_forgotten_guard_leaves_the_value_to_the_owner_of_the_lock() {
    let mut lock = RwLock::new(1);
    std::mem::forget(lock.try_read().unwrap());
    assert!(lock.try_write().is_err() && lock.try_read().is_ok());
    *lock.get_mut() += 1;
    assert_eq!(lock.into_inner(), 2);

    let lock = RwLock::new(1);
    std::mem::forget(lock.try_write().unwrap());
    assert!(lock.try_read().is_err());
    assert_eq!(lock.into_inner(), 1);
}

#[test]
fn the_number_of_readers_is_limited() {
    let lock = RwLock::with_max_readers((), 2);
    let (_one, _other) = (lock.try_read().unwrap(), lock.try_read().unwrap());
    assert!(lock.try_read().is_err());
    assert!(catch_unwind(|| RwLock::with_max_readers((), 0)).is_err());
    assert!(catch_unwind(|| RwLock::with_max_readers((), u32::MAX)).is_err());
}

#[test]
fn a_panic_unlocks_and_poisons_nothing() {
    let lock = Rc::new(RwLock::new(1));
    for owned in [false, true] {
        let result = catch_unwind(AssertUnwindSafe(|| {
            if owned {
                let _guard = Rc::clone(&lock).try_write_owned().unwrap();
                panic!("with the value");
            } else {
                let _guard = lock.try_write().unwrap();
                panic!("with the lock");
            }
        }));
        assert!(result.is_err());
    }
    assert_eq!(*lock.try_read().unwrap(), 1);
}

#[test]
fn writers_are_not_starved() {
    coreloop::block_on(async {
        let lock = Rc::new(RwLock::new(0));
        let read = |lock: &Rc<RwLock<u32>>| {
            let lock = Rc::clone(lock);
            async move {
                let mut rounds = 0;
                while *lock.read().await == 0 {
                    let _guard = lock.read().await;
                    yield_now().await;
                    rounds += 1;
                    assert!(rounds < 100_000, "the writer never ran");
                }
            }
        };
        let readers: Vec<_> = (0..4).map(|_| coreloop::spawn(read(&lock))).collect();
        yield_now().await;
        *lock.write().await = 1;
        for reader in readers {
            reader.await.unwrap();
        }
    });
}
