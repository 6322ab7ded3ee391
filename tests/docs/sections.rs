//! The order of the sections of a documentation comment.

use super::published_sources;

/// The sections, in their order.
const ORDER: [&str; 5] = ["Cancel safety", "Errors", "Panics", "Safety", "Examples"];

#[test]
fn sections_of_the_documentation_have_one_order() {
    let mut wrong = Vec::new();
    for (path, text) in published_sources() {
        for (line, sections) in comments(&text) {
            if !sections.is_sorted() {
                let names: Vec<_> = sections.iter().map(|&at| ORDER[at]).collect();
                wrong.push(format!("{path}:{line}: {}", names.join(", ")));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "these are not in the order {ORDER:?}:\n{}",
        wrong.join("\n")
    );
}

/// Returns for each comment the line where it begins, and the places of its sections in
/// [`ORDER`].
fn comments(text: &str) -> Vec<(usize, Vec<usize>)> {
    let mut comments: Vec<(usize, Vec<usize>)> = Vec::new();
    let mut is_comment = false;
    for (index, line) in text.lines().map(str::trim_start).enumerate() {
        let Some(comment) = line.strip_prefix("///").or(line.strip_prefix("//!")) else {
            is_comment = false;
            continue;
        };
        if !is_comment {
            comments.push((index + 1, Vec::new()));
        }
        is_comment = true;
        let title = comment.trim_start().strip_prefix("# ");
        let place = ORDER.iter().position(|name| Some(*name) == title);
        if let Some((_, sections)) = comments.last_mut() {
            sections.extend(place);
        }
    }
    comments
}

#[test]
fn the_sections_of_each_comment_are_found() {
    let text = "
/// One.
///
/// # Errors
///
/// # Cancel safety
fn one() {}

    /// # Examples
    /// # Other
    fn two() {}
";
    assert_eq!(comments(text), [(2, vec![1, 0]), (9, vec![4])]);
}
