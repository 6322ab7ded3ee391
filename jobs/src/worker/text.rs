//! [`of_err`], a text for the `Err` that a job has returned.
//!
//! The worker knows neither the type of the error nor how it is displayed, only its encoding. A
//! text in it is returned as it is, and any other value in the manner of JSON.

use std::fmt::{self, Write};

use coreloop_pool::__jobs::shortened;
use serde::Deserialize;
use serde::de::{Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Visitor};

/// The longest text, in bytes.
const LONGEST: usize = 4 << 10;

/// Returns the text of an encoded `Err`.
pub(super) fn of_err(result: &[u8]) -> String {
    match rmp_serde::from_slice::<Returned>(result) {
        Ok(Returned::Err(Text { text, is_plain })) => {
            let text = if is_plain {
                text
            } else {
                format!("the job has returned Err({text})")
            };
            cut(text)
        }
        Err(_) => "the job has returned an `Err`".to_owned(),
    }
}

/// Cuts a text to the longest length.
pub(super) fn cut(text: String) -> String {
    shortened(text, LONGEST)
}

/// An encoded `Result`, which is an `Err`.
#[derive(Deserialize)]
enum Returned {
    Err(Text),
}

/// A value as a text.
struct Text {
    text: String,
    /// Whether the value is a text itself.
    is_plain: bool,
}

impl Text {
    fn of(value: impl fmt::Display) -> Self {
        Self {
            text: value.to_string(),
            is_plain: false,
        }
    }

    fn nested(&self) -> String {
        if self.is_plain {
            format!("{:?}", self.text)
        } else {
            self.text.clone()
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Text, E> {
        Ok(Text::of(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Text, E> {
        Ok(Text::of(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Text, E> {
        Ok(Text::of(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Text, E> {
        Ok(Text::of(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Text, E> {
        Ok(Text {
            text: value.to_owned(),
            is_plain: true,
        })
    }

    fn visit_bytes<E: Error>(self, value: &[u8]) -> Result<Text, E> {
        Ok(Text::of(format_args!("{} bytes", value.len())))
    }

    fn visit_unit<E: Error>(self) -> Result<Text, E> {
        Ok(Text::of("()"))
    }

    fn visit_none<E: Error>(self) -> Result<Text, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Text, D::Error> {
        Text::deserialize(deserializer)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, value: D) -> Result<Text, D::Error> {
        Text::deserialize(value)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<Text, A::Error> {
        Err(A::Error::custom("an encoded value has no enums"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Text, A::Error> {
        let mut text = "[".to_owned();
        while let Some(value) = sequence.next_element::<Text>()? {
            append(&mut text, format_args!("{}", value.nested()));
        }
        text.push(']');
        Ok(Text::of(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text, A::Error> {
        let mut text = "{".to_owned();
        while let Some((key, value)) = map.next_entry::<Text, Text>()? {
            append(
                &mut text,
                format_args!("{}: {}", key.nested(), value.nested()),
            );
        }
        text.push('}');
        Ok(Text::of(text))
    }
}

/// Appends an element, unless the text is long enough.
fn append(text: &mut String, element: fmt::Arguments<'_>) {
    if text.len() > LONGEST {
        return;
    }
    if text.len() > 1 {
        text.push_str(", ");
    }
    // Writing to a string does not fail.
    let _ = text.write_fmt(element);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Serialize;

    use super::*;

    #[derive(Serialize)]
    enum MailError {
        Refused { code: u16, text: String },
        Unreachable(String),
        Closed,
    }

    fn text<E: Serialize>(error: E) -> String {
        let result = Result::<(), E>::Err(error);
        of_err(&rmp_serde::to_vec_named(&result).unwrap())
    }

    #[test]
    fn a_text_is_returned_as_it_is() {
        assert_eq!(text("no such \"address\""), "no such \"address\"");
        assert_eq!(text(MailError::Closed), "Closed");
    }

    #[test]
    fn another_value_is_shown_in_the_manner_of_json() {
        let refused = MailError::Refused {
            code: 550,
            text: "no".to_owned(),
        };
        assert_eq!(
            text(refused),
            r#"the job has returned Err({"Refused": {"code": 550, "text": "no"}})"#
        );
        let unreachable = MailError::Unreachable("host".to_owned());
        assert_eq!(
            text(unreachable),
            r#"the job has returned Err({"Unreachable": "host"})"#
        );
        assert_eq!(text(()), "the job has returned Err(())");
        assert_eq!(text(-1), "the job has returned Err(-1)");
        assert_eq!(
            text((1.5, true, Some(BTreeMap::from([(1, 'x')])))),
            r#"the job has returned Err([1.5, true, {1: "x"}])"#
        );
    }

    #[test]
    fn a_long_text_is_cut() {
        let long = text("ä".repeat(LONGEST));
        assert!(long.len() <= LONGEST + '…'.len_utf8());
        assert!(long.ends_with("ä…"));
        assert!(text(vec![0_u8; 1 << 20]).len() < LONGEST + 64);
    }

    #[test]
    fn bytes_that_are_no_err_have_a_text_too() {
        for bytes in [&[][..], &[0xc1], &[0x81, 0xa2, b'O', b'k', 1]] {
            assert_eq!(of_err(bytes), "the job has returned an `Err`");
        }
    }
}
