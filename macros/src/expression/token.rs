//! The tokens that the scanner reads.
//!
//! A token holds what the scanner has to know of a token of `proc_macro`, and no more.
//! Unit tests can make it, while the types of `proc_macro` panic outside of a macro.

use proc_macro::{Delimiter, Spacing, TokenTree};

/// One token, or a group and all that is in it.
#[derive(Clone, Debug)]
pub(crate) enum Token {
    /// A keyword or an identifier.
    Word(String),
    /// A character of punctuation, and whether the next one follows without a space.
    Mark { mark: char, joint: bool },
    /// A literal, and whether its last character is a dot, as in the `0.` of
    /// `pair.0. 1`.
    Literal { dot: bool },
    /// A group in visible delimiters.
    Group(Delimiter),
    /// A group in invisible delimiters: an expression or a type that a fragment of
    /// `macro_rules!` matched.
    Fragment { is_path: bool },
}

impl From<&TokenTree> for Token {
    fn from(token: &TokenTree) -> Self {
        match token {
            TokenTree::Ident(word) => Self::Word(word.to_string()),
            TokenTree::Punct(punct) => Self::Mark {
                mark: punct.as_char(),
                joint: punct.spacing() == Spacing::Joint,
            },
            TokenTree::Literal(literal) => Self::Literal {
                dot: literal.to_string().ends_with('.'),
            },
            TokenTree::Group(group) if group.delimiter() == Delimiter::None => {
                let content: Vec<TokenTree> = group.stream().into_iter().collect();
                let content: Vec<Self> = content.iter().map(Self::from).collect();
                Self::fragment(&content)
            }
            TokenTree::Group(group) => Self::Group(group.delimiter()),
        }
    }
}

impl Token {
    pub(super) fn fragment(content: &[Self]) -> Self {
        match content {
            // A block has to be known as one, because `if` and loops need it.
            [block @ Self::Group(Delimiter::Brace)] => block.clone(),
            _ => Self::Fragment {
                is_path: super::is_path(content),
            },
        }
    }
}
