//! The operators between two operands.

use super::Scanner;

/// Tokens that begin like an operator, but end an expression.
const ENDS: [&str; 2] = ["=>", "->"];

const ASSIGNMENTS: [&str; 11] = [
    "<<=", ">>=", "+=", "-=", "*=", "/=", "%=", "^=", "&=", "|=", "=",
];

/// A longer operator comes before the operators that it begins with.
const BINARIES: [&str; 18] = [
    "==", "!=", "<=", ">=", "&&", "||", "<<", ">>", "+", "-", "*", "/", "%", "^", "&", "|", "<",
    ">",
];

impl Scanner<'_> {
    /// Passes an operator that needs an operand on its right and is not an assignment.
    pub(super) fn eat_binary(&mut self) -> bool {
        !self.is_assignment_next()
            && !self.is_any_next(&ENDS)
            && BINARIES.iter().any(|operator| self.eat(operator))
    }

    pub(super) fn eat_assignment(&mut self) -> bool {
        self.is_assignment_next() && ASSIGNMENTS.iter().any(|operator| self.eat(operator))
    }

    /// Passes the operator of a range, whose right operand may be missing.
    pub(super) fn eat_range(&mut self) -> bool {
        self.eat("..=") || self.eat("..")
    }

    fn is_assignment_next(&self) -> bool {
        self.is_any_next(&ASSIGNMENTS) && !self.is_next("==") && !self.is_any_next(&ENDS)
    }

    pub(super) fn is_any_next(&self, operators: &[&str]) -> bool {
        operators.iter().any(|operator| self.is_next(operator))
    }
}
