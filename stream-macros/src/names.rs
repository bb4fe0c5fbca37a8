//! Which of the names in scope a piece of Rust reads.
//!
//! Names that a closure, a `let`, a match arm or a loop binds inside of the piece hide those
//! outside. Macros are opaque: a token in one that happens to be a name may be a variant, a pattern
//! or a closure's own, so what is read there is read *perhaps*; fields, methods, parts of paths and
//! names of arguments are told apart. So are read the names in the format strings of
//! `format!("{gap:width$}")` and its kin. A setting or a plain value that is perhaps read is taken
//! along, which costs a clone at most; a stream is read for certain or not at all.

use std::collections::BTreeSet;

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::Parser;
use syn::visit::{self, Visit};
use syn::{Arm, Block, Expr, ExprClosure, ExprForLoop, ExprIf, ExprLet, ExprWhile, Local, Macro};
use syn::{Item, Pat, PatIdent, Stmt, UseTree};

/// Names that can be read.
pub(crate) type Names = BTreeSet<String>;

/// A name as people say it, without `r#`.
pub(crate) fn text(ident: &Ident) -> String {
    ident.unraw().to_string()
}

/// Whether a method hands over the records that it overtakes, as a second stream.
pub(crate) fn hands_over(method: &Ident) -> bool {
    text(method).ends_with("_with_overtaken")
}

/// A read of a name.
#[derive(Clone)]
pub(crate) struct Found {
    pub(crate) ident: Ident,
    /// Where it stands in a macro, so that it may be none: the macro's name.
    pub(crate) in_macro: Option<Ident>,
    pub(crate) in_closure: bool,
    /// Whether it is read by `&name`, `name.field`, `name[…]` or `name.method()`, outside of a closure.
    pub(crate) is_borrowed: bool,
}

/// The reads of `names` in an expression, in the order of the text, those in macros too.
pub(crate) fn read_by(expr: &Expr, names: &Names) -> Vec<Found> {
    let mut finder = Finder::new(names);
    finder.visit_expr(expr);
    finder.found
}

/// The reads of `names` in a statement.
pub(crate) fn read_by_stmt(stmt: &Stmt, names: &Names) -> Vec<Found> {
    let mut finder = Finder::new(names);
    finder.visit_stmt(stmt);
    finder.found
}

/// The names that a pattern binds.
pub(crate) fn bound_by(pat: &Pat) -> Vec<Ident> {
    struct Bound(Vec<Ident>);
    impl<'a> Visit<'a> for Bound {
        fn visit_pat_ident(&mut self, pat: &'a PatIdent) {
            self.0.push(pat.ident.clone());
            visit::visit_pat_ident(self, pat);
        }
    }
    let mut bound = Bound(Vec::new());
    bound.visit_pat(pat);
    bound.0
}

/// The names that a statement binds.
pub(crate) fn bound_by_stmt(stmt: &Stmt) -> Vec<Ident> {
    match stmt {
        Stmt::Local(local) => bound_by(&local.pat),
        _ => Vec::new(),
    }
}

/// Whether a statement is an item that gives a function this name: one of its own, or by `use`.
pub(crate) fn declares(stmt: &Stmt, name: &Ident) -> bool {
    fn imports(tree: &UseTree, name: &Ident) -> bool {
        match tree {
            UseTree::Path(path) => imports(&path.tree, name),
            UseTree::Name(one) => one.ident == *name,
            UseTree::Rename(renamed) => renamed.rename == *name,
            UseTree::Group(group) => group.items.iter().any(|tree| imports(tree, name)),
            UseTree::Glob(_) => false,
        }
    }
    match stmt {
        Stmt::Item(Item::Fn(function)) => function.sig.ident == *name,
        Stmt::Item(Item::Use(import)) => imports(&import.tree, name),
        _ => false,
    }
}

/// The methods that change what they are called on, of the collections that people count with.
const CHANGING: [&str; 12] = [
    "append",
    "clear",
    "entry",
    "extend",
    "get_mut",
    "insert",
    "pop",
    "push",
    "push_back",
    "push_str",
    "remove",
    "retain",
];

/// The values, of those that may be changed, that the closures in an argument of a stream's method
/// change, each once. Closures in plain Rust may change what they like.
pub(crate) fn changed_by(argument: &Expr, values: &Names) -> Vec<Ident> {
    let mut finder = Changes {
        values: values.clone(),
        in_closure: false,
        found: Vec::new(),
    };
    finder.visit_expr(argument);
    finder.found
}

