//! The options in the parentheses of an attribute.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{Ident, LitBool, LitStr, Path, Token};

/// What the attribute was asked for.
#[derive(Default)]
pub(crate) struct Options {
    start_paused: Option<LitBool>,
    crate_path: Option<Path>,
}

impl Options {
    /// The path of the facade: `::coreloop` unless `crate = "…"` said otherwise.
    pub(crate) fn crate_path(&self) -> TokenStream {
        self.crate_path
            .as_ref()
            .map_or_else(|| quote!(::coreloop), |path| quote!(#path))
    }

    /// The calls on the `Builder` that the options ask for.
    pub(crate) fn builder_calls(&self) -> TokenStream {
        self.start_paused
            .as_ref()
            .map_or_else(TokenStream::new, |value| quote!(.start_paused(#value)))
    }
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut options = Self::default();
        while !input.is_empty() {
            let name = input.call(Ident::parse_any)?;
            match name.to_string().as_str() {
                "start_paused" => {
                    let value =
                        parse_value(input, &name, "`start_paused` takes `true` or `false`")?;
                    set(&mut options.start_paused, value, &name)?;
                }
                "crate" => {
                    let message = "`crate` takes the path of coreloop in quotes";
                    let value: LitStr = parse_value(input, &name, message)?;
                    let path = value
                        .parse_with(Path::parse_mod_style)
                        .map_err(|_| syn::Error::new(value.span(), message))?;
                    set(&mut options.crate_path, path, &name)?;
                }
                _ => return Err(unknown(&name)),
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(options)
    }
}

/// Parses `= value`, and says `message` about anything else.
fn parse_value<T: Parse>(input: ParseStream<'_>, name: &Ident, message: &str) -> syn::Result<T> {
    let error = |span| syn::Error::new(span, message);
    input.parse::<Token![=]>().map_err(|_| error(name.span()))?;
    // Where the input ends there is no token to point at.
    let at = if input.is_empty() {
        name.span()
    } else {
        input.span()
    };
    input.parse().map_err(|_| error(at))
}

fn set<T>(option: &mut Option<T>, value: T, name: &Ident) -> syn::Result<()> {
    if option.replace(value).is_some() {
        return Err(syn::Error::new(
            name.span(),
            format!("the option `{name}` is set twice"),
        ));
    }
    Ok(())
}

fn unknown(name: &Ident) -> syn::Error {
    let message = match name.to_string().as_str() {
        "flavor" | "worker_threads" => format!(
            "there is no option `{name}`: a runtime always runs on the thread that starts it"
        ),
        _ => {
            format!("there is no option `{name}`: the options are `start_paused` and `crate`")
        }
    };
    syn::Error::new(name.span(), message)
}
