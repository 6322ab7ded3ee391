//! The lists that the linker puts together from all crates of the program.
//!
//! Their sections have the names of the statics, so a program with two lists of one name
//! would mix them, and panics instead. The names end with the version, because a program may
//! contain several versions of this crate. The unit tests have no lists: their binary
//! contains this crate twice, the one that is tested and the one that the facade uses.

#[cfg(not(test))]
pub use lists::{
    CORELOOP_POOL_ENTRIES_0_1 as ENTRIES, CORELOOP_POOL_WORKER_TESTS_0_1 as WORKER_TESTS,
};
#[cfg(test)]
pub(crate) use tests::{ENTRIES, WORKER_TESTS};

#[cfg(not(test))]
mod lists {
    use linkme::distributed_slice;

    use crate::job::entry::Entry;

    /// The jobs of this program.
    #[distributed_slice]
    pub static CORELOOP_POOL_ENTRIES_0_1: [Entry];

    /// The modules in which `worker_test!` has defined a test, by their `module_path!()`.
    #[distributed_slice]
    pub static CORELOOP_POOL_WORKER_TESTS_0_1: [&'static str];
}

#[cfg(test)]
mod tests {
    use crate::job::entry::Entry;

    pub(crate) static ENTRIES: [Entry; 0] = [];
    pub(crate) static WORKER_TESTS: [&str; 0] = [];

    #[test]
    fn the_names_of_the_lists_have_the_version() {
        let version = concat!(
            "_",
            env!("CARGO_PKG_VERSION_MAJOR"),
            "_",
            env!("CARGO_PKG_VERSION_MINOR"),
            ": ["
        );
        let source = include_str!("linked.rs");
        assert_eq!(source.matches(version).count(), 2, "{version}");
    }
}