/// Notes which of the names that a `let` binds may be changed.
pub(crate) fn note_mutable(pat: &Pat, values: &mut Names) {
    struct Mutable<'n>(&'n mut Names);
    impl<'a> Visit<'a> for Mutable<'_> {
        fn visit_pat_ident(&mut self, pat: &'a PatIdent) {
            match pat.mutability {
                Some(_) => self.0.insert(text(&pat.ident)),
                None => self.0.remove(&text(&pat.ident)),
            };
            visit::visit_pat_ident(self, pat);
        }
    }
    Mutable(values).visit_pat(pat);
}

struct Changes {
    values: Names,
    in_closure: bool,
    found: Vec<Ident>,
}

impl Changes {
    fn meet(&mut self, target: &Expr) {
        match target {
            Expr::Path(path) => {
                let Some(ident) = path.path.get_ident() else {
                    return;
                };
                let is_new = self.found.iter().all(|found| found != ident);
                if self.in_closure && is_new && self.values.contains(&text(ident)) {
                    self.found.push(ident.clone());
                }
            }
            Expr::Field(field) => self.meet(&field.base),
            Expr::Index(index) => self.meet(&index.expr),
            _ => {}
        }
    }
}

impl<'a> Visit<'a> for Changes {
    fn visit_pat_ident(&mut self, pat: &'a PatIdent) {
        self.values.remove(&text(&pat.ident)); // it hides what is outside
        visit::visit_pat_ident(self, pat);
    }

    fn visit_expr_closure(&mut self, closure: &'a ExprClosure) {
        let values = self.values.clone();
        let outside = std::mem::replace(&mut self.in_closure, true);
        visit::visit_expr_closure(self, closure);
        self.in_closure = outside;
        self.values = values;
    }

    fn visit_expr_assign(&mut self, assign: &'a syn::ExprAssign) {
        self.meet(&assign.left);
        visit::visit_expr_assign(self, assign);
    }

    fn visit_expr_binary(&mut self, binary: &'a syn::ExprBinary) {
        use syn::BinOp::{
            AddAssign, BitAndAssign, BitOrAssign, BitXorAssign, DivAssign, MulAssign, RemAssign,
            ShlAssign, ShrAssign, SubAssign,
        };
        if matches!(
            binary.op,
            AddAssign(_)
                | SubAssign(_)
                | MulAssign(_)
                | DivAssign(_)
                | RemAssign(_)
                | BitXorAssign(_)
                | BitAndAssign(_)
                | BitOrAssign(_)
                | ShlAssign(_)
                | ShrAssign(_)
        ) {
            self.meet(&binary.left);
        }
        visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_method_call(&mut self, call: &'a syn::ExprMethodCall) {
        if CHANGING.iter().any(|name| call.method == name) {
            self.meet(&call.receiver);
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_item(&mut self, _: &'a syn::Item) {}
}

struct Finder<'n> {
    names: &'n Names,
    /// What hides the names at this place, the innermost last.
    hidden: Vec<String>,
    /// The macro that this place is in.
    in_macro: Option<Ident>,
    in_closure: bool,
    /// The arguments of the macro, which its format string may name.
    arguments: Vec<String>,
    found: Vec<Found>,
}

impl<'n> Finder<'n> {
    fn new(names: &'n Names) -> Self {
        Finder {
            names,
            hidden: Vec::new(),
            in_macro: None,
            in_closure: false,
            arguments: Vec::new(),
            found: Vec::new(),
        }
    }

    fn meet(&mut self, ident: &Ident) {
        let name = text(ident);
        if self.names.contains(&name) && !self.hidden.contains(&name) {
            self.found.push(Found {
                ident: ident.clone(),
                in_macro: self.in_macro.clone(),
                in_closure: self.in_closure,
                is_borrowed: false,
            });
        }
    }

    /// Visits what is borrowed where it stands: if it is a name, it is not moved.
    fn borrow(&mut self, expr: &Expr) {
        let before = self.found.len();
        self.visit_expr(expr);
        if let (Expr::Path(_), false) = (expr, self.in_closure) {
            let found = self.found[before..].iter_mut();
            found.for_each(|found| found.is_borrowed = true);
        }
    }

    fn hide(&mut self, pat: &Pat) {
        let bound = bound_by(pat);
        self.hidden.extend(bound.iter().map(text));
    }

    /// Visits a piece whose bindings end with it.
    fn inside(&mut self, visit: impl FnOnce(&mut Self)) {
        let outside = self.hidden.len();
        visit(self);
        self.hidden.truncate(outside);
    }

    fn meet_tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let arguments = tokens
            .iter()
            .enumerate()
            .filter_map(|(at, token)| match token {
                TokenTree::Ident(ident) if is_argument(&tokens, at) => Some(text(ident)),
                _ => None,
            });
        let outside = std::mem::replace(&mut self.arguments, arguments.collect());
        for (at, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Ident(_) if is_part(&tokens, at) || is_argument(&tokens, at) => {}
                TokenTree::Ident(ident) => self.meet(ident),
                TokenTree::Group(group) => self.meet_tokens(group.stream()),
                TokenTree::Literal(literal) => {
                    self.meet_format(&literal.to_string(), literal.span());
                }
                TokenTree::Punct(_) => {}
            }
        }
        self.arguments = outside;
    }

    /// Meets the names in the braces of what may be a format string: `{name}`, and the width and the
    /// precision of `{name:width$.precision$}`.
    fn meet_format(&mut self, text: &str, span: Span) {
        for piece in text.replace("{{", "").split('{').skip(1) {
            let Some((argument, _)) = piece.split_once('}') else {
                continue;
            };
            let (name, format) = argument.split_once(':').unwrap_or((argument, ""));
            // What stands before a `$` is the end of it: `>width` is an alignment and a name.
            let is_of_name = |c: char| c.is_alphanumeric() || c == '_';
            let parts = format.split('$').rev().skip(1);
            let counts = parts.map(|part| part.trim_start_matches(|c| !is_of_name(c)));
            let counts = counts.map(|part| part.rsplit(|c| !is_of_name(c)).next().unwrap_or(part));
            for name in counts.chain([name.trim()]) {
                if self.arguments.iter().any(|argument| argument == name) {
                    continue;
                }
                if let Ok(mut ident) = Ident::parse_any.parse_str(name) {
                    ident.set_span(span);
                    self.meet(&ident);
                }
            }
        }
    }
}

impl<'a> Visit<'a> for Finder<'_> {
    fn visit_expr_path(&mut self, path: &'a syn::ExprPath) {
        if let (None, Some(ident)) = (&path.qself, path.path.get_ident()) {
            self.meet(ident);
        }
        visit::visit_expr_path(self, path);
    }

