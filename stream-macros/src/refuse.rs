//! What is not in the language, each with its reason and its remedy.

use proc_macro2::Ident;
use quote::ToTokens;
use syn::{Expr, Pat};

use crate::errors::Errors;
use crate::names::{Found, hands_over, text};

const SAME_GRAPH: &str = "every worker builds the same graph, once, before any record is there";

/// Refuses an expression that names streams.
pub(crate) fn expr(expr: &Expr, errors: &mut Errors) {
    let mut add = |at: &dyn ToTokens, what: &str, help: &str| errors.add(at, what, help);
    let by_record = format!(
        "{SAME_GRAPH}: decide for each record in a closure (`.filter(|record| …)`), or divide the \
         stream with `.split(|record| …)`"
    );
    match expr {
        Expr::If(e) => add(
            &e.if_token,
            "`if` cannot choose between streams",
            &by_record,
        ),
        Expr::Match(e) => add(
            &e.match_token,
            "`match` cannot choose between streams",
            &by_record,
        ),
        Expr::ForLoop(e) => refuse_loop(&e.for_token, "for", errors),
        Expr::While(e) => refuse_loop(&e.while_token, "while", errors),
        Expr::Loop(e) => refuse_loop(&e.loop_token, "loop", errors),
        Expr::Return(e) => last_return(e, errors),
        Expr::Try(e) => {
            let help = "building a graph cannot fail; what may fail for a record belongs in a \
                        closure: `.filter_map(|record| parse(record).ok())`";
            add(&e.question_token, "`?` cannot be used on a stream", help);
        }
        Expr::Await(e) => {
            let help = "records come by themselves: call the next method on the stream";
            add(&e.await_token, "a stream is not awaited", help);
        }
        Expr::Closure(e) => {
            let help = "bind the stream with `let`, or write a function with `#[pipeline]`";
            add(&e.inputs_begin, "a closure cannot stand for a stream", help);
        }
        Expr::Macro(e) => macro_call(&e.mac.path, errors),
        Expr::Reference(e) => {
            let help = "hand over the stream itself; it is cloned where it is read again";
            add(&e.and_token, "a stream is not borrowed", help);
        }
        Expr::Block(e) => block(&e.block.brace_token.span.join(), errors),
        Expr::Unsafe(e) => add(&e.unsafe_token, "`unsafe` has no place here", FLAT),
        Expr::Async(e) => add(&e.async_token, "`async` has no place here", FLAT),
        Expr::Tuple(e) => {
            let help = "give each stream a `let` of its own; only the last expression is a tuple";
            add(e, "streams are bound one by one", help);
        }
        Expr::Field(e) => {
            let help = "take the streams apart by name: `let (on_time, late) = …;`";
            add(&e.member, "a stream has no numbered parts", help);
        }
        Expr::Assign(e) => {
            let help = "bind the new stream to a name of its own: `let name = …;`";
            add(
                &e.eq_token,
                "a stream is bound once and never assigned",
                help,
            );
        }
        other => {
            let help = "a stream is read by its name, by methods, and by calls of other pipelines";
            add(other, "this is not understood in a pipeline", help);
        }
    }
}

/// Refuses a `return`.
pub(crate) fn last_return(returned: &syn::ExprReturn, errors: &mut Errors) {
    let help = "the last expression says the outputs, without `return` and without a `;`";
    errors.add(returned.return_token, "a pipeline does not `return`", help);
}

const FLAT: &str = "a pipeline is flat: `let` bindings, method chains, calls of other pipelines, \
                    and the streams that it returns";

fn block(at: &proc_macro2::Span, errors: &mut Errors) {
    let at = Ident::new("block", *at);
    errors.add(at, "a block cannot stand for a stream", FLAT);
}

fn refuse_loop(at: &dyn ToTokens, word: &str, errors: &mut Errors) {
    let help = format!(
        "{SAME_GRAPH}: go through records in a closure (`.flat_map(|record| …)`), and write stages \
         one after another"
    );
    errors.add(
        at,
        format!("`{word}` cannot repeat stages of a stream"),
        help,
    );
}

/// Refuses a macro, told by its name, that is given streams.
pub(crate) fn macro_call(name: &dyn ToTokens, errors: &mut Errors) {
    let help =
        "call it in a closure, on the records: `.inspect(|record| println!(\"{record:?}\"))`";
    errors.add(name, "a macro cannot be given a stream", help);
}

