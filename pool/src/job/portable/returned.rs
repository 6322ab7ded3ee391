//! [`is_err`], which finds out whether a value that can only be encoded is an `Err`.
//!
//! `serde` encodes a `Result` as an enum of this name. The serializer here encodes nothing: it
//! returns at the first call which variant it was.

use std::fmt;

use serde::Serialize;
use serde::ser::{Error, Impossible, Serializer};

/// Returns whether `value` is the `Err` of a `Result`.
pub(super) fn is_err<T: Serialize>(value: &T) -> bool {
    value.serialize(Probe).is_ok()
}

/// Succeeds for an `Err`, and fails for every other value.
struct Probe;

/// The value is no `Err`.
#[derive(Debug)]
struct NoErr;

impl fmt::Display for NoErr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value is no `Err`")
    }
}

impl std::error::Error for NoErr {}

impl Error for NoErr {
    fn custom<T: fmt::Display>(_text: T) -> Self {
        Self
    }
}

/// Defines the methods for values that are no `Err`.
macro_rules! refuse {
    ($($method:ident($($argument:ty),*) -> $output:ty;)*) => {
        $(
            fn $method(self, $(_: $argument),*) -> Result<$output, NoErr> {
                Err(NoErr)
            }
        )*
    };
}

impl Serializer for Probe {
    type Ok = ();
    type Error = NoErr;
    type SerializeSeq = Impossible<(), NoErr>;
    type SerializeTuple = Impossible<(), NoErr>;
    type SerializeTupleStruct = Impossible<(), NoErr>;
    type SerializeTupleVariant = Impossible<(), NoErr>;
    type SerializeMap = Impossible<(), NoErr>;
    type SerializeStruct = Impossible<(), NoErr>;
    type SerializeStructVariant = Impossible<(), NoErr>;

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _index: u32,
        variant: &'static str,
        _value: &T,
    ) -> Result<(), NoErr> {
        if name == "Result" && variant == "Err" {
            Ok(())
        } else {
            Err(NoErr)
        }
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _value: &T,
    ) -> Result<(), NoErr> {
        Err(NoErr)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _value: &T) -> Result<(), NoErr> {
        Err(NoErr)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, _value: &T) -> Result<(), NoErr> {
        Err(NoErr)
    }

    fn is_human_readable(&self) -> bool {
        // As the encoding says: a type may encode itself differently.
        false
    }

    refuse! {
        serialize_bool(bool) -> ();
        serialize_i8(i8) -> ();
        serialize_i16(i16) -> ();
        serialize_i32(i32) -> ();
        serialize_i64(i64) -> ();
        serialize_i128(i128) -> ();
        serialize_u8(u8) -> ();
        serialize_u16(u16) -> ();
        serialize_u32(u32) -> ();
        serialize_u64(u64) -> ();
        serialize_u128(u128) -> ();
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_char(char) -> ();
        serialize_str(&str) -> ();
        serialize_bytes(&[u8]) -> ();
        serialize_none() -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_unit_variant(&'static str, u32, &'static str) -> ();
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize)
            -> Self::SerializeTupleVariant;
        serialize_map(Option<usize>) -> Self::SerializeMap;
        serialize_struct(&'static str, usize) -> Self::SerializeStruct;
        serialize_struct_variant(&'static str, u32, &'static str, usize)
            -> Self::SerializeStructVariant;
    }
}
