//! Finds where an expression ends.
//!
//! The operand of a `yield` is as long as an expression can be, and `proc_macro`
//! has no parser that would know how long that is. A parser would build a tree,
//! but to find the end takes much less. Each group is one token, so nothing has to
//! look inside parentheses, brackets and braces. Precedence does not matter
//! either, because an operator belongs to the expression however tightly it binds.
//!
//! What does matter is whether an operand or an operator is due. The meaning of
//! `-`, `*`, `&`, `|`, `<` and `..` depends on it, and a token that is no operator
//! ends the expression where one is due. Types, patterns and the parameters of
//! closures have rules of their own, and are skipped as a whole.
//!
//! Most of what is no valid expression is skipped as if it were one. It then
//! reaches rustc as it was written, and rustc explains best what is wrong with it.

mod operand;
mod operator;
mod skip;
#[cfg(test)]
mod tests;
mod token;

use proc_macro::Delimiter;

pub(crate) use self::token::Token;

/// The error for an expression that is incomplete.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    /// The index of the token found instead, or the number of tokens at the end.
    pub(crate) at: usize,
    pub(crate) what: &'static str,
}

/// How many of `tokens` are the operand of the `yield` that they follow: an
/// expression, or nothing.
pub(crate) fn operand(tokens: &[Token]) -> Result<usize, Expected> {
    let mut scanner = Scanner { tokens, at: 0 };
    scanner.skip_optional_operand()?;
    Ok(scanner.at)
}

/// Returns whether `tokens` are a path and nothing else.
fn is_path(tokens: &[Token]) -> bool {
    let mut scanner = Scanner { tokens, at: 0 };
    scanner.skip_path();
    scanner.at == tokens.len() && !tokens.is_empty()
}

/// The meaning of braces after a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Braces {
    /// The fields of a struct, as in `return A { b }`.
    OfTheStruct,
    /// The block that comes after a condition, as in `if a { b }`.
    OfTheCondition,
}

/// Reads tokens from left to right.
///
/// A method whose name begins with `eat` passes the next tokens if they match, and
/// returns whether they did. A method whose name begins with `skip` is called where
/// a construct of its kind is due, and passes all of it.
struct Scanner<'a> {
    tokens: &'a [Token],
    /// The index of the next token. It is at most the number of them.
    at: usize,
}

impl Scanner<'_> {
    fn skip_expression(&mut self, braces: Braces) -> Result<(), Expected> {
        // A range cannot be the left operand of another range or an assignment.
        let mut is_range = false;
        loop {
            self.skip_prefixes();
            let mut is_range_operator = self.eat_range();
            if !is_range_operator {
                self.skip_primary(braces)?;
                self.skip_postfixes();
                while self.eat_word("as") {
                    self.skip_type(false);
                    // None may follow a cast, but rustc reports that.
                    self.skip_postfixes();
                }
                is_range_operator = !is_range && self.eat_range();
            }
            is_range |= is_range_operator;
            // The end of a range may be missing.
            let has_end = is_range_operator && self.is_operand_next(braces);
            if !(has_end || self.eat_binary() || !is_range && self.eat_assignment()) {
                return Ok(());
            }
        }
    }

    /// The operand of a `yield`, `return` or `break`, which may be missing.
    fn skip_optional_operand(&mut self) -> Result<(), Expected> {
        if self.is_operand_next(Braces::OfTheStruct) {
            self.skip_expression(Braces::OfTheStruct)?;
        }
        Ok(())
    }

    fn expected<T>(&self, what: &'static str) -> Result<T, Expected> {
        Err(Expected { at: self.at, what })
    }

    /// The next token, or one further `ahead`.
    fn peek(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead)
    }

    fn peek_word(&self, ahead: usize) -> Option<&str> {
        match self.peek(ahead)? {
            Token::Word(word) => Some(word),
            _ => None,
        }
    }

    fn peek_group(&self, ahead: usize) -> Option<Delimiter> {
        match self.peek(ahead)? {
            Token::Group(delimiter) => Some(*delimiter),
            _ => None,
        }
    }

    /// Returns whether the next tokens are the characters of `operator`. A longer operator
    /// may begin with them.
    fn is_next(&self, operator: &str) -> bool {
        let last = operator.len() - 1;
        operator.chars().enumerate().all(|(index, expected)| {
            matches!(
                self.peek(index),
                Some(&Token::Mark { mark, joint })
                    if mark == expected && (joint || index == last)
            )
        })
    }

    fn eat(&mut self, operator: &str) -> bool {
        self.eat_if(self.is_next(operator), operator.len())
    }

    fn eat_word(&mut self, word: &str) -> bool {
        self.eat_if(self.peek_word(0) == Some(word), 1)
    }

    fn eat_group(&mut self, delimiter: Delimiter) -> bool {
        self.eat_if(self.peek_group(0) == Some(delimiter), 1)
    }

    fn eat_lifetime(&mut self) -> bool {
        self.eat_if(self.is_next("'") && self.peek_word(1).is_some(), 2)
    }

    fn eat_if(&mut self, is_next: bool, length: usize) -> bool {
        if is_next {
            self.at += length;
        }
        is_next
    }
}
