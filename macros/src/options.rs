//! The options in the parentheses of an attribute.

use std::iter::Peekable;
use std::vec::IntoIter;

use proc_macro::{Ident, Literal, Span, TokenStream, TokenTree};

use crate::error::{Error, Result};
use crate::template::write;
use crate::tokens::{flatten, is_mark};

/// The keywords that cannot be part of a path.
const KEYWORDS: [&str; 48] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let",
    "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return",
    "static", "struct", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use",
    "virtual", "where", "while", "yield",
];

/// The options of one attribute.
#[derive(Default)]
pub(crate) struct Options {
    /// `true` or `false`, as it was written.
    start_paused: Option<TokenStream>,
    crate_path: Option<TokenStream>,
    /// A string literal.
    job_name: Option<TokenStream>,
    /// A number literal, from 1 on.
    version: Option<TokenStream>,
    /// The word itself.
    idempotent: Option<TokenStream>,
    /// The word itself.
    initializer: Option<TokenStream>,
}

impl Options {
    /// Parses the options of an attribute that has only those in `names`.
    pub(crate) fn parse(tokens: TokenStream, names: &[&str]) -> Result<Self> {
        let mut options = Self::default();
        let mut tokens = flatten(tokens).into_iter().peekable();
        while let Some(token) = tokens.next() {
            let TokenTree::Ident(name) = token else {
                return Err(Error::new(token.span(), "expected ident"));
            };
            match name.to_string().as_str() {
                word if !names.contains(&word) => return Err(unknown(&name, names)),
                "start_paused" => {
                    let message = "`start_paused` takes `true` or `false`";
                    let value = take_value(&mut tokens, &name, message)?;
                    if !matches!(value.to_string().as_str(), "true" | "false") {
                        return Err(Error::new(value.span(), message));
                    }
                    set(&mut options.start_paused, value.into(), &name)?;
                }
                "crate" => {
                    let message = "`crate` takes the path of coreloop in quotes";
                    let value = take_value(&mut tokens, &name, message)?;
                    let path =
                        quoted_path(&value).ok_or_else(|| Error::new(value.span(), message))?;
                    set(&mut options.crate_path, path, &name)?;
                }
                "name" => {
                    let message = "`name` takes the name of the job in quotes";
                    let value = take_value(&mut tokens, &name, message)?;
                    if !is_text(&value) {
                        return Err(Error::new(value.span(), message));
                    }
                    set(&mut options.job_name, value.into(), &name)?;
                }
                "version" => {
                    let message = "`version` takes a number from 1 to 4294967295";
                    let value = take_value(&mut tokens, &name, message)?;
                    if !is_version(&value) {
                        return Err(Error::new(value.span(), message));
                    }
                    set(&mut options.version, value.into(), &name)?;
                }
                word @ ("idempotent" | "initializer") => {
                    if let Some(mark) = tokens.next_if(|token| is_mark(token, '=')) {
                        let message = format!("`{word}` takes no value");
                        return Err(Error::new(mark.span(), message));
                    }
                    let option = match word {
                        "idempotent" => &mut options.idempotent,
                        _ => &mut options.initializer,
                    };
                    set(option, TokenTree::Ident(name.clone()).into(), &name)?;
                }
                _ => unreachable!("each name of an option is in an arm above"),
            }
            if let Some(token) = tokens.next()
                && !is_mark(&token, ',')
            {
                return Err(Error::new(token.span(), "expected `,`"));
            }
        }
        options.check()?;
        Ok(options)
    }

    fn check(&self) -> Result<()> {
        match (&self.version, &self.initializer) {
            (Some(version), Some(_)) => {
                let version: Vec<TokenTree> = version.clone().into_iter().collect();
                let message = "an initializer has no version, because no job queue calls it";
                Err(Error::spanning(&version, message))
            }
            _ => Ok(()),
        }
    }

    /// The path of the facade: `::coreloop` unless `crate = "…"` said otherwise.
    pub(crate) fn crate_path(&self) -> TokenStream {
        self.crate_path
            .clone()
            .unwrap_or_else(|| write("::coreloop", Span::call_site(), &[]))
    }

    /// The name of a job, if the options have one.
    pub(crate) fn job_name(&self) -> Option<TokenStream> {
        self.job_name.clone()
    }