    fn visit_expr_reference(&mut self, reference: &'a syn::ExprReference) {
        self.borrow(&reference.expr);
    }

    fn visit_expr_field(&mut self, field: &'a syn::ExprField) {
        self.borrow(&field.base);
    }

    fn visit_expr_index(&mut self, index: &'a syn::ExprIndex) {
        self.borrow(&index.expr);
        self.visit_expr(&index.index);
    }

    fn visit_expr_method_call(&mut self, call: &'a syn::ExprMethodCall) {
        self.borrow(&call.receiver);
        call.args.iter().for_each(|arg| self.visit_expr(arg));
    }

    fn visit_macro(&mut self, mac: &'a Macro) {
        let outer = self.in_macro.clone();
        let name = mac.path.segments.last().map(|last| last.ident.clone());
        self.in_macro = outer.clone().or(name);
        self.meet_tokens(mac.tokens.clone());
        self.in_macro = outer;
    }

    fn visit_expr_closure(&mut self, closure: &'a ExprClosure) {
        self.inside(|this| {
            closure.inputs.iter().for_each(|pat| this.hide(pat));
            let outside = std::mem::replace(&mut this.in_closure, true);
            this.visit_expr(&closure.body);
            this.in_closure = outside;
        });
    }

    fn visit_block(&mut self, block: &'a Block) {
        self.inside(|this| visit::visit_block(this, block));
    }

    fn visit_local(&mut self, local: &'a Local) {
        visit::visit_local(self, local);
        self.hide(&local.pat);
    }

    fn visit_arm(&mut self, arm: &'a Arm) {
        self.inside(|this| {
            this.hide(&arm.pat);
            visit::visit_arm(this, arm);
        });
    }

    fn visit_expr_if(&mut self, branch: &'a ExprIf) {
        self.inside(|this| {
            this.visit_expr(&branch.cond);
            this.visit_block(&branch.then_branch);
        });
        if let Some((_, otherwise)) = &branch.else_branch {
            self.visit_expr(otherwise);
        }
    }

    fn visit_expr_while(&mut self, repeated: &'a ExprWhile) {
        self.inside(|this| visit::visit_expr_while(this, repeated));
    }

    fn visit_expr_let(&mut self, binding: &'a ExprLet) {
        self.visit_expr(&binding.expr);
        self.hide(&binding.pat);
    }

