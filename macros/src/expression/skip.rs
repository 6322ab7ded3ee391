//! The parts of expressions that have their own rules: paths, types, generic
//! arguments and patterns.

use proc_macro::Delimiter;

use super::{Scanner, Token};

impl Scanner<'_> {
    /// Skips a path in an expression, where generic arguments need a `::`.
    pub(super) fn skip_path(&mut self) {
        if self.is_next("<") {
            self.skip_angle_brackets();
        } else {
            self.eat_name();
        }
        while self.eat("::") {
            if self.is_next("<") {
                self.skip_angle_brackets();
            } else {
                self.eat_name();
            }
        }
    }

    /// Skips a type, which may be a sum of bounds if `sum` says so.
    pub(super) fn skip_type(&mut self, sum: bool) {
        loop {
            if self.eat("&") {
                self.eat_lifetime();
                self.eat_word("mut");
            } else if self.eat("*") {
                // A `const` or a `mut`.
                self.eat_name();
            } else if self.eat_word("extern") {
                let is_abi = matches!(self.peek(0), Some(Token::Literal { .. }));
                self.eat_if(is_abi, 1);
            } else if self.eat_word("for") {
                self.skip_angle_brackets();
            } else if !(self.eat_word("dyn")
                || self.eat_word("impl")
                || self.eat_word("unsafe")
                || self.eat("?"))
            {
                break;
            }
        }
        if self.eat_word("fn") {
            self.eat_group(Delimiter::Parenthesis);
            self.skip_output();
        } else if !(self.eat_lifetime()
            || self.eat("!")
            || self.eat_group(Delimiter::Parenthesis)
            || self.eat_group(Delimiter::Bracket))
        {
            self.skip_path_of_type();
        }
        while sum && self.eat("+") {
            self.skip_type(false);
        }
    }

    /// Skips a path in a type, where generic arguments need no `::`.
    fn skip_path_of_type(&mut self) {
        // The arguments of a fragment are inside it.
        let mut takes_arguments = !matches!(self.peek(0), Some(Token::Fragment { .. }));
        if !self.is_next("<") {
            self.eat_name();
        }
        loop {
            if self.eat("::") {
                self.eat_name();
                takes_arguments = true;
            } else if !takes_arguments {
                return;
            } else if self.is_next("<") && !self.is_next("<=") && !self.is_next("<<=") {
                self.skip_angle_brackets();
                takes_arguments = false;
            } else if self.eat_group(Delimiter::Parenthesis) {
                self.skip_output();
                takes_arguments = false;
            } else {
                self.eat_macro();
                return;
            }
        }
    }

    fn skip_output(&mut self) {
        if self.eat("->") {
            self.skip_type(false);
        }
    }

    /// Skips angle brackets and what is between them. If they are not closed, the
    /// rest of the statement is skipped, so that rustc sees it as it was written.
    pub(super) fn skip_angle_brackets(&mut self) {
        let mut depth = 0_usize;
        let mut is_arrow = false;
        while let Some(token) = self.peek(0) {
            match token {
                Token::Mark { mark: ';', .. } => return,
                Token::Mark { mark: '<', .. } => depth += 1,
                Token::Mark { mark: '>', .. } if !is_arrow => depth -= 1,
                _ => {}
            }
            is_arrow = self.is_next("->");
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }

    /// Skips the pattern of a `let` and the `=` after it.
    pub(super) fn skip_pattern(&mut self) {
        while self.peek(0).is_some() && !self.eat("=") {
            // The `=` of a range does not end the pattern.
            if !self.eat("..=") {
                self.at += 1;
            }
        }
    }

    fn eat_name(&mut self) {
        let is_name = matches!(self.peek(0), Some(Token::Word(_) | Token::Fragment { .. }));
        self.eat_if(is_name, 1);
    }

    /// Passes the exclamation mark after the path of a macro, and the arguments.
    pub(super) fn eat_macro(&mut self) -> bool {
        let is_macro = self.is_next("!") && self.peek_group(1).is_some();
        self.eat_if(is_macro, 2)
    }
}
