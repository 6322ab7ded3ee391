//! Texts that are cut where they become too long.

/// Returns the beginning of a text, with at most `longest` bytes and no part of a character.
#[must_use]
pub fn beginning(text: &str, longest: usize) -> &str {
    let mut end = text.len().min(longest);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Cuts a text of more than `longest` bytes, and shows that by an ellipsis.
#[must_use]
pub fn shortened(mut text: String, longest: usize) -> String {
    if text.len() > longest {
        text.truncate(beginning(&text, longest).len());
        text.push('…');
    }
    text
}