    fn visit_expr_for_loop(&mut self, repeated: &'a ExprForLoop) {
        self.visit_expr(&repeated.expr);
        self.inside(|this| {
            this.hide(&repeated.pat);
            this.visit_block(&repeated.body);
        });
    }

    /// What an item says is of no concern to it: it cannot read what is around it.
    fn visit_item(&mut self, _: &'a syn::Item) {}
}

/// Whether a name among the tokens of a macro is a part of something else: a field, a method, a part
/// of a path, a macro.
fn is_part(tokens: &[TokenTree], at: usize) -> bool {
    let ([before2, before], [behind, behind2]) = puncts(tokens, at);
    let is_field = before == Some('.') && before2 != Some('.');
    let is_in_path = [before2, before] == [Some(':'); 2] || [behind, behind2] == [Some(':'); 2];
    let is_macro = behind == Some('!') && behind2 != Some('=');
    is_field || is_in_path || is_macro
}

/// Whether it is the name of an argument: `name = value`.
fn is_argument(tokens: &[TokenTree], at: usize) -> bool {
    let ([_, before], [behind, behind2]) = puncts(tokens, at);
    matches!(before, None | Some(',')) && behind == Some('=') && behind2 != Some('=')
}

/// The two tokens before a place and the two behind it, where they are punctuation.
fn puncts(tokens: &[TokenTree], at: usize) -> ([Option<char>; 2], [Option<char>; 2]) {
    let punct = |at: Option<usize>| match at.and_then(|at| tokens.get(at)) {
        Some(TokenTree::Punct(punct)) => Some(punct.as_char()),
        _ => None,
    };
    (
        [punct(at.checked_sub(2)), punct(at.checked_sub(1))],
        [punct(Some(at + 1)), punct(Some(at + 2))],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    fn reads(expr: &Expr) -> Vec<String> {
        let names = ["gap", "min"].map(String::from).into();
        let reads = read_by(expr, &names);
        reads.iter().map(|read| read.ident.to_string()).collect()
    }

    #[test]
    fn what_a_piece_binds_itself_is_no_read() {
        assert_eq!(reads(&parse_quote!(|x| x > min)), ["min"]);
        assert_eq!(reads(&parse_quote!(|min| min > 0)), Vec::<String>::new());
        assert_eq!(
            reads(&parse_quote!(|x| {
                let min = min + x;
                min
            })),
            ["min"]
        );
        let arm: Expr = parse_quote!(|x| match x {
            Some(min) if min > 0 => min,
            _ => gap,
        });
        assert_eq!(reads(&arm), ["gap"]);
        assert_eq!(
            reads(&parse_quote!(|x| if let Some(min) = x { min } else { min })),
            ["min"]
        );
        assert_eq!(reads(&parse_quote!(a.min(b.gap))), Vec::<String>::new());
    }

    #[test]
    fn macros_and_their_format_strings_are_searched() {
        assert_eq!(
            reads(&parse_quote!(|x| format!("{gap:?} {} {x}", min))),
            ["gap", "min"]
        );
        assert_eq!(
            reads(&parse_quote!(|x| format!("{x:>gap$.min$} {{gap}}"))),
            ["min", "gap"]
        );
    }

    #[test]
    fn what_stands_in_a_macro_is_read_perhaps() {
        let names = ["late"].map(String::from).into();
        let perhaps = |expr: &Expr| -> Vec<_> {
            let reads = read_by(expr, &names).into_iter();
            let macros = reads.map(|read| read.in_macro.map(|name| name.to_string()));
            macros.collect()
        };
        let expr = parse_quote!(|kind| (matches!(kind, Line(late)), late));
        assert_eq!(perhaps(&expr), [Some("matches".to_owned()), None]);
        let expr = parse_quote!(|order| format!("{late}", order.late, late::of()));
        assert_eq!(perhaps(&expr), [Some("format".to_owned())]);
        let expr = parse_quote!(|order| format!("{late}", late = order.at));
        assert_eq!(perhaps(&expr), []);
        let expr = parse_quote!(|order| assert!(late == 1 && ..late, late != 2));
        assert_eq!(perhaps(&expr).len(), 3);
    }

    #[test]
    fn what_is_borrowed_where_it_stands_is_not_moved() {
        let names = ["gap"].map(String::from).into();
        let expr = parse_quote!(f(&gap, gap.len(), gap.min, gap[0], gap, |x| gap.len()));
        let borrowed = read_by(&expr, &names).into_iter();
        let borrowed: Vec<_> = borrowed.map(|read| read.is_borrowed).collect();
        assert_eq!(borrowed, [true, true, true, true, false, false]);
    }
}
