//! Tokens made of Rust source with holes in it.

use proc_macro::{Group, Span, TokenStream, TokenTree};

/// Writes `source` with all of its tokens at `span`, and in place of each `#name`
/// the tokens that `holes` has under that name, which stay where they are.
///
/// # Panics
///
/// Panics if `source` is not made of Rust tokens or has a hole that nothing fills.
pub(crate) fn write(source: &str, span: Span, holes: &[(&str, TokenStream)]) -> TokenStream {
    let source = source.parse().expect("a template is made of Rust tokens");
    fill(source, span, holes)
}

fn fill(source: TokenStream, span: Span, holes: &[(&str, TokenStream)]) -> TokenStream {
    let mut written = Vec::new();
    let mut source = source.into_iter().peekable();
    while let Some(mut token) = source.next() {
        match &mut token {
            TokenTree::Punct(mark) if mark.as_char() == '#' => {
                if let Some(TokenTree::Ident(name)) =
                    source.next_if(|next| matches!(next, TokenTree::Ident(_)))
                {
                    let name = name.to_string();
                    let hole = holes.iter().find(|(hole, _)| *hole == name);
                    let (_, tokens) = hole.expect("every hole is filled");
                    written.extend(tokens.clone());
                    continue;
                }
            }
            TokenTree::Group(group) => {
                *group = Group::new(group.delimiter(), fill(group.stream(), span, holes));
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
        token.set_span(span);
        written.push(token);
    }
    written.into_iter().collect()
}
