//! Turns an async function into an entry point.
//!
//! The function is kept as it was written, inside an ordinary one of the same
//! name that blocks on it:
//!
//! ```text
//! fn name() -> T {
//!     async fn name() -> T { … }
//!     return ::coreloop::runtime::Builder::new().build().expect("…").block_on(name());
//! }
//! ```
//!
//! Because the inner item is an async fn and not an async block, the compiler
//! knows its return type before it reads the body: coercions such as
//! `Box<dyn Error>` work, and what does not type-check is reported where it
//! was written and in the words rustc uses for any async fn. The expansion
//! brings no name into scope that the function did not have.

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
        return report(Error::spanning(&tokens, message), item);
    };
    if let Err(error) = check(kind, &function) {
        return report(error, without_runtime(&function));
    }
    match Options::parse(options) {
        Ok(options) => with_runtime(kind, &options, &function),
        Err(error) => report(error, with_runtime(kind, &Options::default(), &function)),
    }
}

/// Reports the error, together with the `rest`, which is compiled nevertheless.
fn report(error: Error, rest: TokenStream) -> TokenStream {
    let mut tokens = error.into_compile_error();
    tokens.extend(rest);
    tokens
}

fn check(kind: Kind, function: &Function) -> Result<()> {
    let attribute = kind.attribute();
    if function.qualifier("async").is_none() {
        return Err(Error::new(
            function.keyword.span(),
            format!("the `async` keyword is missing: {attribute} belongs on an async function"),
        ));
    }
    let parameters: Vec<TokenTree> = function.parameters.stream().into_iter().collect();
    if function.has_receiver() {
        return Err(Error::spanning(
            &parameters,
            format!("{attribute} belongs on a free function, not on a method"),
        ));
    }
    if !parameters.is_empty() {
        return Err(Error::spanning(
            &parameters,
            format!("a function under {attribute} takes no arguments"),
        ));
    }
    // Between empty brackets there are no parameters.
    if function.generics.len() > 2 {
        return Err(Error::spanning(
            &function.generics,
            format!("a function under {attribute} takes no generic parameters"),
        ));
    }
    if let Some(unsafety) = function.qualifier("unsafe") {
        return Err(Error::new(
            unsafety.span(),
            format!("a function under {attribute} cannot be `unsafe`"),
        ));
    }
    if let Some(abi) = function.abi() {
        return Err(Error::spanning(
            abi,
            format!("a function under {attribute} cannot have an ABI"),
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
    let test = match kind {
        Kind::Main => TokenStream::new(),
        Kind::Test => write("#[::core::prelude::v1::test]", Span::call_site(), &[]),
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
                return #facade::runtime::Builder::new()
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
        ("facade", options.crate_path()),
        ("calls", options.builder_calls()),
        ("name", TokenTree::from(function.name.clone()).into()),
    ];
    write(source, Span::call_site(), &holes)
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
