use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::*;

/// The same struct in two versions of a program.
mod before {
    #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
    pub(super) struct Mail {
        pub(super) to: String,
    }
}

mod after {
    #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
    pub(super) struct Mail {
        #[serde(default)]
        pub(super) copies: Vec<String>,
        pub(super) to: String,
    }
}

#[test]
fn an_added_field_decodes_in_both_directions() {
    let to = || "ada".to_owned();
    let old = encode_portable((before::Mail { to: to() }, 1)).unwrap();
    let (mail, _): (after::Mail, u8) = decode_portable(&old).unwrap();
    let copies = Vec::new();
    assert_eq!(mail, after::Mail { copies, to: to() });

    let copies = vec!["grace".to_owned()];
    let new = encode_portable((after::Mail { copies, to: to() }, 1)).unwrap();
    let (mail, _): (before::Mail, u8) = decode_portable(&new).unwrap();
    assert_eq!(mail, before::Mail { to: to() });
}

#[test]
fn a_value_of_another_type_is_an_error() {
    let bytes = encode_portable(("text", 1)).unwrap();
    assert!(decode_portable::<(u8, u8)>(&bytes).is_err());
    assert!(decode_portable::<(String,)>(&bytes).is_err());
    assert!(decode_portable::<(String, u8, u8)>(&bytes).is_err());
    let mut longer = bytes.clone();
    longer.push(0);
    let error = decode_portable::<(String, u8)>(&longer).unwrap_err();
    assert!(error.contains("1 bytes are left"), "{error}");
    for end in 0..bytes.len() {
        assert!(decode_portable::<(String, u8)>(&bytes[..end]).is_err());
    }
}

#[test]
fn a_value_that_does_not_encode_is_an_error() {
    struct Panics;
    impl Serialize for Panics {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            std::panic::resume_unwind(Box::new("no"))
        }
    }
    struct Fails;
    impl Serialize for Fails {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("it is locked"))
        }
    }
    assert_eq!(encode_portable(Panics).unwrap_err(), "encoding it panicked");
    let error = encode_portable(Fails).unwrap_err();
    assert!(error.contains("it is locked"), "{error}");
}

#[test]
fn an_err_is_found_whatever_it_holds() {
    #[derive(Serialize)]
    enum Similar {
        Ok(u8),
        Err(u8),
    }
    #[derive(Serialize, Deserialize)]
    struct Err {
        code: u8,
    }
    assert!(returned::is_err(&Result::<u8, u8>::Err(1)));
    assert!(returned::is_err(&Result::<(), Err>::Err(Err { code: 1 })));
    assert!(returned::is_err(&Result::<Vec<u8>, ()>::Err(())));
    assert!(!returned::is_err(&Result::<u8, u8>::Ok(1)));
    assert!(!returned::is_err(&Result::<Result<(), u8>, u8>::Ok(
        Err(1).map(|_: u8| ())
    )));
    assert!(!returned::is_err(&Similar::Err(1)));
    assert!(!returned::is_err(&Similar::Ok(1)));
    assert!(!returned::is_err(&Some(Result::<u8, u8>::Err(1))));
    assert!(!returned::is_err(&HashMap::from([("Err", 1)])));
    assert!(!returned::is_err(&"Err"));
    assert!(!returned::is_err(&()));
    assert!(!returned::is_err(&Err { code: 1 }));
}

#[test]
fn a_call_says_whether_it_has_returned_an_err() {
    fn halve(number: u32) -> Result<u32, String> {
        if number.is_multiple_of(2) {
            Ok(number / 2)
        } else {
            Err("odd".to_owned())
        }
    }
    let call = |number: u32| {
        let mut output = b"before".to_vec();
        let arguments = encode_portable((number,)).unwrap();
        let called = run(halve, &arguments, &mut output);
        let result: Result<u32, String> = decode_portable(&output[6..]).unwrap();
        (called, result)
    };
    assert!(matches!(call(4), (Ok(()), Ok(2))));
    assert!(matches!(call(5), (Err(Failure::Returned), Err(text)) if text == "odd"));
    let called = run(halve, &[0xc1], &mut Vec::new());
    assert!(matches!(called, Err(Failure::Arguments(_))), "{called:?}");
}