/// Tells of a stream that is read in a macro and nowhere else.
pub(crate) fn in_macro(read: &Found, errors: &mut Errors) {
    match &read.in_macro {
        Some(name) if !read.in_closure => macro_call(name, errors),
        _ => captured(&read.ident, errors),
    }
}

/// Refuses a stream that a closure reads.
pub(crate) fn captured(name: &Ident, errors: &mut Errors) {
    let what = format!("the stream `{name}` is read inside a closure");
    let help = "a closure sees one record at a time: bring two streams together with a method that \
                takes both, such as `.union(other)`; the step of a loop is given them: \
                `.iterate(other, |rows, other| …)`";
    errors.add(name, what, help);
}

/// Gives the names that a `let` of streams binds, and refuses every pattern but names, and tuples of names
/// and of arrays of names.
pub(crate) fn pattern(pat: &Pat, errors: &mut Errors) -> Vec<Ident> {
    match pat {
        Pat::Type(typed) => pattern(&typed.pat, errors),
        Pat::Paren(paren) => pattern(&paren.pat, errors),
        Pat::Tuple(tuple) => tuple
            .elems
            .iter()
            .flat_map(|each| names(each, errors))
            .collect(),
        Pat::Wild(wild) => {
            let help = "give it a name and read it, or end the chain with `.discard()`";
            errors.add(wild, "this stream is thrown away", help);
            Vec::new()
        }
        other => names(other, errors),
    }
}

/// The names of an array of streams, or the one of a stream.
fn names(pat: &Pat, errors: &mut Errors) -> Vec<Ident> {
    match pat {
        Pat::Slice(array) => {
            let each = array.elems.iter();
            each.flat_map(|each| name(each, errors)).collect()
        }
        one => name(one, errors).into_iter().collect(),
    }
}

fn name(pat: &Pat, errors: &mut Errors) -> Option<Ident> {
    let help = "a stream is bound to a name, or several to a tuple of names";
    match pat {
        Pat::Wild(_) => return None,
        Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => {
            if let Some(token) = pat.mutability {
                mutable(token, errors);
            }
            return Some(pat.ident.clone());
        }
        other => errors.add(other, "this pattern cannot bind a stream", help),
    }
    None
}

/// Refuses `mut` on a stream.
pub(crate) fn mutable(token: syn::Token![mut], errors: &mut Errors) {
    let help = "a stream never changes: leave out `mut`, and bind what comes of it to a name of its \
                own";
    errors.add(token, "a stream cannot be `mut`", help);
}

/// Refuses a value that a closure changes.
pub(crate) fn changed(value: &Ident, errors: &mut Errors) {
    let what = format!("a closure changes `{value}`, which stands outside of it");
    let help = "each worker would have its own, and it would be lost with the job: keep state by \
                key, with `.count()`, `.fold(…)` or `.scan(…)` behind `.key_by(…)`";
    errors.add(value, what, help);
}

/// Refuses one name for two streams.
pub(crate) fn one_name_for_two(name: &Ident, method: &Ident, errors: &mut Errors) {
    let (given, pattern, help) = match &*text(method) {
        "event_time" => (
            "two streams",
            format!("({name}, late)"),
            "the records on time, and those that are late",
        ),
        "split_by" => (
            "a stream for each key and one of the rest",
            format!("([{name}], rest)"),
            "the records of each key, in an array, and those of no such key",
        ),
        _ if hands_over(method) => (
            "two streams",
            format!("({name}, overtaken)"),
            "what it gives without that ending, and the records that came when the watermark was past them",
        ),
        _ => (
            "two streams",
            format!("({name}, others)"),
            "the records for which the closure says yes, and the others",
        ),
    };
    let what = format!("`{method}` gives {given}: `let {pattern} = …`");
    errors.add(name, what, format!("they are {help}"));
}

/// Refuses a pipeline that calls itself.
pub(crate) fn recursion(function: &dyn ToTokens, errors: &mut Errors) {
    let help = "the graph would have no end: write a loop over a record's own steps in a closure, \
                `.flat_map(|record| …)`";
    errors.add(function, "a pipeline cannot call itself", help);
}
