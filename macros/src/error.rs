//! Errors, which know the tokens that they are about.

use proc_macro::{Delimiter, Group, Literal, Span, TokenStream, TokenTree};

use crate::template::write;

/// An error message and its place in the source.
pub(crate) struct Error {
    message: String,
    start: Span,
    end: Span,
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error at one place.
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            start: span,
            end: span,
        }
    }

    /// An error about all of `tokens`.
    pub(crate) fn spanning(tokens: &[TokenTree], message: impl Into<String>) -> Self {
        let span = |token: Option<&TokenTree>| token.map_or_else(Span::call_site, TokenTree::span);
        Self {
            message: message.into(),
            start: span(tokens.first()),
            end: span(tokens.last()),
        }
    }

    /// Reports the error, together with the `rest`, which is compiled nevertheless.
    pub(crate) fn beside(self, rest: TokenStream) -> TokenStream {
        let mut tokens = self.into_compile_error();
        tokens.extend(rest);
        tokens
    }

    /// The call of `compile_error!` that reports the error.
    ///
    /// Rustc underlines what is between the first token of the call and the last,
    /// so these get the places where the error starts and ends.
    pub(crate) fn into_compile_error(self) -> TokenStream {
        let mut message = Literal::string(&self.message);
        message.set_span(self.end);
        let mut braces = Group::new(Delimiter::Brace, TokenTree::Literal(message).into());
        braces.set_span(self.end);
        let mut call = write("::core::compile_error!", self.start, &[]);
        call.extend([TokenTree::Group(braces)]);
        call
    }
}
