//! A group keeps no memory of tasks that have finished. A counting allocator measures it.

use std::future::pending;
use std::hint::black_box;
use std::time::Duration;

use coreloop::scope::{MemberHandle, TaskGroup};
use coreloop::task::yield_now;
use coreloop::time::sleep;
use coreloop_test_support::allocator::live_bytes;

const MEMBERS: usize = if cfg!(miri) { 140 } else { 10_000 };
/// After this number of members, the lists of the group no longer grow.
const FIRST: usize = if cfg!(miri) { 120 } else { 200 };
/// The size of a member's future.
const ROOM: usize = if cfg!(miri) { 1 << 10 } else { 8 << 10 };
/// The bytes by which memory may grow: less than the members after the first ones need.
const ALLOWED: usize = 4 << 10;

/// A large future, like a request handler's.
async fn request<E>() -> Result<(), E> {
    let room = black_box([1_u8; ROOM]);
    yield_now().await;
    black_box(&room);
    Ok(())
}

/// Spawns members one at a time: each finishes before the next is spawned.
async fn one_at_a_time<T: 'static, E: 'static>(
    group: &mut TaskGroup<E>,
    mut spawn: impl FnMut(&mut TaskGroup<E>) -> MemberHandle<T, E>,
) {
    let others = group.len();
    let mut after_first = 0;
    for number in 0..MEMBERS {
        drop(spawn(group));
        while group.len() > others {
            yield_now().await;
        }
        if number == FIRST {
            after_first = live_bytes();
        }
    }
    let more = live_bytes().saturating_sub(after_first);
    assert!(more <= ALLOWED, "{more} bytes more after {MEMBERS} members");
}

#[coreloop::test]
async fn members_that_have_ended_are_freed() {
    let mut group = TaskGroup::<()>::new();
    drop(group.spawn(pending::<Result<(), _>>()));
    drop(group.spawn_daemon(pending::<Result<(), _>>()));
    one_at_a_time(&mut group, |group| group.spawn(request())).await;
    assert_eq!(group.len(), 2);
    one_at_a_time(&mut group, |group| group.spawn_daemon(request())).await;
    group.cancel();
    one_at_a_time(&mut group, |group| group.spawn(request())).await;
    group.join().await.unwrap();
}

#[coreloop::test]
async fn members_of_a_supervisor_that_failed_are_freed() {
    let mut group = TaskGroup::supervisor();
    one_at_a_time(&mut group, |group| {
        group.spawn(async {
            request::<()>().await.ok();
            Err::<(), _>([7_u8; 1000])
        })
    })
    .await;
    let error = group.join().await.unwrap_err();
    assert_eq!(error.others().len() + error.omitted() + 1, MEMBERS);
    assert!(error.omitted() > 0);
}

/// They are freed without another call to the group.
#[coreloop::test]
async fn members_that_end_together_are_freed() {
    // The loop's first poll of the kernel allocates, so wait until it has happened.
    sleep(Duration::from_micros(1)).await;
    let mut group = TaskGroup::<()>::new();
    let before = live_bytes();
    for _ in 0..MEMBERS / 10 {
        drop(group.spawn(request()));
    }
    assert!(live_bytes() - before > MEMBERS / 10 * ROOM);
    while !group.is_empty() {
        yield_now().await;
    }
    let more = live_bytes().saturating_sub(before);
    assert!(more <= ALLOWED, "{more} bytes more");
}
