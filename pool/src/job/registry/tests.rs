use std::any::TypeId;

use super::*;
use crate::job::call::{name_of, run, type_of};

fn one(number: u32) -> u32 {
    number + 1
}

/// The same as `one`. The linker may give both the same address.
fn another(number: u32) -> u32 {
    number + 1
}

fn largest<T: Ord>(items: Vec<T>) -> Option<T> {
    items.into_iter().max()
}

macro_rules! entry {
    ($name:expr, $function:path) => {
        Entry::new(
            $name,
            (file!(), line!()),
            || type_of(&$function),
            |encoding, arguments, output| run($function, encoding, arguments, output),
            |_| Ok(Installed::Now),
            false,
        )
    };
}

/// What `register!` makes of an instance.
macro_rules! instance {
    ($function:path) => {
        Entry::of_type(
            || name_of(&$function),
            (file!(), line!()),
            || type_of(&$function),
            |encoding, arguments, output| run($function, encoding, arguments, output),
            |_| Ok(Installed::Now),
        )
    };
}

fn key<F: 'static>(_: F) -> TypeId {
    TypeId::of::<F>()
}

fn call(registry: &Registry, number: u16, argument: u32) -> u32 {
    let (mut arguments, mut output) = (Encoded::default(), Encoded::default());
    arguments.push(&(argument,)).unwrap();
    let job = registry.get(number).unwrap();
    job.run(Encoding::Local, arguments.input(), &mut output)
        .unwrap();
    output.input().decode().unwrap()
}

#[test]
fn functions_are_numbered_by_their_names() {
    let entries = [entry!("b", one), entry!("a", another)];
    let registry = Registry::new(&entries, &Jobs::new()).unwrap();
    assert_eq!(registry.find(key(another)), Some(0));
    assert_eq!(registry.find(key(one)), Some(1));
    assert_eq!(registry.get(0).unwrap().name(), "a");
    assert_eq!(registry.get(1).unwrap().name(), "b");
    assert!(registry.get(2).is_none());
    assert_eq!(registry.find(key(key::<u8>)), None);
    assert_eq!(call(&registry, 1, 41), 42);
}

#[test]
fn a_name_may_have_several_versions() {
    let entries = [entry!("add", another).version(2), entry!("add", one)];
    let registry = Registry::new(&entries, &Jobs::new()).unwrap();
    assert_eq!(registry.find(key(one)), Some(0));
    assert_eq!(registry.find(key(another)), Some(1));
    assert_eq!(registry.get(1).unwrap().key(), ("add", 2));
    let other = Registry::new(&[entry!("add", one)], &Jobs::new()).unwrap();
    let changed = Registry::new(&[entry!("add", one).version(2)], &Jobs::new()).unwrap();
    assert_ne!(other.hash(), changed.hash());

    let entries = [
        entry!("add", one).version(2),
        entry!("add", another).version(2),
    ];
    let error = Registry::new(&entries, &Jobs::new()).unwrap_err();
    assert!(error.contains("or another version"), "{error}");
}

#[cfg(feature = "portable")]
#[test]
fn a_function_is_found_by_name_and_version_and_an_initializer_is_not() {
    let entries = [
        entry!("b", one),
        entry!("a", another).version(2),
        entry!("open", largest::<u8>).version(NO_JOB),
    ];
    let registry = Registry::new(&entries, &Jobs::new()).unwrap();
    assert_eq!(registry.find_portable("a", 2), Some(0));
    assert_eq!(registry.find_portable("a", 1), None);
    assert_eq!(registry.find_portable("b", 1), Some(1));
    assert_eq!(
        registry.portable().collect::<Vec<_>>(),
        [("a", 2), ("b", 1)]
    );
}

