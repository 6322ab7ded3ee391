//! Operands, with unary and postfix operators.

use proc_macro::Delimiter;

use super::{Braces, Expected, Scanner, Token};

/// The punctuation that an operand may begin with.
const BEGINNINGS: [&str; 10] = ["!", "-", "*", "&", "|", "<", "..", "::", "'", "#"];

/// Tokens that begin with the same characters, but are not the start of an operand.
const OTHERS: [&str; 8] = ["!=", "-=", "->", "*=", "&=", "|=", "<=", "<<="];

/// The keywords that may follow an expression. No operand begins with them.
const FOLLOWING: [&str; 3] = ["as", "else", "in"];

impl Scanner<'_> {
    /// Returns whether an operand begins here.
    pub(super) fn is_operand_next(&self, braces: Braces) -> bool {
        match self.peek(0) {
            Some(Token::Word(word)) => !FOLLOWING.contains(&word.as_str()),
            Some(Token::Group(Delimiter::Brace)) => braces == Braces::OfTheStruct,
            Some(Token::Literal { .. } | Token::Group(_) | Token::Fragment { .. }) => true,
            Some(Token::Mark { .. }) => self.is_any_next(&BEGINNINGS) && !self.is_any_next(&OTHERS),
            None => false,
        }
    }

    /// Skips what may stand before an operand: attributes, unary operators, a
    /// label, and the `let` of a condition with its pattern.
    pub(super) fn skip_prefixes(&mut self) {
        loop {
            if self.eat("#") {
                self.eat_group(Delimiter::Bracket);
            } else if self.eat("&") {
                let is_raw = self.peek_word(0) == Some("raw")
                    && matches!(self.peek_word(1), Some("const" | "mut"));
                if !self.eat_if(is_raw, 2) {
                    self.eat_word("mut");
                }
            } else if self.eat_lifetime() {
                self.eat(":");
            } else if self.eat_word("let") {
                self.skip_pattern();
            } else if !(self.eat("-") || self.eat("!") || self.eat("*")) {
                return;
            }
        }
    }

    /// Skips an operand without the operators around it.
    pub(super) fn skip_primary(&mut self, braces: Braces) -> Result<(), Expected> {
        match self.peek(0) {
            Some(Token::Literal { .. } | Token::Group(_)) => {
                self.at += 1;
                Ok(())
            }
            Some(Token::Word(word)) if !FOLLOWING.contains(&word.as_str()) => {
                self.skip_from_word(braces)
            }
            Some(Token::Fragment { .. }) => self.skip_from_path(braces),
            _ if self.is_any_next(&["<", "::"]) => self.skip_from_path(braces),
            _ if self.is_next("|") => self.skip_closure(braces),
            _ => self.expected("expected an expression"),
        }
    }

    /// Skips an operand that begins with a word: a path, unless it is a keyword.
    fn skip_from_word(&mut self, braces: Braces) -> Result<(), Expected> {
        match self.peek_word(0) {
            Some("if") => self.skip_conditional(),
            Some("match" | "while") => {
                self.at += 1;
                self.skip_expression(Braces::OfTheCondition)?;
                self.skip_block()
            }
            Some("for") => self.skip_for(braces),
            Some("loop" | "unsafe") => {
                self.at += 1;
                self.skip_block()
            }
            Some("try") if self.peek_group(1) == Some(Delimiter::Brace) => {
                self.at += 1;
                self.skip_block()
            }
            Some("async" | "const" | "move") => {
                self.at += 1;
                while self.eat_word("async") || self.eat_word("move") {}
                if self.eat_group(Delimiter::Brace) {
                    return Ok(());
                }
                self.skip_closure(braces)
            }
            Some("return" | "become" | "yield") => {
                self.at += 1;
                self.skip_optional_operand()
            }
            Some("break") => {
                self.at += 1;
                self.eat_lifetime();
                if self.is_operand_next(braces) {
                    self.skip_optional_operand()?;
                }
                Ok(())
            }
            Some("continue") => {
                self.at += 1;
                self.eat_lifetime();
                Ok(())
            }
            Some("true" | "false" | "_") => {
                self.at += 1;
                Ok(())
            }
            _ => self.skip_from_path(braces),
        }
    }

    /// Skips an `if`, and each `else` that belongs to it.
    fn skip_conditional(&mut self) -> Result<(), Expected> {
        loop {
            self.at += 1;
            self.skip_expression(Braces::OfTheCondition)?;
            self.skip_block()?;
            let is_else = self.peek_word(0) == Some("else");
            if is_else && self.peek_word(1) == Some("if") {
                self.at += 1;
                continue;
            }
            self.eat_if(is_else && self.peek_group(1) == Some(Delimiter::Brace), 2);
            return Ok(());
        }
    }

    /// Skips a loop, or a closure that has its lifetimes declared.
    fn skip_for(&mut self, braces: Braces) -> Result<(), Expected> {
        self.at += 1;
        if self.is_next("<") {
            // If no closure follows, these begin the path of a constant, which is
            // a pattern.
            self.skip_angle_brackets();
            while self.eat_word("async") || self.eat_word("move") {}
            if self.is_next("|") {
                return self.skip_closure(braces);
            }
        }
        while !self.eat_word("in") {
            if self.peek(0).is_none() {
                return self.expected("expected `in`");
            }
            self.at += 1;
        }
        self.skip_expression(Braces::OfTheCondition)?;
        self.skip_block()
    }

    fn skip_block(&mut self) -> Result<(), Expected> {
        if self.eat_group(Delimiter::Brace) {
            Ok(())
        } else {
            self.expected("expected curly braces")
        }
    }

    /// Skips a closure from its parameters on.
    fn skip_closure(&mut self, braces: Braces) -> Result<(), Expected> {
        if !self.eat("|") {
            return self.expected("expected `|`");
        }
        while !self.eat("|") {
            if self.peek(0).is_none() {
                return self.expected("expected `|`");
            }
            self.at += 1;
        }
        if self.eat("->") {
            self.skip_type(true);
            self.skip_block()
        } else {
            self.skip_expression(braces)
        }
    }

    /// Skips a path and what may belong to it: the arguments of a macro or the
    /// fields of a struct.
    fn skip_from_path(&mut self, braces: Braces) -> Result<(), Expected> {
        let is_path = !matches!(self.peek(0), Some(Token::Fragment { is_path: false }));
        let start = self.at;
        self.skip_path();
        // A fragment that is a type becomes a path with the `::` that follows.
        if (is_path || self.at > start + 1) && !self.eat_macro() && braces == Braces::OfTheStruct {
            self.eat_group(Delimiter::Brace);
        }
        Ok(())
    }

    /// Skips what may follow an operand: calls, indices, fields, methods, question
    /// marks.
    pub(super) fn skip_postfixes(&mut self) {
        loop {
            if self.is_next(".") && !self.is_next("..") {
                self.at += 1;
                while self.skip_member() {}
                let is_turbofish = self.is_next("::")
                    && matches!(self.peek(2), Some(Token::Mark { mark: '<', .. }));
                if self.eat_if(is_turbofish, 2) {
                    self.skip_angle_brackets();
                }
            } else if !(self.eat("?")
                || self.eat_group(Delimiter::Parenthesis)
                || self.eat_group(Delimiter::Bracket))
            {
                return;
            }
        }
    }

    /// Skips the name or the number after a dot. Returns `true` if the number itself
    /// ends in a dot, so that another member follows.
    fn skip_member(&mut self) -> bool {
        let member = self.peek(0);
        let dot = matches!(member, Some(Token::Literal { dot: true }));
        let is_member = !matches!(member, None | Some(Token::Mark { .. } | Token::Group(_)));
        self.eat_if(is_member, 1);
        dot
    }
}
