//! Tests of where expressions end, and of the errors for incomplete ones.

mod lexer;
mod operands;

use self::lexer::lex;
use self::operands::OPERANDS;
use super::{Expected, operand};

#[test]
fn an_operand_is_as_long_as_an_expression() {
    for &(text, rest) in OPERANDS {
        let length = lex(text).len();
        assert_eq!(operand(&lex(text)), Ok(length), "`{text}`");
        let tokens = lex(&format!("{text} {rest}"));
        assert_eq!(operand(&tokens), Ok(length), "`{text}` before `{rest}`");
    }
}

#[test]
fn an_operand_may_be_nothing() {
    for rest in [
        "",
        ";",
        ", a",
        "? + 1",
        ".a()",
        "=> a",
        "= a",
        "== a",
        "else { a }",
        "as A",
        "in a",
    ] {
        assert_eq!(operand(&lex(rest)), Ok(0), "before `{rest}`");
    }
}

#[test]
fn an_operator_has_an_operand() {
    for (text, at) in [
        ("-", 1),
        ("a + ; b", 2),
        ("a + else", 2),
        ("a &&, b", 3),
        ("a = => b", 2),
        ("&mut", 2),
        ("let a =", 3),
        ("if", 1),
        ("|a|", 3),
        ("a * , b", 2),
    ] {
        let what = "expected an expression";
        assert_eq!(operand(&lex(text)), Err(Expected { at, what }), "`{text}`");
    }
}

#[test]
fn a_missing_block_or_word_is_an_error() {
    for (text, at) in [
        ("if a", 2),
        ("if a; b", 2),
        ("if a {} else if b", 6),
        ("match (a), {}", 2),
        ("while a.b", 4),
        ("for a in b", 4),
        ("loop a", 1),
        ("unsafe", 1),
        ("|a| -> B c", 6),
    ] {
        let what = "expected curly braces";
        assert_eq!(operand(&lex(text)), Err(Expected { at, what }), "`{text}`");
    }
    for (text, at, what) in [
        ("for a", 2, "expected `in`"),
        ("|a, b", 4, "expected `|`"),
        ("move a", 1, "expected `|`"),
        ("async", 1, "expected `|`"),
    ] {
        assert_eq!(operand(&lex(text)), Err(Expected { at, what }), "`{text}`");
    }
}

/// Rustc reports what is wrong with them, and for that it has to see the whole expression.
#[test]
fn an_invalid_expression_is_passed_on_whole() {
    for text in [
        "a as u8 < b",
        "a as u8 << b + c",
        "a::<B(c)",
        "a as u8?",
        "a as u8.b()",
        "a < b < c",
    ] {
        let tokens = lex(&format!("{text}; next()"));
        assert_eq!(operand(&tokens), Ok(lex(text).len()), "`{text}`");
    }
}
