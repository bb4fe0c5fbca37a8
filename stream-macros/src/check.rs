//! The rules that hold for a whole pipeline: every stream is used, every name is used once, every
//! output has a name and a type.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::Ident;
use quote::ToTokens;

use crate::errors::Errors;
use crate::model::{Kind, Model, each_chain};
use crate::names;
use crate::parse::{Bind, Chain, Head, NotStream, Role, Statement};
use crate::refuse;

/// What stands in the place where an input or a setting would be a method: what a test does by methods of its
/// own.
pub(crate) const RESERVED: [&str; 2] = ["check_modes", "check_recovery"];

/// The methods that give two streams, or several and the rest.
const GIVE_TWO: [&str; 4] = ["event_time", "split", "split_by", "try_map"];

/// Notes what keeps the body from being written at all.
pub(crate) fn language(model: &Model, errors: &mut Errors) {
    let body = &model.definition.body;
    let is_parsed = errors.is_empty();
    let mut told = BTreeSet::new();
    for read in &body.in_macros {
        let name = names::text(&read.ident);
        if !model.reads.contains_key(&name) && told.insert(name) {
            refuse::in_macro(read, errors);
        }
    }
    for value in &body.changed {
        refuse::changed(value, errors);
    }
    for bind in binds(model) {
        let last = bind.chain.calls.last().map(|call| &call.method);
        let gives_two = last.filter(|method| {
            GIVE_TWO.iter().any(|name| *method == name) || names::hands_over(method)
        });
        // A numbered part of it was told of already.
        if let (true, Some(method), syn::Pat::Ident(pat)) = (is_parsed, gives_two, &bind.pat) {
            refuse::one_name_for_two(&pat.ident, method, errors);
        }
    }
    each_chain(body, &mut |chain, _| {
        if let Head::Function { function, .. } = &chain.head
            && is_itself(model, function)
        {
            refuse::recursion(function, errors);
        }
    });
    if !errors.is_empty() || !body.unknown.is_empty() {
        return; // What is returned may be what was not understood.
    }
    for NotStream { expr, in_tuple } in &body.not_streams {
        let (what, help) = match in_tuple {
            true => (
                "this is no stream of the pipeline",
                "outputs are named by the bindings returned: `(sessions, late)`",
            ),
            false => (
                "this returns no stream of the pipeline",
                "return streams: a name, a chain, or a tuple of names",
            ),
        };
        errors.add(expr, what, help);
    }
}

/// Whether a function is the pipeline itself, and no other of its name that the body holds.
fn is_itself(model: &Model, function: &syn::Expr) -> bool {
    let syn::Expr::Path(path) = function else {
        return false;
    };
    let ident = &model.definition.ident;
    let mut segments = path.path.segments.iter().map(|segment| &segment.ident);
    let (last, before) = (segments.next_back(), segments.collect::<Vec<_>>());
    let is_here = before.iter().all(|module| *module == "self");
    last == Some(ident) && is_here && (!before.is_empty() || !is_another(model, ident))
}

/// Whether the body has an item or a value of this name.
fn is_another(model: &Model, ident: &Ident) -> bool {
    let mut names = all_names(model).into_iter();
    let mut statements = model.definition.body.statements.iter();
    names.any(|(name, _)| name == *ident)
        || statements.any(|statement| match statement {
            Statement::Plain(stmt, _) => names::declares(stmt, ident),
            _ => false,
        })
}

/// Notes what is wrong with a pipeline that is understood.
pub(crate) fn rules(model: &Model, errors: &mut Errors) {
    names_are_used_once(model, errors);
    ports_have_free_names(model, errors);
    old_names_are_gone(model, errors);
    let body = &model.definition.body;
    if body.is_unwritten || !body.unknown.is_empty() {
        return; // What is missing may be what is to read them.
    }
    streams_are_used(model, errors);
    chains_lead_somewhere(model, errors);
    if errors.is_empty() {
        outputs_match(model, errors);
    }
}

fn binds(model: &Model) -> impl Iterator<Item = &Bind> {
    let statements = model.definition.body.statements.iter();
    statements.filter_map(|statement| match statement {
        Statement::Bind(bind) => Some(&**bind),
        _ => None,
    })
}

/// All names in the order in which they are bound, and whether it is to streams.
fn all_names(model: &Model) -> Vec<(Ident, bool)> {
    let parameters = model.definition.parameters.iter();
    let mut all: Vec<_> = parameters
        .map(|p| (p.ident.clone(), !matches!(p.role, Role::Setting(_))))
        .collect();
    for statement in &model.definition.body.statements {
        let (names, are_streams) = match statement {
            Statement::Bind(bind) => (bind.names.clone(), true),
            Statement::Plain(stmt, _) => (names::bound_by_stmt(stmt), false),
            Statement::End(_) => continue,
        };
        all.extend(names.into_iter().map(|name| (name, are_streams)));
    }
    all
}

/// A plain value may be shadowed by another: no state is found by its name.
fn names_are_used_once(model: &Model, errors: &mut Errors) {
    let mut seen = BTreeMap::new();
    for (name, is_stream) in all_names(model) {
        let before = seen.insert(names::text(&name), is_stream);
        let help = match (before, is_stream) {
            (None, _) | (Some(false), false) => continue,
            (Some(true), true) => {
                "the state of a stage is found by the name of its binding: give this one another"
            }
            _ => {
                "one of the two is a stream, and the state of a stage is found by the name of its \
                 binding: give this one another"
            }
        };
        let what = format!("the name `{}` is taken", names::text(&name));
        errors.add(name, what, help);
    }
}

