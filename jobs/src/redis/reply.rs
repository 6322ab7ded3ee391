//! Reading the answers of the server.

use std::str::FromStr;

use redis::Value;

use crate::error::{Error, Kind};

/// An entry of a stream: the id of the job, its attempts before this entry, and its payload.
#[derive(Debug, PartialEq)]
pub(super) struct Body {
    pub(super) entry: String,
    pub(super) id: String,
    pub(super) attempts: u32,
    pub(super) payload: Vec<u8>,
}

/// Returns the elements of an array. An empty answer has none.
pub(super) fn array(value: Value) -> Result<Vec<Value>, Error> {
    match value {
        Value::Array(values) => Ok(values),
        Value::Nil => Ok(Vec::new()),
        other => Err(unexpected(&other)),
    }
}

/// Returns an array as pairs.
pub(super) fn pairs(value: Value) -> Result<Vec<(Value, Value)>, Error> {
    let mut values = array(value)?.into_iter();
    let mut pairs = Vec::with_capacity(values.len() / 2);
    while let (Some(first), Some(second)) = (values.next(), values.next()) {
        pairs.push((first, second));
    }
    Ok(pairs)
}

/// Returns a text. Text that is not UTF-8 is not of this engine.
pub(super) fn text(value: Value) -> Result<String, Error> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes)
            .map_err(|error| Error::new(Kind::Codec, format!("Redis: an answer: {error}"))),
        Value::SimpleString(text) => Ok(text),
        Value::Int(number) => Ok(number.to_string()),
        other => Err(unexpected(&other)),
    }
}

/// Returns a number, which may have come as text.
#[expect(clippy::needless_pass_by_value, reason = "it is mapped over answers")]
pub(super) fn number<T: FromStr + TryFrom<i64>>(value: Value) -> Result<T, Error> {
    let number = match &value {
        Value::Int(number) => T::try_from(*number).ok(),
        Value::BulkString(bytes) => std::str::from_utf8(bytes)
            .ok()
            .and_then(|text| text.parse().ok()),
        _ => None,
    };
    number.ok_or_else(|| unexpected(&value))
}

/// Reads the entries of one stream. Entries that this engine has not written are left out.
pub(super) fn entries(value: Value) -> Result<Vec<Body>, Error> {
    let mut bodies = Vec::new();
    for entry in array(value)? {
        let mut parts = array(entry)?.into_iter();
        let (Some(entry), Some(fields)) = (parts.next(), parts.next()) else {
            continue;
        };
        bodies.extend(body(text(entry)?, fields)?);
    }
    Ok(bodies)
}

fn body(entry: String, fields: Value) -> Result<Option<Body>, Error> {
    let (mut id, mut attempts, mut payload) = (None, 0, None);
    for (name, value) in pairs(fields)? {
        match &name {
            Value::BulkString(name) if name == b"i" => id = text(value).ok(),
            Value::BulkString(name) if name == b"a" => attempts = number(value).unwrap_or(0),
            Value::BulkString(name) if name == b"p" => payload = bytes(value),
            _ => {}
        }
    }
    Ok(id.zip(payload).map(|(id, payload)| Body {
        entry,
        id,
        attempts,
        payload,
    }))
}

/// Returns the bytes of a value, if it has some.
pub(super) fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    }
}

pub(super) fn unexpected(value: &Value) -> Error {
    // Not the value itself, which may be large, and may be of a user.
    let what = match value {
        Value::Nil => "nothing",
        Value::Int(_) => "a number",
        Value::BulkString(_) | Value::SimpleString(_) => "a text",
        Value::Array(_) => "an array",
        _ => "a value of another type",
    };
    Error::new(
        Kind::Engine,
        format!("Redis: the answer is {what}, which this command does not return"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn list(texts: &[&str]) -> Value {
        Value::Array(texts.iter().map(|text| bulk(text)).collect())
    }

    #[test]
    fn entries_of_other_programs_are_left_out() {
        let entry = |id: &str, fields: &[&str]| Value::Array(vec![bulk(id), list(fields)]);
        let stream = Value::Array(vec![
            entry("1-0", &["i", "x-1", "p", "payload"]),
            entry("2-0", &["greeting", "hello"]),
            entry("3-0", &["i", "x-2", "a", "4", "p", ""]),
            // A pending entry that was deleted.
            Value::Array(vec![bulk("4-0"), Value::Nil]),
        ]);
        let bodies = entries(stream).unwrap();
        assert_eq!(bodies.len(), 2);
        assert_eq!(bodies[0].attempts, 0);
        assert_eq!(bodies[0].payload, b"payload");
        assert_eq!((bodies[1].id.as_str(), bodies[1].attempts), ("x-2", 4));
    }

    #[test]
    fn answers_of_another_type_are_errors() {
        assert!(array(bulk("x")).is_err());
        assert!(text(Value::Nil).is_err());
        assert!(number::<u32>(Value::Int(-1)).is_err());
        assert!(number::<u64>(bulk("x")).is_err());
        assert!(entries(Value::Array(vec![bulk("x")])).is_err());
        assert_eq!(number::<u64>(bulk("12")).unwrap(), 12);
    }
}
