//! Types and expressions as people write them, for documentation and messages.
//!
//! Tokens know nothing of the spaces between them. Whether there is one follows from what stands
//! before: behind an operand `&`, `-` and `<` stand between two, else they belong to what follows.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use quote::ToTokens;

/// Operators of more than one character, which tokens have one by one.
const OPERATORS: [&str; 13] = [
    "::", "->", "=>", "==", "!=", "<=", ">=", "&&", "||", "..", "..=", "<<", ">>",
];
/// Words that something follows.
const KEYWORDS: [&str; 12] = [
    "as", "const", "dyn", "else", "if", "impl", "in", "let", "match", "move", "mut", "return",
];

/// A type or an expression as people write it.
pub(super) fn spelled(tokens: &impl ToTokens) -> String {
    let mut words = Vec::new();
    gather(tokens.to_token_stream(), &mut words);
    let mut line = Line::default();
    words.iter().for_each(|word| line.add(word));
    line.text
}

fn gather(tokens: TokenStream, words: &mut Vec<String>) {
    let mut goes_on = false;
    for token in tokens {
        let word = match &token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::None => ("", ""),
                };
                words.push(open.to_owned());
                gather(group.stream(), words);
                close.to_owned()
            }
            other => other.to_string(),
        };
        let before = words.last_mut().filter(|_| goes_on);
        match before.map(|before| (format!("{before}{word}"), before)) {
            Some((both, before)) if is_one(&both) => *before = both,
            _ => words.push(word),
        }
        goes_on = matches!(&token, TokenTree::Punct(punct) if punct.spacing() == Spacing::Joint);
    }
    words.retain(|word| !word.is_empty());
}

fn is_one(word: &str) -> bool {
    word.len() > 1 && (word.starts_with('\'') || OPERATORS.contains(&word))
}

#[derive(Default)]
struct Line {
    text: String,
    last: String,
    /// Whether an operand stands before, and whether what follows it begins at once.
    is_operand: bool,
    is_tight: bool,
    /// How many `<` are open, and whether a `|` is.
    generics: usize,
    in_bars: bool,
}

impl Line {
    fn add(&mut self, word: &str) {
        let begins = |c: fn(char) -> bool| word.starts_with(c);
        let is_word = begins(|c| c.is_alphanumeric() || "_'\"".contains(c));
        let is_lifetime = begins(|c| c == '\'') && !word.ends_with('\'');
        let is_keyword = KEYWORDS.contains(&word);
        // Whether there is a space before and behind, where the other side has nothing against it.
        let (before, behind, is_operand) = match word {
            _ if is_word => (true, true, !is_keyword && !is_lifetime),
            "(" | "[" => (!self.is_operand, false, false),
            ")" | "]" => (false, true, true),
            "}" => (self.last != "{", true, true),
            "," | ";" | ":" => (false, true, false),
            "?" => (false, true, true),
            "::" | "." | ".." | "..=" => (!self.is_operand, false, false),
            "<" if self.opens_generics() => {
                self.generics += 1;
                (!self.is_operand && self.last != "::", false, false)
            }
            ">" | ">>" if self.generics > 0 => {
                self.generics = self.generics.saturating_sub(word.len());
                (false, true, true)
            }
            "!" if self.is_operand => (false, false, true),
            "|" if self.in_bars || !self.is_operand => {
                self.in_bars = !self.in_bars;
                (self.in_bars, !self.in_bars, false)
            }
            "&" | "&&" | "*" | "-" | "!" | "#" => (true, self.is_operand, false),
            _ => (true, true, false),
        };
        if before && !self.is_tight && !self.text.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(word);
        word.clone_into(&mut self.last);
        (self.is_tight, self.is_operand) = (!behind, is_operand);
    }

    /// Whether a `<` begins arguments of a type; else it compares.
    fn opens_generics(&self) -> bool {
        let is_type = self.last.starts_with(char::is_uppercase)
            && (self.last.len() == 1 || self.last.contains(char::is_lowercase));
        is_type || self.last == "for" || !self.is_operand
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_become_what_was_written() {
        for text in [
            "Table<String, u64>",
            "Vec<Vec<&'static str>>",
            "fn(&str, usize) -> bool",
            "Arc<dyn Fn(&str) -> bool + Send + Sync>",
            "Arc<dyn for<'a> Fn(&'a str) -> &'a str>",
            "[u8; 4]",
            "(u64,)",
            "<S as Shape>::In",
            "std::collections::BTreeMap<u8, &'static [u8]>",
            "A & B",
            "a < b && c > 1",
            "1 << 3",
            "-1 - -2",
            "!a || *b != c",
            "size_of::<u64>() * 2",
            "Gap::mins(30)",
            "vec![1, 2]",
            "0..=9",
            "a * (b + 1)",
            "|x, y| x + y",
            "Limit { min: 1, max: None }",
            "\"a\".to_string()",
            "x as f64",
        ] {
            let ty = syn::parse_str::<syn::Type>(text).map(|ty| spelled(&ty));
            let expr = syn::parse_str::<syn::Expr>(text).map(|expr| spelled(&expr));
            let spellings = [ty, expr].into_iter().flatten().collect::<Vec<_>>();
            assert!(
                spellings.iter().any(|said| said == text),
                "{text}: {spellings:?}"
            );
        }
    }
}
