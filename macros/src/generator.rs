//! The sugar of `stream!` and `try_stream!`: writes each `yield item` as a call
//! on the generator's end.
//!
//! ```text
//! yield item   →   match co.yield_(item).await { Ok(answer) => answer, Err(_) => return Ok(()) }
//! ```
//!
//! It looks at tokens only, and nothing depends on it: a `yield` that it wrote
//! where it does not belong is a call that does not compile or that panics, as
//! if it had been written by hand.

use std::cell::LazyCell;

use proc_macro::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};

use crate::error::{Error, Result};
use crate::expression::{self, Token};
use crate::template::write;
use crate::tokens::{is_mark, is_word};

/// Expands `$crate name body…`, where `name` is that of the function to call.
pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let mut input = input.into_iter();
    let (Some(facade), Some(function)) = (input.next(), input.next()) else {
        let error = Error::new(Span::call_site(), "this macro is for `stream!` alone");
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

/// What each `yield` is written with.
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
                    "async" => refuse_yield(rest, "an async block or closure of its own")?,
                    "fn" => refuse_yield(rest, "a function of its own")?,
                    _ if is_generator_macro(token, rest) => {
                        // The exclamation mark, and the body, which sees to itself.
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

/// The operand of the `yield` that `tokens` follow, which may be nothing. `seen`
/// is what the scanner sees of them.
fn split_operand<'a>(tokens: &'a [TokenTree], seen: &[Token]) -> Result<&'a [TokenTree]> {
    match expression::operand(seen) {
        Ok(length) => Ok(&tokens[..length]),
        Err(expected) => Err(match tokens.get(expected.at) {
            Some(token) => Error::new(token.span(), expected.what),
            // Where the tokens end there is only the last one to point at.
            None => Error::spanning(
                &tokens[tokens.len() - 1..],
                format!("unexpected end of input, {}", expected.what),
            ),
        }),
    }
}

/// An error if there is a `yield` in the next braces.
fn refuse_yield(tokens: &[TokenTree], place: &str) -> Result<()> {
    let braces = tokens.iter().find_map(|token| match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(group),
        _ => None,
    });
    let Some(at) = braces.and_then(|group| find_yield(group.stream())) else {
        return Ok(());
    };
    let message = format!(
        "this `yield` is in {place}, which the generator is not: yield in the body of `stream!` \
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

/// Whether `word` and what follows is a macro that has its own `yield`s.
fn is_generator_macro(word: &TokenTree, rest: &[TokenTree]) -> bool {
    (is_word(word, "stream") || is_word(word, "try_stream"))
        && matches!(rest, [mark, TokenTree::Group(_), ..] if is_mark(mark, '!'))
}
