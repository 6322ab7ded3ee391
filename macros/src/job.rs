//! Registers a function as a job.
//!
//! The function stays as it was written. A static follows it, which the linker puts
//! into the list of all jobs of the program:
//!
//! ```text
//! fn name(…) -> T { … }
//! const _: () = {
//!     #[distributed_slice(ENTRIES)]
//!     static __CORELOOP_JOB: Entry = Entry::new(
//!         concat!(module_path!(), "::", "name"),
//!         (file!(), line!()),
//!         || type_of(&name),
//!         |encoding, arguments, output| run(name, encoding, arguments, output),
//!         |arguments| (&&&&call(name, arguments)?).install(),
//!         false,
//!     )
//!     .version(1);
//! };
//! ```
//!
//! All paths lead through the facade, so the program needs no other dependency. Whether the
//! arguments and the result can be sent to another process is a bound of `run`, and rustc
//! reports at the name of the function that it is not met.

use proc_macro::{Delimiter, Ident, Literal, Span, TokenStream, TokenTree};

use crate::error::{Error, Result};
use crate::function::Function;
use crate::options::Options;
use crate::template::write;
use crate::tokens::{flatten, is_group, is_mark, is_word};

const ATTRIBUTE: &str = "#[coreloop::job]";

/// Expands the attribute on `item`.
pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let Some(function) = Function::parse(item.clone()) else {
        let tokens: Vec<TokenTree> = item.clone().into_iter().collect();
        let message = format!("{ATTRIBUTE} belongs on a function");
        return Error::spanning(&tokens, message).beside(item);
    };
    let names = ["name", "version", "idempotent", "initializer", "crate"];
    let options = check(&function)
        .and_then(|()| Options::parse(options, &names))
        .and_then(|options| check_result(&function, &options).map(|()| options));
    match options {
        Ok(options) => {
            let mut tokens = allowance(&function);
            tokens.extend(item);
            tokens.extend(entry(&function, &options));
            tokens
        }
        Err(error) => error.beside(item),
    }
}

fn check(function: &Function) -> Result<()> {
    function.check_is_ordinary(ATTRIBUTE)?;
    if function.is_generic() {
        return Err(Error::spanning(
            &function.generics,
            "a generic function is many jobs: register the instances that are used by \
             `coreloop::pool::register!(function::<Type>)`",
        ));
    }
    let parameters = function.split_parameters();
    if let Some(ninth) = parameters.get(8) {
        return Err(Error::spanning(ninth, "a job has at most eight arguments"));
    }
    for parameter in &parameters {
        let type_of_parameter = after_colon(parameter);
        if is_word_at_start(type_of_parameter, "impl") {
            return Err(Error::spanning(
                type_of_parameter,
                "an argument of a job has one type, because each type makes another function",
            ));
        }
        check_is_owned(type_of_parameter, "an argument")?;
    }
    Ok(())
}

/// What an initializer returns stays in the worker, so it need not be owned.
fn check_result(function: &Function, options: &Options) -> Result<()> {
    match function.output.as_slice() {
        [minus, greater, output @ ..] if is_mark(minus, '-') && is_mark(greater, '>') => {
            let output = if options.is_initializer() {
                &[]
            } else {
                output
            };
            check_is_owned(output, "the result")
        }
        _ => Ok(()),
    }
}

/// Returns the type in a parameter.
fn after_colon(parameter: &[TokenTree]) -> &[TokenTree] {
    let mut is_double = false;
    for (index, token) in parameter.iter().enumerate() {
        let is_colon = is_mark(token, ':');
        let is_followed = parameter
            .get(index + 1)
            .is_some_and(|next| is_mark(next, ':'));
        if is_colon && !is_double && !is_followed {
            return &parameter[index + 1..];
        }
        // The second of two colons.
        is_double = is_colon && !is_double;
    }
    &[]
}

fn is_word_at_start(tokens: &[TokenTree], word: &str) -> bool {
    tokens.first().is_some_and(|token| is_word(token, word))
}

fn check_is_owned(type_of_value: &[TokenTree], value: &str) -> Result<()> {
    let is_reference = type_of_value
        .first()
        .is_some_and(|token| is_mark(token, '&'));
    if is_reference {
        return Err(Error::spanning(
            type_of_value,
            format!(
                "{value} of a job is sent to another process, so it cannot be borrowed: use an \
                 owned type, such as `String` instead of `&str`"
            ),
        ));
    }
    Ok(())
}