    /// The version of a job: 1 unless the options say another one, and 0 for an initializer.
    pub(crate) fn version(&self) -> TokenStream {
        let default = if self.is_initializer() { 0 } else { 1 };
        let default = || TokenTree::from(Literal::u32_suffixed(default)).into();
        self.version.clone().unwrap_or_else(default)
    }

    pub(crate) fn is_idempotent(&self) -> bool {
        self.idempotent.is_some()
    }

    pub(crate) fn is_initializer(&self) -> bool {
        self.initializer.is_some()
    }

    /// The calls on the `Builder` that apply the options.
    pub(crate) fn builder_calls(&self) -> TokenStream {
        self.start_paused
            .clone()
            .map_or_else(TokenStream::new, |value| {
                write(
                    ".start_paused(#value)",
                    Span::call_site(),
                    &[("value", value)],
                )
            })
    }
}

/// Takes `= value`, or returns an error with `message` if it is missing.
fn take_value(
    tokens: &mut Peekable<IntoIter<TokenTree>>,
    name: &Ident,
    message: &str,
) -> Result<TokenTree> {
    // At the end of the options there is no token for the error to point at.
    tokens
        .next_if(|token| is_mark(token, '='))
        .and_then(|_| tokens.next())
        .ok_or_else(|| Error::new(name.span(), message))
}

/// The path that a literal has in its quotes, all of it where the literal is.
fn quoted_path(literal: &TokenTree) -> Option<TokenStream> {
    let TokenTree::Literal(literal) = literal else {
        return None;
    };
    let span = literal.span();
    let text = literal.to_string();
    let text = text.strip_prefix('r').unwrap_or(&text).trim_matches('#');
    let text = text.strip_prefix('"')?.strip_suffix('"')?.trim();

    let mut path = TokenStream::new();
    for (index, segment) in text.split("::").enumerate() {
        if index == 0 && segment.is_empty() {
            continue;
        }
        if index > 0 {
            path.extend(write("::", span, &[]));
        }
        path.extend([TokenTree::Ident(path_segment(segment.trim(), span)?)]);
    }
    (!path.is_empty()).then_some(path)
}

/// An identifier, or a keyword that may be in a path.
fn path_segment(text: &str, span: Span) -> Option<Ident> {
    let name = text.strip_prefix("r#").unwrap_or(text);
    let is_raw = name != text;
    let is_part = |part: char| part.is_alphanumeric() || part == '_';
    let is_segment = match name {
        "" | "_" => false,
        "crate" | "self" | "super" | "Self" => !is_raw,
        _ if !is_raw && KEYWORDS.contains(&name) => false,
        _ => !name.starts_with(char::is_numeric) && name.chars().all(is_part),
    };
    is_segment.then(|| {
        if is_raw {
            Ident::new_raw(name, span)
        } else {
            Ident::new(name, span)
        }
    })
}

fn set(option: &mut Option<TokenStream>, value: TokenStream, name: &Ident) -> Result<()> {
    if option.replace(value).is_some() {
        return Err(Error::new(
            name.span(),
            format!("the option `{name}` is set twice"),
        ));
    }
    Ok(())
}

/// Returns whether `literal` is a string with something in it.
fn is_text(literal: &TokenTree) -> bool {
    let TokenTree::Literal(literal) = literal else {
        return false;
    };
    let text = literal.to_string();
    let text = text.strip_prefix('r').unwrap_or(&text).trim_matches('#');
    text.len() > 2 && text.starts_with('"')
}

/// Returns whether `literal` is a decimal number that may be a version.
fn is_version(literal: &TokenTree) -> bool {
    let TokenTree::Literal(literal) = literal else {
        return false;
    };
    let text = literal.to_string().replace('_', "");
    let digits = text.strip_suffix("u32").unwrap_or(&text);
    digits.parse::<u32>().is_ok_and(|version| version > 0)
}

fn unknown(name: &Ident, names: &[&str]) -> Error {
    let is_entry = names.contains(&"start_paused");
    let message = match name.to_string().as_str() {
        "flavor" | "worker_threads" if is_entry => format!(
            "there is no option `{name}`: a runtime always runs on the thread that starts it"
        ),
        _ => {
            let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            let (last, others) = names.split_last().expect("an attribute has options");
            let others = others.join(", ");
            format!("there is no option `{name}`: the options are {others} and {last}")
        }
    };
    Error::new(name.span(), message)
}
