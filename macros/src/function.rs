//! Takes a function apart, as far as the attributes need to.

use proc_macro::{Delimiter, Group, Ident, TokenStream, TokenTree};

use crate::error::{Error, Result};
use crate::tokens::{flatten, is_group, is_mark, is_word};

/// A function whose body, types and where-clauses are not parsed, because rustc reports
/// the errors in them.
pub(crate) struct Function {
    /// Each `#[…]`, which is two tokens.
    pub(crate) attributes: Vec<[TokenTree; 2]>,
    pub(crate) visibility: Vec<TokenTree>,
    /// The words before `fn`, with the name of the ABI.
    pub(crate) qualifiers: Vec<TokenTree>,
    /// The `fn` itself.
    pub(crate) keyword: Ident,
    pub(crate) name: Ident,
    /// The generic parameters, with the angle brackets.
    pub(crate) generics: Vec<TokenTree>,
    pub(crate) parameters: Group,
    /// The return type and the where-clause.
    pub(crate) output: Vec<TokenTree>,
    pub(crate) body: Group,
}

impl Function {
    /// Parses `item`, or returns `None` if it is not a function with a body.
    pub(crate) fn parse(item: TokenStream) -> Option<Self> {
        let mut tokens: Vec<TokenTree> = item.into_iter().collect();
        let Some(TokenTree::Group(body)) = tokens.pop() else {
            return None;
        };
        let mut tokens = tokens.into_iter().peekable();

        let mut attributes = Vec::new();
        while let Some(hash) = tokens.next_if(|token| is_mark(token, '#')) {
            attributes.push([hash, tokens.next()?]);
        }

        let mut visibility = Vec::new();
        // A group in invisible delimiters is what a `$vis` of `macro_rules!` matched.
        visibility.extend(tokens.next_if(|token| is_group(token, Delimiter::None)));
        if let Some(public) = tokens.next_if(|token| is_word(token, "pub")) {
            visibility.push(public);
            visibility.extend(tokens.next_if(|token| is_group(token, Delimiter::Parenthesis)));
        }

        let mut qualifiers = Vec::new();
        let keyword = loop {
            let token = tokens.next()?;
            match &token {
                TokenTree::Ident(word) => match word.to_string().as_str() {
                    "fn" => break word.clone(),
                    "const" | "async" | "unsafe" => qualifiers.push(token),
                    "extern" => {
                        qualifiers.push(token);
                        qualifiers.extend(tokens.next_if(|next| !is_word(next, "fn")));
                    }
                    _ => return None,
                },
                _ => return None,
            }
        };
        let TokenTree::Ident(name) = tokens.next()? else {
            return None;
        };
        let mut generics = Vec::new();
        if tokens.peek().is_some_and(|token| is_mark(token, '<')) {
            take_angle_brackets(&mut tokens, &mut generics);
        }
        let parameters = match tokens.next()? {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis => group,
            _ => return None,
        };
        Some(Self {
            attributes,
            visibility,
            qualifiers,
            keyword,
            name,
            generics,
            parameters,
            output: tokens.collect(),
            body,
        })
    }

    /// The qualifier `word`, if the function has it.
    pub(crate) fn qualifier(&self, word: &str) -> Option<&TokenTree> {
        self.qualifiers.iter().find(|token| is_word(token, word))
    }

    /// The `extern` and the name of the ABI.
    pub(crate) fn abi(&self) -> Option<&[TokenTree]> {
        let start = self
            .qualifiers
            .iter()
            .position(|token| is_word(token, "extern"))?;
        Some(&self.qualifiers[start..])
    }

    /// Returns an error if `attribute` cannot be on the function because it is not an
    /// ordinary, free one.
    pub(crate) fn check_is_ordinary(&self, attribute: &str) -> Result<()> {
        if self.has_receiver() {
            let parameters: Vec<TokenTree> = self.parameters.stream().into_iter().collect();
            return Err(Error::spanning(
                &parameters,
                format!("{attribute} belongs on a free function, not on a method"),
            ));
        }
        if let Some(unsafety) = self.qualifier("unsafe") {
            return Err(Error::new(
                unsafety.span(),
                format!("a function under {attribute} cannot be `unsafe`"),
            ));
        }
        if let Some(abi) = self.abi() {
            return Err(Error::spanning(
                abi,
                format!("a function under {attribute} cannot have an ABI"),
            ));
        }
        Ok(())
    }

    /// Returns whether the function has generic parameters. Between empty brackets there are
    /// none.
    pub(crate) fn is_generic(&self) -> bool {
        self.generics.len() > 2
    }

    /// Returns the parameters, each with its pattern, a colon and its type.
    pub(crate) fn split_parameters(&self) -> Vec<Vec<TokenTree>> {
        let mut parameters = vec![Vec::new()];
        let mut tokens = flatten(self.parameters.stream()).into_iter().peekable();
        while let Some(token) = tokens.peek() {
            let parameter = parameters.last_mut().expect("there is a first one");
            if is_mark(token, '<') {
                take_angle_brackets(&mut tokens, parameter);
            } else if is_mark(token, ',') {
                tokens.next();
                parameters.push(Vec::new());
            } else {
                parameter.extend(tokens.next());
            }
        }
        // After a last comma, or if there are no parameters at all.
        parameters.pop_if(|last| last.is_empty());
        parameters
    }

    /// Everything from the qualifiers to the where-clause.
    pub(crate) fn signature(&self) -> TokenStream {
        self.qualifiers.iter().cloned().chain(self.rest()).collect()
    }

    /// The same without the `async`.
    pub(crate) fn blocking_signature(&self) -> TokenStream {
        let others = self
            .qualifiers
            .iter()
            .filter(|token| !is_word(token, "async"));
        others.cloned().chain(self.rest()).collect()
    }

    /// The signature without its qualifiers.
    fn rest(&self) -> impl Iterator<Item = TokenTree> + '_ {
        [self.keyword.clone().into(), self.name.clone().into()]
            .into_iter()
            .chain(self.generics.iter().cloned())
            .chain([self.parameters.clone().into()])
            .chain(self.output.iter().cloned())
    }

    /// Returns whether the first of the parameters is a `self`.
    pub(crate) fn has_receiver(&self) -> bool {
        let mut tokens = self.parameters.stream().into_iter().peekable();
        while tokens.next_if(|token| is_mark(token, '#')).is_some() {
            tokens.next();
        }
        if tokens.next_if(|token| is_mark(token, '&')).is_some()
            && tokens.next_if(|token| is_mark(token, '\'')).is_some()
        {
            // The name of the lifetime.
            tokens.next();
        }
        tokens.next_if(|token| is_word(token, "mut"));
        tokens.next().is_some_and(|token| is_word(&token, "self"))
    }
}

/// Moves angle brackets and what is between them from `tokens` to `taken`.
fn take_angle_brackets(tokens: &mut impl Iterator<Item = TokenTree>, taken: &mut Vec<TokenTree>) {
    let mut depth = 0_usize;
    for token in tokens {
        let arrow = taken.last().is_some_and(|last| is_mark(last, '-'));
        if is_mark(&token, '<') {
            depth += 1;
        } else if is_mark(&token, '>') && !arrow {
            depth -= 1;
        }
        taken.push(token);
        if depth == 0 {
            return;
        }
    }
}