fn streams_are_used(model: &Model, errors: &mut Errors) {
    for parameter in &model.definition.parameters {
        let name = &parameter.ident;
        let is_stream = !matches!(parameter.role, Role::Setting(_));
        if is_stream && is_never_read(model, name) {
            let what = format!("the input `{name}` is never read");
            let help =
                format!("read it, leave it out, or say that it is meant: `{name}.discard();`");
            errors.add(name, what, help);
        }
    }
    for bind in binds(model) {
        for name in &bind.names {
            if !is_never_read(model, name) {
                continue;
            }
            let (what, help) = if is_late(bind, name) {
                (
                    format!("the late records in `{name}` are never read"),
                    format!(
                        "return them as an output, or say that they may be lost: \
                         `{name}.discard();`"
                    ),
                )
            } else {
                (
                    format!("the stream `{name}` is never read"),
                    format!("read it, return it, or say that it is meant: `{name}.discard();`"),
                )
            };
            errors.add(name, what, help);
        }
    }
}

/// Whether a stream is never read; what a macro may read was told.
fn is_never_read(model: &Model, name: &Ident) -> bool {
    let mut in_macros = model.definition.body.in_macros.iter();
    !model.reads.contains_key(&names::text(name)) && !in_macros.any(|read| read.ident == *name)
}

/// Whether a name is the second of what `event_time` gives.
fn is_late(bind: &Bind, name: &Ident) -> bool {
    let last = bind.chain.calls.last();
    last.is_some_and(|call| call.method == "event_time")
        && names::bound_by(&bind.pat).len() <= 2
        && bind.names.last() == Some(name)
        && matches!(&bind.pat, syn::Pat::Tuple(_))
}

fn chains_lead_somewhere(model: &Model, errors: &mut Errors) {
    for statement in &model.definition.body.statements {
        let Statement::End(chain) = statement else {
            continue;
        };
        let ends = chain
            .calls
            .last()
            .is_some_and(|call| call.method == "discard");
        if ends || matches!(chain.head, Head::Broken(_)) {
            continue;
        }
        let what = "what comes out of this chain is thrown away";
        let help = "bind it with `let`, or say that it is meant: end the chain with `.discard()`";
        errors.add(end_of(chain, &model.definition.ident), what, help);
    }
}

/// The last token of a chain that an error can point at.
fn end_of(chain: &Chain, function: &Ident) -> proc_macro2::TokenStream {
    match (&chain.head, chain.calls.last()) {
        (_, Some(call)) => call.method.to_token_stream(),
        (Head::Read(read), None) => read.ident.to_token_stream(),
        (Head::Function { function, .. }, None) => function.to_token_stream(),
        _ => function.to_token_stream(),
    }
}

fn outputs_match(model: &Model, errors: &mut Errors) {
    let definition = &model.definition;
    let (types, streams) = (definition.returns.len(), definition.body.returned.len());
    if types == 0 || streams == 0 || types == streams {
        return;
    }
    let function_call = definition
        .body
        .returned
        .iter()
        .any(|chain| matches!(chain.head, Head::Function { .. }) && chain.calls.is_empty());
    let help = if streams == 1 && function_call {
        "name the outputs: `let (first, second) = …;`, and return `(first, second)`"
    } else {
        "say one type for each stream that the last expression returns, in the same order; a tuple \
         type is said here and not by another name"
    };
    let what = format!(
        "`{}` returns {}, but its type says {}",
        definition.ident,
        counted(streams, "stream"),
        counted(types, "output"),
    );
    errors.add(&definition.output, what, help);
}

fn counted(number: usize, thing: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{s}")
}

fn ports_have_free_names(model: &Model, errors: &mut Errors) {
    let mut taken: BTreeMap<&str, Kind> = BTreeMap::new();
    for port in &model.ports {
        let ident = Ident::new_raw(&port.name, port.span);
        if RESERVED.contains(&&*port.name) && port.kind != Kind::Output {
            let what = format!("{} cannot be named `{}`", port.kind.a_name(), port.name);
            let help = "each input and each setting is a method of the pipeline's test, which has \
                        this method already: take another name";
            errors.add(&ident, what, help);
        }
        if let Some(other) = taken.insert(&port.name, port.kind) {
            let what = format!(
                "`{}` names {} and also {}",
                port.name,
                port.kind.a_name(),
                other.a_name(),
            );
            let help = "each port is a method of the job: return another binding, `let name = …;`";
            errors.add(&ident, what, help);
        }
    }
}

fn old_names_are_gone(model: &Model, errors: &mut Errors) {
    let current = all_names(model);
    let current: Vec<_> = current.iter().map(|(name, _)| names::text(name)).collect();
    let mut claimed = Vec::new();
    for was in binds(model).filter_map(|bind| bind.was.as_ref()) {
        let name = was.value();
        let what = if current.contains(&name) {
            format!("`{name}` is still the name of another binding")
        } else if claimed.contains(&name) {
            format!("two bindings say that they were `{name}`")
        } else {
            claimed.push(name);
            continue;
        };
        let help = "the state that is kept under a name can go to one binding only";
        errors.add(was, what, help);
    }
}
