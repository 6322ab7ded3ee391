//! The sugar of `stream!` and `try_stream!`: rewrites each `yield item` as a call
//! on the generator's `Co`.
//!
//! ```text
//! yield item   →   match co.yield_(item).await { Ok(answer) => answer, Err(_) => return Ok(()) }
//! ```
//!
//! It sees only tokens, and no invariant depends on it: a `yield` that it rewrites in a
//! wrong place becomes a call that does not compile or that panics, as if the user had
//! written the call.

use std::cell::LazyCell;

use proc_macro::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};

use crate::error::{Error, Result};
use crate::expression::{self, Token};
use crate::template::write;
use crate::tokens::{is_mark, is_word};

/// Expands `$crate name body…`, where `name` names the function to call.
pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let mut input = input.into_iter();
    let (Some(facade), Some(function)) = (input.next(), input.next()) else {
        let error = Error::new(Span::call_site(), "only `stream!` may use this macro");
        return error.into_compile_error();
    };
    let generator = Generator {
        co: Ident::new("co", Span::mixed_site()),
    };
    let body = match generator.rewrite(input.collect()) {
        Ok(body) => body,
        Err(error) => return error.into_compile_error(),
    };
    let error = if is_word(&function, "stream") {
        "#facade::stream::Closed"
    } else {
        "_"
    };
    let source = format!(
        r##"
        #facade::stream::#function(async move |mut #co| -> ::core::result::Result<(), {error}> {{
            let () = {{ #body }};
            #[allow(
                unreachable_code,
                clippy::needless_return,
                reason = "the body may have no end"
            )]
            return ::core::result::Result::Ok(());
        }})
        "##
    );
    let holes = [
        ("facade", facade.into()),
        ("function", function.into()),
        ("co", generator.co()),
        ("body", body),
    ];
    write(&source, Span::call_site(), &holes)
}

/// The rewriting of `yield`, with the name of the variable that holds the `Co`.
struct Generator {
    co: Ident,
}

impl Generator {
    fn co(&self) -> TokenStream {
        TokenTree::from(self.co.clone()).into()
    }

    fn rewrite(&self, tokens: TokenStream) -> Result<TokenStream> {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let seen = LazyCell::new(|| tokens.iter().map(Token::from).collect::<Vec<_>>());
        let mut written = Vec::with_capacity(tokens.len());
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            at += 1;
            let rest = &tokens[at..];
            match token {
                TokenTree::Ident(word) => match word.to_string().as_str() {
                    "yield" => {
                        let operand = split_operand(rest, &seen[at..])?;
                        at += operand.len();
                        written.extend(self.write_yield(word.span(), operand)?);
                        continue;
                    }
                    "async" => refuse_yield(rest, "an async block or closure")?,
                    "fn" => refuse_yield(rest, "a nested function")?,
                    _ if is_generator_macro(token, rest) => {
                        // The exclamation mark and the body, which that macro expands.
                        written.extend_from_slice(&tokens[at - 1..at + 2]);
                        at += 2;
                        continue;
                    }
                    _ => {}
                },
                TokenTree::Group(group) => {
                    let inside = self.rewrite(group.stream())?;
                    let mut rewritten = Group::new(group.delimiter(), inside);
                    rewritten.set_span(group.span());
                    written.push(TokenTree::Group(rewritten));
                    continue;
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            written.push(token.clone());
        }
        Ok(written.into_iter().collect())
    }

    fn write_yield(&self, span: Span, item: &[TokenTree]) -> Result<TokenStream> {
        let at_item = item.first().map_or(span, TokenTree::span);
        let name = Ident::new("item", Span::mixed_site().located_at(at_item));
        let name = TokenStream::from(TokenTree::Ident(name));
        let item = if item.is_empty() {
            write("()", Span::call_site(), &[])
        } else {
            self.rewrite(item.iter().cloned().collect())?
        };
        // Where the `yield` stands, for errors and for the panic that names it.
        let call = write(".yield_(#name).await", span, &[("name", name.clone())]);
        let holes = [
            ("item", item),
            ("name", name),
            ("co", self.co()),
            ("call", call),
        ];
        // By `match`, so that what the item borrows lives until it is consumed. In
        // parentheses, because the item may be the literal of a struct.
        Ok(write(
            "{
                match (#item) {
                    #name => match #co #call {
                        ::core::result::Result::Ok(answer) => answer,
                        ::core::result::Result::Err(_) => {
                            return ::core::result::Result::Ok(());
                        }
                    },
                }
            }",
            Span::mixed_site().located_at(span),
            &holes,
        ))
    }
}

/// Returns the operand of the `yield` that `tokens` follow, which may be empty. `seen`
/// contains the same tokens in the form that the scanner reads.
fn split_operand<'a>(tokens: &'a [TokenTree], seen: &[Token]) -> Result<&'a [TokenTree]> {
    match expression::operand(seen) {
        Ok(length) => Ok(&tokens[..length]),
        Err(expected) => Err(match tokens.get(expected.at) {
            Some(token) => Error::new(token.span(), expected.what),
            // At the end of the tokens, the error points at the last one.
            None => Error::spanning(
                &tokens[tokens.len() - 1..],
                format!("unexpected end of input, {}", expected.what),
            ),
        }),
    }
}

/// Returns an error if the next braces contain a `yield`.
fn refuse_yield(tokens: &[TokenTree], place: &str) -> Result<()> {
    let braces = tokens.iter().find_map(|token| match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(group),
        _ => None,
    });
    let Some(at) = braces.and_then(|group| find_yield(group.stream())) else {
        return Ok(());
    };
    let message = format!(
        "this `yield` is in {place}, and not in the generator: yield in the body of `stream!` \
         itself, or write a generator with the function `stream`"
    );
    Err(Error::new(at, message))
}

fn find_yield(tokens: TokenStream) -> Option<Span> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        if is_word(token, "yield") {
            return Some(token.span());
        }
        if is_generator_macro(token, &tokens[at..]) {
            at += 2;
        } else if let TokenTree::Group(group) = token
            && let Some(found) = find_yield(group.stream())
        {
            return Some(found);
        }
    }
    None
}

/// Returns `true` if `word` and `rest` begin with a macro that has its own `yield`s.
fn is_generator_macro(word: &TokenTree, rest: &[TokenTree]) -> bool {
    (is_word(word, "stream") || is_word(word, "try_stream"))
        && matches!(rest, [mark, TokenTree::Group(_), ..] if is_mark(mark, '!'))
}
