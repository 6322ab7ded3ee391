//! Values whose encoding or decoding fails or panics.

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a value does when it is encoded or decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Does {
    Nothing,
    FailsToEncode,
    PanicsToEncode,
    FailsToDecode,
    PanicsToDecode,
}

impl Does {
    pub const ALL: [Self; 5] = [
        Self::Nothing,
        Self::FailsToEncode,
        Self::PanicsToEncode,
        Self::FailsToDecode,
        Self::PanicsToDecode,
    ];
}

impl Serialize for Does {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::FailsToEncode => Err(S::Error::custom("not this one")),
            Self::PanicsToEncode => panic!("encoding"),
            does => serializer.serialize_u8(*does as u8),
        }
    }
}

impl<'de> Deserialize<'de> for Does {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Self::ALL[usize::from(u8::deserialize(deserializer)?)] {
            Self::FailsToDecode => Err(D::Error::custom("not this one")),
            Self::PanicsToDecode => panic!("decoding"),
            does => Ok(does),
        }
    }
}
