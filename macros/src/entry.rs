//! Turns an async function into an entry point.
//!
//! The function is kept as it was written, inside an ordinary one of the same
//! name that blocks on it:
//!
//! ```text
//! fn name() -> T {
//!     async fn name() -> T { … }
//!     return ::coreloop::__enter().build().expect("…").block_on(name());
//! }
//! ```
//!
//! Because the inner item is an async fn and not an async block, the compiler
//! knows its return type before it reads the body: coercions such as
//! `Box<dyn Error>` work, and what does not type-check is reported where it
//! was written and in the words rustc uses for any async fn. The expansion
//! brings no name into scope that the function did not have.
//!
//! `__enter` returns a builder of a runtime, unless the process was started as the worker of
//! a pool: then it runs the worker, and does not return. A test has a builder from
//! `Builder::new` instead, because a test binary enters in another way.

use proc_macro::{Span, TokenStream, TokenTree};

use crate::error::{Error, Result};
use crate::function::Function;
use crate::options::Options;
use crate::template::write;
use crate::tokens::{flatten, is_mark, is_word};

/// Which attribute is being expanded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Main,
    Test,
}

impl Kind {
    fn attribute(self) -> &'static str {
        match self {
            Self::Main => "#[coreloop::main]",
            Self::Test => "#[coreloop::test]",
        }
    }
}

/// Expands an attribute on `item`.
pub(crate) fn expand(kind: Kind, options: TokenStream, item: TokenStream) -> TokenStream {
    let Some(function) = Function::parse(item.clone()) else {
        let message = format!("{} belongs on an async function", kind.attribute());
        let tokens: Vec<TokenTree> = item.clone().into_iter().collect();
        return Error::spanning(&tokens, message).beside(item);
    };
    if let Err(error) = check(kind, &function) {
        return error.beside(without_runtime(&function));
    }
    match Options::parse(options, &["start_paused", "crate"]) {
        Ok(options) => with_runtime(kind, &options, &function),
        Err(error) => error.beside(with_runtime(kind, &Options::default(), &function)),
    }
}

fn check(kind: Kind, function: &Function) -> Result<()> {
    let attribute = kind.attribute();
    if function.qualifier("async").is_none() {
        return Err(Error::new(
            function.keyword.span(),
            format!("the `async` keyword is missing: {attribute} belongs on an async function"),
        ));
    }
    function.check_is_ordinary(attribute)?;
    let parameters: Vec<TokenTree> = function.parameters.stream().into_iter().collect();
    if !parameters.is_empty() {
        return Err(Error::spanning(
            &parameters,
            format!("a function under {attribute} takes no arguments"),
        ));
    }
    if function.is_generic() {
        return Err(Error::spanning(
            &function.generics,
            format!("a function under {attribute} takes no generic parameters"),
        ));
    }
    if kind == Kind::Test
        && let Some(second) = function.attributes.iter().find(|other| is_test(other))
    {
        return Err(Error::spanning(
            second,
            "this is a second test attribute: the test would run twice",
        ));
    }
    Ok(())
}

/// Returns `true` if an attribute is `#[test]`, by any of its names in std, or the test
/// attribute of another runtime.
fn is_test([_, brackets]: &[TokenTree; 2]) -> bool {
    let TokenTree::Group(brackets) = brackets else {
        return false;
    };
    let content = flatten(brackets.stream());
    let is_path = content
        .iter()
        .all(|token| matches!(token, TokenTree::Ident(_)) || is_mark(token, ':'));
    is_path && content.last().is_some_and(|last| is_word(last, "test"))
}

fn with_runtime(kind: Kind, options: &Options, function: &Function) -> TokenStream {
    let attributes = function.attributes.iter().flatten().cloned().collect();
    let here = Span::call_site();
    let facade = [("facade", options.crate_path())];
    let (test, builder) = match kind {
        Kind::Main => (
            TokenStream::new(),
            write("#facade::__enter()", here, &facade),
        ),
        Kind::Test => (
            write("#[::core::prelude::v1::test]", here, &[]),
            write("#facade::runtime::Builder::new()", here, &facade),
        ),
    };
    let source = r##"
        #attributes
        #test
        #visibility #outer {
            #[allow(clippy::unused_async, reason = "the attribute asks for an async function")]
            #inner #body

            #[allow(
                unreachable_code,
                clippy::diverging_sub_expression,
                clippy::expect_used,
                clippy::needless_return,
                reason = "the function may return `!`, and without a runtime nothing can run it"
            )]
            {
                return #builder
                    #calls
                    .build()
                    .expect("failed to build the runtime")
                    .block_on(#name());
            }
        }
    "##;
    let holes = [
        ("attributes", attributes),
        ("test", test),
        ("visibility", function.visibility.iter().cloned().collect()),
        ("outer", function.blocking_signature()),
        ("inner", function.signature()),
        ("body", TokenTree::from(function.body.clone()).into()),
        ("builder", builder),
        ("calls", options.builder_calls()),
        ("name", TokenTree::from(function.name.clone()).into()),
    ];
    write(source, here, &holes)
}

/// Expands a function that cannot have a runtime: enough for its name to resolve and for
/// its body to be checked, so that the only error reported is the attribute's.
fn without_runtime(function: &Function) -> TokenStream {
    let source = if function.has_receiver() || function.qualifier("async").is_none() {
        "#visibility #signature #body"
    } else {
        "#visibility fn #name() { #signature #body }"
    };
    let holes = [
        ("visibility", function.visibility.iter().cloned().collect()),
        ("name", TokenTree::from(function.name.clone()).into()),
        ("signature", function.signature()),
        ("body", TokenTree::from(function.body.clone()).into()),
    ];
    write(source, Span::call_site(), &holes)
}
