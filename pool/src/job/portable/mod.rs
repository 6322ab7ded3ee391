//! The portable encoding of arguments and results, for other programs and other machines.
//!
//! The values of a job queue outlive the program that has encoded them, and are decoded by
//! programs with other versions of their types. So they are encoded as named `MessagePack`: a
//! struct is a map with the names of its fields, so that a field may be added with
//! `#[serde(default)]`, and one that is not known is skipped.

mod returned;
#[cfg(test)]
mod tests;

use rmp_serde::Deserializer;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::call::{Failure, call};
use super::function::JobFn;
use crate::panics;

/// Decodes `arguments`, calls `function` and appends its encoded result to `output`.
///
/// # Errors
///
/// Returns an error if the arguments cannot be decoded or the result cannot be encoded, and
/// [`Failure::Returned`] if the result, which was appended, is an `Err`.
pub(crate) fn run<F, S>(function: F, arguments: &[u8], output: &mut Vec<u8>) -> Result<(), Failure>
where
    F: JobFn<S>,
{
    let arguments = decode(arguments).map_err(Failure::Arguments)?;
    let result = call(function, arguments);
    append(&result, output).map_err(Failure::Output)?;
    if returned::is_err(&result) {
        return Err(Failure::Returned);
    }
    Ok(())
}

/// Appends the encoded `value` to `output`. If that fails, `output` is as it was.
fn append<T: Serialize>(value: &T, output: &mut Vec<u8>) -> Result<(), String> {
    let length = output.len();
    rmp_serde::encode::write_named(output, value).map_err(|error| {
        output.truncate(length);
        error.to_string()
    })
}

/// Decodes a value from all of `bytes`.
fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let mut rest = bytes;
    let value = T::deserialize(&mut Deserializer::new(&mut rest)).map_err(|e| e.to_string())?;
    match rest.len() {
        0 => Ok(value),
        count => Err(format!("{count} bytes are left after it")),
    }
}

/// Encodes a value.
///
/// # Errors
///
/// Returns a text if the value does not encode, or its code panics.
pub fn encode_portable<T: Serialize>(value: T) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    match panics::catch(|| append(&value, &mut bytes)) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(error),
        Err(_) => return Err("encoding it panicked".to_owned()),
    }
    panics::caught(|| drop(value));
    Ok(bytes)
}

/// Decodes a value.
///
/// # Errors
///
/// Returns a text if the bytes are no such value, or the code of its type panics.
pub fn decode_portable<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    match panics::catch(|| decode(bytes)) {
        Ok(decoded) => decoded,
        Err(_) => Err("decoding it panicked".to_owned()),
    }
}
