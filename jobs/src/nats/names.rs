//! The names of streams, subjects, consumers and keys.
//!
//! A part of a subject may hold neither a dot nor a blank nor a wildcard, and keys of buckets even
//! less. So all but letters, digits and the hyphen become `_` and two hexadecimal digits for each
//! byte.

use crate::engine::Function;
use crate::error::{Error, Kind};

/// The maximum length of a name of the user: the server limits a subject.
const MAX_NAME: usize = 128;

/// Encodes the name of a queue.
///
/// # Errors
///
/// Returns an error if the name is empty or longer than 128 bytes.
pub(super) fn queue(name: &str) -> Result<String, Error> {
    if name.is_empty() || name.len() > MAX_NAME {
        let text = format!("the name of a queue has 1 to {MAX_NAME} bytes");
        return Err(Error::new(Kind::Engine, text));
    }
    Ok(encode(name))
}

/// The name of the stream of a queue.
pub(super) fn stream(queue: &str) -> String {
    format!("coreloop-{queue}")
}

/// All subjects of the stream of a queue.
pub(super) fn all_subjects(queue: &str) -> String {
    format!("coreloop.jobs.{queue}.>")
}

/// The subject of the jobs of a function.
pub(super) fn subject(queue: &str, function: &Function) -> String {
    format!("coreloop.jobs.{queue}.run.{}", token(function))
}

/// The subject of jobs that wait for their time.
pub(super) fn delayed_subject(queue: &str) -> String {
    format!("coreloop.jobs.{queue}.delayed")
}

/// The subject of the messages that wake idle workers. It does not belong to the stream.
pub(super) fn wake_subject(queue: &str) -> String {
    format!("coreloop.wake.{queue}")
}

/// The name of the consumer of a function.
pub(super) fn consumer(function: &Function) -> String {
    format!("run-{}", token(function))
}

/// The name of the consumer of jobs that wait for their time.
pub(super) const DELAYED_CONSUMER: &str = "delayed";

/// The name of a bucket of a queue.
pub(super) fn bucket(queue: &str, what: &str) -> String {
    format!("coreloop-{queue}-{what}")
}

fn token(function: &Function) -> String {
    format!("{}-v{}", encode(&function.name), function.version)
}

/// Encodes a text so that it may be a part of a subject, and a key of a bucket.
pub(super) fn encode(text: &str) -> String {
    use std::fmt::Write as _;

    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => encoded.push(char::from(byte)),
            // Writing to a string does not fail.
            _ => drop(write!(encoded, "_{byte:02x}")),
        }
    }
    encoded
}

/// Decodes what [`encode`] has made; `None` if it cannot have.
pub(super) fn decode(encoded: &str) -> Option<String> {
    let mut parts = encoded.split('_');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (number, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(number, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoded_text_decodes() {
        for text in ["", "mail", "app::send<a b>", "a_3a", "ü.*>", "_"] {
            assert_eq!(decode(&encode(text)).as_deref(), Some(text));
        }
        assert_eq!(decode("a_"), None);
        assert_eq!(decode("a_zz"), None);
    }

    #[test]
    fn different_texts_have_different_names_without_special_characters() {
        assert_eq!(encode("mail"), "mail");
        assert_eq!(encode("app::send<a b>"), "app_3a_3asend_3ca_20b_3e");
        assert_ne!(encode("a_3a"), encode("a:"));
        assert_eq!(encode("ü.*>"), "_c3_bc_2e_2a_3e");
    }

    #[test]
    fn versions_of_a_function_have_different_subjects() {
        let function = |version| Function {
            name: "app::send".to_owned(),
            version,
        };
        assert_eq!(
            subject("mail", &function(2)),
            "coreloop.jobs.mail.run.app_3a_3asend-v2"
        );
        assert_ne!(consumer(&function(1)), consumer(&function(2)));
    }

    #[test]
    fn a_queue_without_a_name_is_refused() {
        assert!(queue("").is_err());
        assert!(queue(&"x".repeat(129)).is_err());
        assert_eq!(queue("a b").unwrap(), "a_20b");
    }
}
