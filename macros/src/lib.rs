//! The attributes of [coreloop](https://docs.rs/coreloop), `#[coreloop::main]`,
//! `#[coreloop::test]` and `#[coreloop::job]`, and the macro that `coreloop::stream!` expands
//! to.
//!
//! Programs depend on the facade, which re-exports the attributes and documents them.
#![forbid(unsafe_code)]
// Their examples need the facade. As a dependency of this crate, even of its tests alone,
// it would be compiled once more, for the host, by every `cargo test`.
#![expect(missing_docs, reason = "the facade documents the attributes")]

mod entry;
mod error;
mod expression;
mod function;
mod generator;
mod job;
mod options;
mod template;
mod tokens;

use proc_macro::TokenStream;

#[proc_macro_attribute]
pub fn main(options: TokenStream, item: TokenStream) -> TokenStream {
    entry::expand(entry::Kind::Main, options, item)
}

#[proc_macro_attribute]
pub fn test(options: TokenStream, item: TokenStream) -> TokenStream {
    entry::expand(entry::Kind::Test, options, item)
}

#[proc_macro_attribute]
pub fn job(options: TokenStream, item: TokenStream) -> TokenStream {
    job::expand(options, item)
}

/// The macro that `stream!` and `try_stream!` of the facade expand to.
#[doc(hidden)]
#[proc_macro]
pub fn __generator(input: TokenStream) -> TokenStream {
    generator::expand(input)
}
