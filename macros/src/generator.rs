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

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::Expr;
use syn::parse::{ParseStream, Parser};
use syn::spanned::Spanned;

/// Expands `$crate name body…`, where `name` is that of the function to call.
pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let mut input = input.into_iter();
    let (Some(facade), Some(function)) = (input.next(), input.next()) else {
        return quote!(::core::compile_error!("this macro is for `stream!` alone"););
    };
    let generator = Generator {
        co: Ident::new("co", Span::mixed_site()),
    };
    let body = match generator.rewrite(input.collect()) {
        Ok(body) => body,
        Err(error) => return error.into_compile_error(),
    };
    let error = if function.to_string() == "stream" {
        quote!(#facade::stream::Closed)
    } else {
        quote!(_)
    };
    let co = &generator.co;
    quote! {
        #facade::stream::#function(async move |mut #co| -> ::core::result::Result<(), #error> {
            let () = { #body };
            #[allow(
                unreachable_code,
                clippy::needless_return,
                reason = "the body may have no end"
            )]
            return ::core::result::Result::Ok(());
        })
    }
}

/// What each `yield` is written with.
struct Generator {
    co: Ident,
}

impl Generator {
    fn rewrite(&self, tokens: TokenStream) -> syn::Result<TokenStream> {
        let mut written = TokenStream::new();
        let mut tokens: Vec<TokenTree> = tokens.into_iter().collect();
        tokens.reverse();
        while let Some(token) = tokens.pop() {
            match &token {
                TokenTree::Ident(word) if word == "yield" => {
                    let rest = tokens.drain(..).rev().collect();
                    let (item, rest) = split_operand(rest)?;
                    tokens.extend(rest.into_iter().collect::<Vec<_>>().into_iter().rev());
                    written.extend(self.write_yield(word.span(), item)?);
                    continue;
                }
                TokenTree::Ident(word) if word == "async" => {
                    refuse_yield(&tokens, "an async block or closure of its own")?;
                }
                TokenTree::Ident(word) if word == "fn" => {
                    refuse_yield(&tokens, "a function of its own")?;
                }
                TokenTree::Ident(word) if is_generator_macro(word, &tokens) => {
                    written.extend([token]);
                    // The exclamation mark, and the body, which sees to itself.
                    written.extend(tokens.pop());
                    written.extend(tokens.pop());
                    continue;
                }
                TokenTree::Group(group) => {
                    let inside = self.rewrite(group.stream())?;
                    let mut rewritten = Group::new(group.delimiter(), inside);
                    rewritten.set_span(group.span());
                    written.extend([TokenTree::Group(rewritten)]);
                    continue;
                }
                TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            written.extend([token]);
        }
        Ok(written)
    }

    fn write_yield(&self, span: Span, item: TokenStream) -> syn::Result<TokenStream> {
        let co = &self.co;
        let item = self.rewrite(item)?;
        let name = Ident::new("item", Span::mixed_site().located_at(item.span()));
        // Where the `yield` stands, for errors and for the panic that names it.
        let call = quote_spanned! {span=> .yield_(#name).await };
        // By `match`, so that what the item borrows lives until it is consumed.
        Ok(quote_spanned! {Span::mixed_site().located_at(span)=>
            {
                match #item {
                    #name => match #co #call {
                        ::core::result::Result::Ok(answer) => answer,
                        ::core::result::Result::Err(_) => {
                            return ::core::result::Result::Ok(());
                        }
                    },
                }
            }
        })
    }
}

/// Splits what follows a `yield` into its operand and the rest.
fn split_operand(tokens: TokenStream) -> syn::Result<(TokenStream, TokenStream)> {
    let next = tokens.clone().into_iter().next();
    let ends = match &next {
        None => true,
        Some(TokenTree::Punct(mark)) => matches!(mark.as_char(), ';' | ',' | '?' | '.'),
        Some(_) => false,
    };
    if ends {
        return Ok((quote!(()), tokens));
    }
    let split = |input: ParseStream<'_>| {
        let operand: Expr = input.parse()?;
        let rest: TokenStream = input.parse()?;
        Ok((operand.into_token_stream(), rest))
    };
    split.parse2(tokens)
}

/// An error if there is a `yield` in the next braces. `tokens` has the next last.
fn refuse_yield(tokens: &[TokenTree], place: &str) -> syn::Result<()> {
    let braces = tokens.iter().rev().find_map(|token| match token {
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
    Err(syn::Error::new(at, message))
}

fn find_yield(tokens: TokenStream) -> Option<Span> {
    let mut tokens: Vec<TokenTree> = tokens.into_iter().collect();
    tokens.reverse();
    while let Some(token) = tokens.pop() {
        match token {
            TokenTree::Ident(word) if word == "yield" => return Some(word.span()),
            TokenTree::Ident(word) if is_generator_macro(&word, &tokens) => {
                tokens.truncate(tokens.len() - 2);
            }
            TokenTree::Group(group) => {
                if let Some(at) = find_yield(group.stream()) {
                    return Some(at);
                }
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
    None
}

/// Whether `word` and what follows is a macro that has its own `yield`s.
/// `tokens` has the next last.
fn is_generator_macro(word: &Ident, tokens: &[TokenTree]) -> bool {
    (word == "stream" || word == "try_stream")
        && matches!(
            tokens,
            [.., TokenTree::Group(_), TokenTree::Punct(mark)] if mark.as_char() == '!'
        )
}
