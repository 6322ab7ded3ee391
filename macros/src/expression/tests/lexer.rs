//! Makes tokens of text, as rustc would.

use proc_macro::Delimiter;

use crate::expression::Token;

/// The tokens of `text`, in which `«` and `»` stand for invisible delimiters.
pub(super) fn lex(text: &str) -> Vec<Token> {
    let characters: Vec<char> = text.chars().collect();
    let mut lexer = Lexer {
        characters: &characters,
        at: 0,
    };
    let tokens = lexer.tokens();
    assert_eq!(
        lexer.at,
        characters.len(),
        "`{text}` has all its delimiters"
    );
    tokens
}

struct Lexer<'a> {
    characters: &'a [char],
    at: usize,
}

impl Lexer<'_> {
    /// The tokens up to a closing delimiter or the end.
    fn tokens(&mut self) -> Vec<Token> {
        let mut tokens = Vec::new();
        while let Some(next) = self.peek(0) {
            let token = match next {
                ' ' => {
                    self.at += 1;
                    continue;
                }
                ')' | ']' | '}' | '»' => break,
                '(' => self.group(Delimiter::Parenthesis),
                '[' => self.group(Delimiter::Bracket),
                '{' => self.group(Delimiter::Brace),
                '«' => self.group(Delimiter::None),
                '"' => self.quoted('"'),
                '\'' if self.peek(2) == Some('\'') => self.quoted('\''),
                _ if next.is_ascii_digit() => self.number(),
                _ if is_part_of_word(next) => self.word(),
                _ => self.mark(next),
            };
            tokens.push(token);
        }
        tokens
    }

    fn group(&mut self, delimiter: Delimiter) -> Token {
        self.at += 1;
        let content = self.tokens();
        self.at += 1;
        match delimiter {
            Delimiter::None => Token::fragment(&content),
            _ => Token::Group(delimiter),
        }
    }

    fn quoted(&mut self, quote: char) -> Token {
        self.at += 1;
        self.skip_while(|other| other != quote);
        self.at += 1;
        Token::Literal { dot: false }
    }

    fn number(&mut self) -> Token {
        self.skip_while(is_part_of_word);
        let behind_dot = self.peek(1);
        let dot = self.peek(0) == Some('.')
            && !behind_dot.is_some_and(|next| next == '.' || is_part_of_word(next));
        if dot {
            self.at += 1;
        } else if self.peek(0) == Some('.') && behind_dot.is_some_and(|next| next.is_ascii_digit())
        {
            self.at += 1;
            self.skip_while(is_part_of_word);
        }
        Token::Literal { dot }
    }

    fn word(&mut self) -> Token {
        let start = self.at;
        self.skip_while(is_part_of_word);
        if self.peek(0) == Some('#') && self.characters[start..self.at] == ['r'] {
            self.at += 1;
            self.skip_while(is_part_of_word);
        }
        Token::Word(self.characters[start..self.at].iter().collect())
    }

    fn mark(&mut self, mark: char) -> Token {
        self.at += 1;
        let joint = self.peek(0).is_some_and(|next| match mark {
            '\'' => true,
            _ => next.is_ascii_punctuation() && !"()[]{}\"_".contains(next),
        });
        Token::Mark { mark, joint }
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.characters.get(self.at + ahead).copied()
    }

    fn skip_while(&mut self, is_part: impl Fn(char) -> bool) {
        while self.peek(0).is_some_and(&is_part) {
            self.at += 1;
        }
    }
}

fn is_part_of_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}
