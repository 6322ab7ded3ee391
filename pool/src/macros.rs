//! The macros `register!` and `worker_test!`.

/// Registers instances of generic functions, or functions of other crates, as jobs.
///
/// `#[coreloop::job]` cannot register a generic function, because each instance of it is a
/// function of its own. This macro registers the instances that the program uses. It is
/// written outside of functions, in any crate; an instance may be registered more than once.
///
/// The name of such a job is the name of its type, such as `program::largest<u32>`.
///
/// # Examples
///
/// ```
/// fn largest<T: Ord>(items: Vec<T>) -> Option<T> {
///     items.into_iter().max()
/// }
///
/// coreloop::pool::register!(largest::<u32>, largest::<String>);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! register {
    ($($function:path),+ $(,)?) => {
        $(
            const _: () = {
                #[$crate::__private::linkme::distributed_slice($crate::__private::ENTRIES)]
                #[linkme(crate = $crate::__private::linkme)]
                static __CORELOOP_JOB: $crate::__private::Entry =
                    $crate::__private::Entry::of_type(
                        || $crate::__private::name_of(&$function),
                        (::core::file!(), ::core::line!()),
                        || $crate::__private::type_of(&$function),
                        |encoding, arguments, output| {
                            $crate::__private::run($function, encoding, arguments, output)
                        },
                        |arguments| {
                            use $crate::__private::initialize::{
                                FutureOfResult as _, FutureOfValue as _, ResultOfValue as _,
                                Value as _,
                            };
                            (&&&&$crate::__private::initialize::call($function, arguments)?)
                                .install()
                        },
                    );
            };
        )+
    };
}

/// Lets the tests of a binary use a pool: defines the test `coreloop_pool_worker`, which runs
/// the workers.
///
/// A worker is this program, started again. The program of a test is the test harness, which
/// does not [enter](crate::enter_worker). So the workers of a test binary are started with
/// arguments that run this one test, which enters. When the test runs among the others, it does
/// nothing.
///
/// The macro is written once in each test binary, outside of functions: in `lib.rs` or
/// `main.rs` of a crate for its unit tests, and in each file of the folder `tests`. If a binary
/// has several, the pool uses one of them. A test without the harness of `cargo test`
/// (`harness = false`) has a `main`, which enters.
///
/// # Examples
///
/// ```
/// coreloop::pool::worker_test!();
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! worker_test {
    () => {
        #[::core::prelude::v1::test]
        fn coreloop_pool_worker() {
            // Inside of the test, so that it exists only if the harness has the test.
            #[$crate::__private::linkme::distributed_slice($crate::__private::WORKER_TESTS)]
            #[linkme(crate = $crate::__private::linkme)]
            static __CORELOOP_WORKER_TEST: &str = ::core::module_path!();

            $crate::__private::enter_worker_in_test();
        }
    };
}
