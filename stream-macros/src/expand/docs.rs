//! The documentation that is written beside the user's own: a picture of the graph, and what the
//! struct is for.

use std::collections::BTreeMap;
use std::fmt::Write;

use quote::ToTokens;

use crate::model::Model;

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
            let name = parameter.ident.to_string();
            let number = numbers.len();
            let _ = writeln!(text, "  n{number}([{name}])");
            numbers.insert(format!("{}/{name}", model.definition.name), number);
        }
    }
    let mut next = numbers.len();
    for stage in &model.stages {
        let _ = writeln!(text, "  n{next}[{}]", stage.method);
        arrows(&mut text, &numbers, &stage.reads, next);
        numbers.insert(stage.id.clone(), next);
        next += 1;
    }
    for output in &model.outputs {
        let _ = writeln!(text, "  n{next}([{}])", output.name);
        arrows(
            &mut text,
            &numbers,
            std::slice::from_ref(&output.reads),
            next,
        );
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
    for (parameter, record) in model.inputs() {
        let (name, record) = (&parameter.ident, spelled(record));
        lines.push(format!("- `.{name}(…)`: the input, a source of `{record}`"));
    }
    for (parameter, default) in model.settings() {
        let (name, ty) = (&parameter.ident, spelled(&parameter.ty));
        let default = match default {
            Some(value) => format!("; `{}` unless told otherwise", spelled(value)),
            None => String::new(),
        };
        lines.push(format!("- `.{name}(…)`: the setting, a `{ty}`{default}"));
    }
    for output in &model.outputs {
        let ty = output.ty.as_ref().map(spelled).unwrap_or_default();
        lines.push(format!(
            "- `.{}(…)`: the output, a sink of the rows of `{ty}`",
            output.name
        ));
    }
    lines
}

/// A type or an expression as people write it.
pub(super) fn spelled(tokens: &impl ToTokens) -> String {
    let text = tokens.to_token_stream().to_string();
    let mut text = text
        .replace(" :: ", "::")
        .replace(" < ", "<")
        .replace(" > ", ">");
    for (spaced, tight) in [
        (" >", ">"),
        (" ,", ","),
        ("( ", "("),
        (" )", ")"),
        (" (", "("),
        ("& ", "&"),
    ] {
        text = text.replace(spaced, tight);
    }
    text
}
