//! Which functions a pool finds, and what it reports of the others.

use coreloop::pool::{JobError, Jobs, Pool, register};

fn largest<T: Ord>(items: Vec<T>) -> Option<T> {
    items.into_iter().max()
}

register!(largest::<u8>, largest::<String>);

mod elsewhere {
    // An instance that another module has registered too.
    coreloop::pool::register!(super::largest::<u8>);
}

fn unregistered(number: u32) -> u32 {
    number
}

/// The linker may give this function and `equal` one address.
#[coreloop::job]
fn same(number: u32) -> u32 {
    panic!("{number}");
}

#[coreloop::job]
fn equal(number: u32) -> u32 {
    panic!("{number}");
}

fn pool() -> Pool {
    Pool::builder().workers(1).build().unwrap()
}

#[coreloop::test]
async fn instances_of_a_generic_function_are_jobs_of_their_own() {
    let pool = pool();
    let bytes = pool.run(largest::<u8>, vec![1, 3, 2]).await.unwrap();
    assert_eq!(bytes, Some(3));
    let texts = vec!["b".to_owned(), "c".to_owned(), "a".to_owned()];
    let text = pool.run(largest::<String>, texts).await.unwrap();
    assert_eq!(text.as_deref(), Some("c"));

    let error = pool.run(largest::<u16>, vec![1]).await.unwrap_err();
    assert_is_not_registered(&error, "registry::largest<u16>");
}

#[coreloop::test]
async fn a_function_that_is_not_registered_is_an_error_that_names_it() {
    let pool = pool();
    let error = pool.run(unregistered, 1).await.unwrap_err();
    assert_is_not_registered(&error, "registry::unregistered");

    // A pointer to a function does not say which function it is.
    let pointer: fn(u32) -> u32 = same;
    let error = pool.run(pointer, 1).await.unwrap_err();
    assert_is_not_registered(&error, "fn(u32) -> u32");
}

fn assert_is_not_registered(error: &JobError, function: &str) {
    assert!(error.is_not_registered(), "{error:?}");
    assert!(!error.has_started());
    let message = error.to_string();
    assert!(message.contains(function), "{message}");
    assert!(message.contains("#[coreloop::job]"), "{message}");
    assert!(message.contains("register!"), "{message}");
}

#[coreloop::test]
async fn equal_functions_are_different_jobs() {
    let pool = pool();
    let one = pool.run(same, 1).await.unwrap_err();
    let other = pool.run(equal, 1).await.unwrap_err();
    assert_eq!(one.job_name(), Some("pool::registry::same"));
    assert_eq!(other.job_name(), Some("pool::registry::equal"));
    let places = [one, other].map(|error| error.into_panic_message().unwrap());
    assert_ne!(places[0], places[1]);
}

#[coreloop::test]
async fn a_library_has_jobs() {
    let pool = pool();
    let three = pool.run(coreloop_test_support::jobs::increment, 2).await;
    assert_eq!(three.unwrap(), 3);
}

#[coreloop::test]
async fn a_pool_is_not_built_with_a_job_that_its_workers_do_not_know() {
    let error = Pool::builder().job(unregistered).build().unwrap_err();
    let message = error.to_string();
    assert!(message.contains("`pool::registry::unregistered`"));
    assert!(message.contains("tests/pool/registry.rs"), "{message}");
    assert!(message.contains("has entered without it"), "{message}");

    // A registered one may be added too.
    drop(Pool::builder().job(largest::<u8>).build().unwrap());
}

#[test]
fn a_list_of_jobs_shows_their_names() {
    let jobs = Jobs::new().job(unregistered).job(largest::<u64>);
    assert_eq!(
        format!("{jobs:?}"),
        r#"["pool::registry::unregistered", "pool::registry::largest<u64>"]"#
    );
}
