use super::Key;

#[test]
fn a_short_key_is_an_error_that_says_so() {
    for length in 0..16 {
        let text = Key::new(vec![1; length]).unwrap_err().to_string();
        let expected = format!("the key has {length} bytes, and needs at least 16 bytes");
        assert!(text.starts_with(&expected), "{text}");
    }
    assert_eq!(Key::new([1; 16]).unwrap().bytes(), [1; 16]);
    assert!(Key::new([1; 1024]).is_ok());
    let text = Key::new([1; 1025]).unwrap_err().to_string();
    assert!(text.contains("at most 1024"), "{text}");
}

#[test]
fn a_key_does_not_show_itself() {
    let shown = format!("{:?}", Key::new("secret, secret, secret").unwrap());
    assert_eq!(shown, "Key { .. }");
}

#[test]
fn hexadecimal_digits_give_the_same_key_back() {
    let key = Key::random().unwrap();
    assert_eq!(key.bytes().len(), 32);
    assert_ne!(key.bytes(), Key::random().unwrap().bytes());
    let again = Key::from_hex(&format!(" {}\n", key.to_hex())).unwrap();
    assert_eq!(again.bytes(), key.bytes());
    let mixed = Key::from_hex("00FFa5000102030405060708090a0B0c").unwrap();
    assert_eq!(mixed.bytes()[..3], [0, 0xFF, 0xA5]);
}

#[test]
fn other_texts_are_refused_and_not_repeated() {
    for text in [
        "",
        "0",
        "zz",
        "00112233445566778899aabbccddeef",
        "+100112233445566778899aabbccddee0",
    ] {
        let error = Key::from_hex(text).unwrap_err().to_string();
        assert!(text.len() < 3 || !error.contains(text), "{error}");
    }
}

#[test]
fn files_and_variables_are_named_in_errors() {
    let error = Key::from_file("/nowhere/key").unwrap_err().to_string();
    assert!(
        error.starts_with("cannot read the key file /nowhere/key: "),
        "{error}"
    );
    let error = Key::from_env("CORELOOP_NO_SUCH_KEY")
        .unwrap_err()
        .to_string();
    assert!(error.contains("CORELOOP_NO_SUCH_KEY is not set"), "{error}");

    let path = std::env::temp_dir().join(format!("coreloop-key-{}", std::process::id()));
    std::fs::write(&path, "00112233\n").unwrap();
    let error = Key::from_file(&path).unwrap_err().to_string();
    assert!(
        error.contains(path.to_str().unwrap()) && error.contains("4 bytes"),
        "{error}"
    );
    std::fs::write(&path, format!("{}\n", "5a".repeat(32))).unwrap();
    assert_eq!(Key::from_file(&path).unwrap().bytes(), [0x5A; 32]);
    std::fs::remove_file(&path).unwrap();
}
