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

use proc_macro2::{Group, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Meta, Path, Safety, Signature, Visibility};

use crate::options::Options;

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

/// A function whose body was not looked at: what is wrong in there is for
/// rustc to say.
struct Function {
    attributes: Vec<Attribute>,
    visibility: Visibility,
    signature: Signature,
    body: Group,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        Ok(Self {
            attributes: input.call(Attribute::parse_outer)?,
            visibility: input.parse()?,
            signature: input.parse()?,
            body: match input.parse()? {
                TokenTree::Group(body) => body,
                other => return Err(syn::Error::new(other.span(), "expected a body")),
            },
        })
    }
}

/// Expands an attribute on `item`.
pub(crate) fn expand(kind: Kind, options: TokenStream, item: &TokenStream) -> TokenStream {
    let Ok(function) = syn::parse2::<Function>(item.clone()) else {
        let message = format!("{} belongs on an async function", kind.attribute());
        let error = syn::Error::new_spanned(item, message).into_compile_error();
        return quote!(#error #item);
    };
    if let Err(error) = check(kind, &function) {
        let error = error.into_compile_error();
        let rest = without_runtime(&function);
        return quote!(#error #rest);
    }
    match syn::parse2(options) {
        Ok(options) => with_runtime(kind, &options, &function),
        Err(error) => {
            let error = error.into_compile_error();
            let rest = with_runtime(kind, &Options::default(), &function);
            quote!(#error #rest)
        }
    }
}

fn check(kind: Kind, function: &Function) -> syn::Result<()> {
    let attribute = kind.attribute();
    let signature = &function.signature;
    if signature.asyncness.is_none() {
        return Err(syn::Error::new_spanned(
            signature.fn_token,
            format!("the `async` keyword is missing: {attribute} belongs on an async function"),
        ));
    }
    if signature.receiver().is_some() {
        return Err(syn::Error::new_spanned(
            &signature.inputs,
            format!("{attribute} belongs on a free function, not on a method"),
        ));
    }
    if !signature.inputs.is_empty() {
        return Err(syn::Error::new_spanned(
            &signature.inputs,
            format!("a function under {attribute} takes no arguments"),
        ));
    }
    if !signature.generics.params.is_empty() {
        return Err(syn::Error::new_spanned(
            &signature.generics,
            format!("a function under {attribute} takes no generic parameters"),
        ));
    }
    if let Safety::Unsafe(unsafety) = &signature.safety {
        return Err(syn::Error::new_spanned(
            unsafety,
            format!("a function under {attribute} cannot be `unsafe`"),
        ));
    }
    if let Some(abi) = &signature.abi {
        return Err(syn::Error::new_spanned(
            abi,
            format!("a function under {attribute} cannot have an ABI"),
        ));
    }
    if kind == Kind::Test
        && let Some(second) = function.attributes.iter().find(|other| is_test(other))
    {
        return Err(syn::Error::new_spanned(
            second,
            "this is a second test attribute: the test would run twice",
        ));
    }
    Ok(())
}

/// Whether an attribute is `#[test]`, by any of the names std gives it, or
/// another runtime's.
fn is_test(attribute: &Attribute) -> bool {
    let Meta::Path(Path { segments, .. }) = &attribute.meta else {
        return false;
    };
    segments.last().is_some_and(|last| last.ident == "test")
}

fn with_runtime(kind: Kind, options: &Options, function: &Function) -> TokenStream {
    let Function {
        attributes,
        visibility,
        signature,
        body,
    } = function;
    let outer = Signature {
        asyncness: None,
        ..signature.clone()
    };
    let name = &signature.ident;
    let test = match kind {
        Kind::Main => TokenStream::new(),
        Kind::Test => quote!(#[::core::prelude::v1::test]),
    };
    let crate_path = options.crate_path();
    let calls = options.builder_calls();
    quote! {
        #(#attributes)*
        #test
        #visibility #outer {
            #[allow(clippy::unused_async, reason = "the attribute asks for an async function")]
            #signature #body

            #[allow(
                unreachable_code,
                clippy::diverging_sub_expression,
                clippy::expect_used,
                clippy::needless_return,
                reason = "the function may return `!`, and without a runtime nothing can run it"
            )]
            {
                return #crate_path::runtime::Builder::new()
                    #calls
                    .build()
                    .expect("failed to build the runtime")
                    .block_on(#name());
            }
        }
    }
}

/// What is left of a function that cannot have a runtime: enough for its name
/// to resolve and for its body to be checked, so that the one error reported
/// is the attribute's.
fn without_runtime(function: &Function) -> TokenStream {
    let Function {
        visibility,
        signature,
        body,
        ..
    } = function;
    if signature.receiver().is_some() || signature.asyncness.is_none() {
        let signature = signature.to_token_stream();
        return quote!(#visibility #signature #body);
    }
    let name = &signature.ident;
    quote! {
        #visibility fn #name() {
            #signature #body
        }
    }
}