#[test]
fn two_functions_of_one_name_are_an_error_with_both_places() {
    let entries = [
        entry!("twice", one),
        entry!("once", key_of_nothing),
        entry!("twice", another),
    ];
    let error = Registry::new(&entries, &Jobs::new()).unwrap_err();
    let places: Vec<_> = [&entries[0], &entries[2]]
        .map(|entry| entry.place.to_string())
        .into();
    assert_ne!(places[0], places[1]);
    assert!(error.contains("the name `twice`"), "{error}");
    assert!(places.iter().all(|place| error.contains(place)), "{error}");
}

fn key_of_nothing() {}

#[test]
fn a_function_may_have_two_names() {
    let entries = [entry!("second", one), entry!("first", one)];
    let registry = Registry::new(&entries, &Jobs::new()).unwrap();
    assert_eq!(registry.find(key(one)), Some(0));
    assert_eq!(registry.get(1).unwrap().name(), "second");
}

#[test]
fn instances_of_a_generic_function_are_registered_once() {
    let entries = [
        instance!(largest::<u8>),
        instance!(largest::<String>),
        // As another crate would, which knows nothing of the first.
        instance!(largest::<u8>),
    ];
    let registry = Registry::new(&entries, &Jobs::new()).unwrap();
    let bytes = registry.find(key(largest::<u8>)).unwrap();
    let texts = registry.find(key(largest::<String>)).unwrap();
    assert_ne!(bytes, texts);
    assert_eq!(registry.find(key(largest::<u16>)), None);
    let name = registry.get(bytes).unwrap().name();
    assert!(name.ends_with("tests::largest<u8>"), "{name}");
}

#[test]
fn a_listed_function_has_the_name_of_its_type_and_runs() {
    let jobs = Jobs::new().job(one).job(another).job(one);
    let registry = Registry::new(&[entry!("a", another)], &jobs).unwrap();
    let number = registry.find(key(one)).unwrap();
    let job = registry.get(number).unwrap();
    assert!(job.name().ends_with("registry::tests::one"));
    assert!(!job.is_idempotent());
    assert_eq!(call(&registry, number, 1), 2);
    registry.check(&jobs).unwrap();

    let error = registry
        .check(&Jobs::new().job(key_of_nothing))
        .unwrap_err();
    let message = error.to_string();
    assert!(message.contains("`coreloop_pool::job::registry::tests::key_of_nothing`"));
    assert!(message.contains("has entered without it"), "{message}");
}

#[test]
fn two_closures_of_one_function_have_one_name() {
    let jobs = Jobs::new().job(|| 1_u8).job(|| 2_u8);
    let error = Registry::new(&[], &jobs).unwrap_err();
    assert!(error.contains("{{closure}}"), "{error}");
}

#[test]
fn the_hash_differs_if_a_name_does() {
    let hash = |entries: &[Entry]| Registry::new(entries, &Jobs::new()).unwrap().hash();
    let both = hash(&[entry!("ab", one), entry!("c", another)]);
    assert_eq!(both, hash(&[entry!("c", another), entry!("ab", one)]));
    assert_ne!(both, hash(&[entry!("a", one), entry!("bc", another)]));
    assert_ne!(both, hash(&[entry!("ab", one)]));
}

#[test]
fn there_are_at_most_as_many_jobs_as_numbers() {
    let mut entries: Vec<_> = (0..=u16::MAX)
        .map(|number| entry!(&*number.to_string().leak(), one))
        .collect();
    let registry = Registry::new(&entries, &Jobs::new()).unwrap();
    assert_eq!(registry.get(u16::MAX).unwrap().name(), "9999");
    entries.push(entry!("one more", one));
    let error = Registry::new(&entries, &Jobs::new()).unwrap_err();
    assert!(error.contains("65537 jobs"), "{error}");
}

#[test]
fn the_error_of_a_function_names_it_and_the_cure() {
    let message = not_registered("program::resize");
    assert!(
        message.starts_with("`program::resize` is not registered"),
        "{message}"
    );
    assert!(message.contains("#[coreloop::job]"), "{message}");
}
