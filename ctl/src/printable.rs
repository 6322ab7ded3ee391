//! [`printable`], which escapes what a terminal would obey.

/// Replaces each control character by its escape sequence, such as `\u{1b}`. A tab stays.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && character != '\t' {
            printable.extend(character.escape_default());
        } else {
            printable.push(character);
        }
    }
    printable
}