/// The attribute for the function itself: a job that does not consume its arguments has to
/// own them nevertheless.
fn allowance(function: &Function) -> TokenStream {
    if function.parameters.stream().is_empty() {
        return TokenStream::new();
    }
    let source = r#"
        #[allow(clippy::needless_pass_by_value, reason = "arguments of a job are owned")]
    "#;
    write(source, Span::call_site(), &[])
}

/// The static that the linker puts into the list of jobs.
fn entry(function: &Function, options: &Options) -> TokenStream {
    // The arguments of the closure do not hide a function of one of their names, and errors
    // are reported at the name of the function.
    let here = Span::mixed_site().located_at(function.name.span());
    let is_idempotent = Ident::new(&options.is_idempotent().to_string(), here);
    let source = r#"
        #conditions
        #[allow(deprecated, reason = "that the function is registered is no use of it")]
        const _: () = {
            #[#facade::pool::__private::linkme::distributed_slice(
                #facade::pool::__private::ENTRIES
            )]
            #[linkme(crate = #facade::pool::__private::linkme)]
            static __CORELOOP_JOB: #facade::pool::__private::Entry =
                #facade::pool::__private::Entry::new(
                    #job_name,
                    (::core::file!(), ::core::line!()),
                    || #facade::pool::__private::type_of(&#function),
                    #run,
                    |arguments| {
                        use #facade::pool::__private::initialize::{
                            call as __call, FutureOfResult as _, FutureOfValue as _,
                            ResultOfValue as _, Value as _,
                        };
                        (&&&&__call::<_, fn(#types) -> _>(#function, arguments)?).install()
                    },
                    #is_idempotent,
                )
                .version(#version);
        };
    "#;
    let facade = options.crate_path();
    let types = "_, ".repeat(function.split_parameters().len());
    let types = write(&types, here, &[]);
    // What an initializer returns need not be sent anywhere.
    let run = if options.is_initializer() {
        "#facade::pool::__private::not_a_job"
    } else {
        "|encoding, arguments, output| {
            #facade::pool::__private::run::<_, (#kind, fn(#types) -> _)>(
                #function, encoding, arguments, output
            )
        }"
    };
    let name = TokenStream::from(TokenTree::from(function.name.clone()));
    let called = [
        ("kind", kind(function, &facade)),
        ("types", types.clone()),
        ("facade", facade.clone()),
        ("function", name.clone()),
    ];
    let holes = [
        ("run", write(run, here, &called)),
        ("types", types),
        ("conditions", conditions(function)),
        ("facade", facade),
        (
            "job_name",
            options.job_name().unwrap_or_else(|| path(function)),
        ),
        ("function", name),
        ("version", options.version()),
        ("is_idempotent", TokenTree::from(is_idempotent).into()),
    ];
    write(source, here, &holes)
}

/// The half of the signature of a `JobFn` that says whether the function is async. With the
/// signature, rustc can name the argument that cannot be sent to another process. If the
/// function may return a future without being an async one, it is inferred.
fn kind(function: &Function, facade: &TokenStream) -> TokenStream {
    let mut output = flatten(function.output.iter().cloned().collect()).into_iter();
    let source = if function.qualifier("async").is_some() {
        "#facade::pool::__private::Asynchronous"
    } else if output.any(|token| token.to_string().contains("Future")) {
        "_"
    } else {
        "#facade::pool::__private::Plain"
    };
    write(source, Span::call_site(), &[("facade", facade.clone())])
}

/// The path of the function, from the crate on.
fn path(function: &Function) -> TokenStream {
    let name = function.name.to_string();
    let name = Literal::string(name.strip_prefix("r#").unwrap_or(&name));
    write(
        r#"::core::concat!(::core::module_path!(), "::", #name)"#,
        Span::call_site(),
        &[("name", TokenTree::Literal(name).into())],
    )
}

/// The `#[cfg(…)]` of the function, which rustc has not looked at if they are below the
/// attribute.
fn conditions(function: &Function) -> TokenStream {
    let is_condition = |[_, brackets]: &&[TokenTree; 2]| match brackets {
        TokenTree::Group(group) if is_group(brackets, Delimiter::Bracket) => {
            let first = group.stream().into_iter().next();
            first.is_some_and(|first| is_word(&first, "cfg"))
        }
        _ => false,
    };
    let conditions = function.attributes.iter().filter(is_condition);
    conditions.flatten().cloned().collect()
}
