//! `#[coreloop::job]` leaves a function as it is, and registers it, wherever it is.

use std::collections::HashMap;
use std::rc::Rc;

use coreloop::pool::__private::{ENTRIES, Entry};

#[coreloop::job]
fn double(number: u32) -> u32 {
    number * 2
}

#[coreloop::job]
async fn sum(one: u32, other: u32) -> u32 {
    coreloop::task::yield_now().await;
    one + other
}

#[coreloop::job(name = "a name of its own", idempotent)]
#[must_use]
fn named() -> u8 {
    1
}

#[coreloop::job(idempotent, name = r"escaped\")]
fn raw() {}

#[coreloop::job]
fn r#match(text: String) -> Vec<String> {
    vec![text]
}

#[coreloop::job]
const fn constant() -> u8 {
    3
}

#[coreloop::job]
fn returns_a_future(map: HashMap<u8, Vec<u8>>, _: u8) -> impl Future<Output = usize> {
    std::future::ready(map.len())
}

#[coreloop::job]
fn no_generics(pair: (u8, Vec<u8>), std::ops::Range { start, .. }: std::ops::Range<u8>) -> u8
where
    String: Clone,
{
    pair.0 + start
}

/// Its result can be neither encoded nor sent to another process.
#[coreloop::job(initializer)]
fn initializer(_: u8) -> &'static Rc<()> {
    Box::leak(Box::default())
}

#[coreloop::job]
#[deprecated]
fn outdated() {}

mod strict {
    //! In a crate with strict lints, an attribute adds nothing to complain of.
    #![forbid(unsafe_code)]
    #![deny(missing_docs, missing_debug_implementations, unused, warnings)]

    /// Documented.
    #[coreloop::job]
    pub(crate) fn strict() {}

    pub(crate) mod deeper {
        #[coreloop::job]
        pub(in crate::job_attribute) fn strict() {}
    }
}

mod configured {
    #[coreloop::job]
    #[cfg(not(unix))]
    pub(super) fn configured() -> u8 {
        1
    }

    #[coreloop::job]
    #[cfg(unix)]
    pub(super) fn configured() -> u8 {
        2
    }
}

mod renamed {
    //! A crate that re-exports coreloop under another name.
    pub(crate) use coreloop as event_loop;

    #[event_loop::job(crate = "event_loop")]
    pub(super) fn renamed() {}
}

mod shadowed {
    //! The expansion neither sees nor hides the names around it.
    #![allow(
        dead_code,
        non_upper_case_globals,
        reason = "these exist to be mistaken for what the expansion names"
    )]

    mod coreloop {}
    mod core {}
    mod linkme {}
    struct Entry;
    const run: u8 = 1;

    #[::coreloop::job]
    pub(super) fn arguments(output: u8) -> u8 {
        output + run
    }
}

mod written_by_a_macro {
    macro_rules! jobs {
        ($($visibility:vis $name:ident($argument:ty) as $text:literal;)*) => {
            $(
                #[coreloop::job(name = $text)]
                $visibility fn $name(argument: $argument) -> $argument {
                    argument
                }
            )*
        };
    }

    jobs! {
        pub(super) bytes(Vec<u8>) as "written: bytes";
        pub(super) text(Option<Vec<String>>) as "written: text";
    }
}

/// Returns the names of the jobs in this module, without the path of the module.
fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = ENTRIES
        .iter()
        .map(Entry::name)
        .filter_map(|name| name.strip_prefix(module_path!())?.strip_prefix("::"))
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn a_job_has_the_name_of_its_function() {
    #[coreloop::job]
    fn in_a_function() {}

    assert_eq!(
        names(),
        [
            "configured::configured",
            "constant",
            "double",
            "in_a_function",
            "initializer",
            "match",
            "no_generics",
            "outdated",
            "renamed::renamed",
            "returns_a_future",
            "shadowed::arguments",
            "strict::deeper::strict",
            "strict::strict",
            "sum",
        ]
    );
    in_a_function();
}

#[test]
fn a_job_may_have_another_name() {
    for name in [
        "a name of its own",
        r"escaped\",
        "written: bytes",
        "written: text",
    ] {
        assert!(ENTRIES.iter().any(|entry| entry.name() == name), "{name}");
    }
}

#[test]
fn a_job_of_a_library_is_there() {
    assert_eq!(coreloop_test_support::jobs::increment(1), 2);
    let name = "coreloop_test_support::jobs::increment";
    assert!(ENTRIES.iter().any(|entry| entry.name() == name));
}

#[coreloop::test]
async fn the_functions_are_called_as_before() {
    assert_eq!(double(4), 8);
    assert_eq!(sum(1, 2).await, 3);
    assert_eq!(named(), 1);
    raw();
    assert_eq!(returns_a_future(HashMap::new(), 0).await, 0);
    assert_eq!(r#match("x".to_owned()), ["x"]);
    const { assert!(constant() == 3) };
    assert_eq!(no_generics((1, vec![]), 2..3), 3);
    assert_eq!(Rc::strong_count(initializer(0)), 1);
    strict::strict();
    strict::deeper::strict();
    assert_eq!(configured::configured(), 2);
    renamed::renamed();
    assert_eq!(shadowed::arguments(2), 3);
    assert_eq!(written_by_a_macro::bytes(vec![1]), [1]);
    assert_eq!(written_by_a_macro::text(None), None);
}
