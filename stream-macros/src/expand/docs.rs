//! The documentation that is written beside the user's own: a picture of the graph, and what the
//! struct is for.

use std::collections::BTreeMap;
use std::fmt::Write;

use quote::ToTokens;

use super::spelled::spelled;
use crate::model::{Kind, Model};
use crate::names;

/// The lines that follow the documentation of the function.
pub(super) fn picture(model: &Model) -> Vec<String> {
    let mut lines = vec![String::new(), "# Graph".to_owned(), "```mermaid".to_owned()];
    lines.extend(mermaid(model).lines().map(str::to_owned));
    lines.push("```".to_owned());
    lines
}

/// The picture of the graph in the language of Mermaid.
fn mermaid(model: &Model) -> String {
    let mut text = String::from("flowchart TD\n");
    let mut numbers = BTreeMap::new();
    for parameter in &model.definition.parameters {
        if !matches!(parameter.role, crate::parse::Role::Setting(_)) {
            let name = names::text(&parameter.ident);
            let number = numbers.len();
            let _ = writeln!(text, "  n{number}([{name}])");
            numbers.insert(model.origins[&name].clone(), number);
        }
    }
    let mut next = numbers.len();
    for stage in &model.stages {
        let _ = writeln!(text, "  n{next}[{}]", stage.method);
        arrows(&mut text, &numbers, &stage.reads, next);
        numbers.insert(stage.id.clone(), next);
        next += 1;
    }
    for output in model.each(Kind::Output) {
        let _ = writeln!(text, "  n{next}([{}])", output.name);
        arrows(&mut text, &numbers, std::slice::from_ref(&output.id), next);
        next += 1;
    }
    text
}

fn arrows(text: &mut String, numbers: &BTreeMap<String, usize>, reads: &[String], to: usize) {
    for from in reads.iter().filter_map(|id| numbers.get(id)) {
        let _ = writeln!(text, "  n{from} --> n{to}");
    }
}

/// The documentation of the struct.
pub(super) fn object(model: &Model) -> Vec<String> {
    let ident = &model.definition.ident;
    let mut lines = vec![format!(
        "The pipeline [`{ident}`](fn@{ident}) as an object: its graph, its jobs, its tests."
    )];
    lines.push(String::new());
    if !model.runs_alone() {
        lines.push(
            "It reads streams that only another pipeline can give, so it has no job of its own."
                .to_owned(),
        );
        return lines;
    }
    lines.push("A job of it has these methods, besides those of every job:".to_owned());
    lines.push(String::new());
    for port in &model.ports {
        let (name, ty) = (&port.name, spelled(&port.ty.to_token_stream()));
        let what = match (port.kind, &port.default) {
            (Kind::Input, _) => format!("the input, a source of `{ty}`"),
            (Kind::Output, _) => format!("the output, a sink of the rows of `{ty}`"),
            (Kind::Setting, None) => format!("the setting, a `{ty}`"),
            (Kind::Setting, Some(value)) => {
                let value = spelled(value);
                format!("the setting, a `{ty}`; `{value}` unless told otherwise")
            }
        };
        lines.push(format!("- `.{name}(…)`: {what}"));
    }
    lines
}
