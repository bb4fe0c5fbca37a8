//! Whether the ports of a pipeline and what is bound to them go together.

use std::collections::BTreeMap;

use crate::engine::bindings::Bindings;
use crate::error::Problem;
use crate::graph::GraphSpec;

/// Compares the ports of a pipeline with what is bound to them.
pub(super) fn check(spec: &GraphSpec, bindings: &Bindings) -> Result<(), Problem> {
    let sources = bindings.sources().map(|(port, s)| (port, s.record));
    let sinks = bindings.sinks().map(|(port, s)| (port, s.record));
    match_ports(spec, "input", "source", &sources.collect())?;
    match_ports(spec, "output", "sink", &sinks.collect())
}

/// Compares the ports of one kind with what is bound to them, by name and by type.
fn match_ports(
    spec: &GraphSpec,
    kind: &str,
    what: &str,
    bound: &BTreeMap<&str, &str>,
) -> Result<(), Problem> {
    let ports = spec.nodes.iter().filter(|node| node.kind == kind);
    let ports: Vec<_> = ports
        .filter_map(|node| Some((node.port()?, &node.record)))
        .collect();
    if ports.is_empty() {
        return Err(Problem::new(format!("the pipeline has no {kind}"))
            .hint(format!("call `graph.{kind}(\"name\", …)` in its function")));
    }
    // First what has no port: it is what a port without it was meant to have.
    let is_port = |name: &str| ports.iter().any(|(port, _)| *port == name);
    if let Some(name) = bound.keys().find(|name| !is_port(name)) {
        let names: Vec<_> = ports.iter().map(|(port, _)| format!("`{port}`")).collect();
        return Err(Problem::new(format!("the pipeline has no {kind} `{name}`"))
            .hint(format!("its {kind}s are {}", names.join(", "))));
    }
    for (index, (port, record)) in ports.iter().enumerate() {
        if ports[..index].iter().any(|(other, _)| other == port) {
            return Err(Problem::new(format!("two {kind}s are named `{port}`"))
                .hint("give each port a name of its own"));
        }
        match bound.get(port) {
            None => {
                return Err(Problem::new(format!("{kind} `{port}` has no {what}"))
                    .hint(format!("bind one: `.{what}(\"{port}\", …)`")));
            }
            Some(type_name) if type_name != record => {
                return Err(
                    Problem::new(format!("the {what} of `{port}` is of another type"))
                        .detail(format!(
                            "the port carries `{record}`, the {what} `{type_name}`"
                        ))
                        .hint(format!(
                            "name the type where the {what} is made: `::<{record}>`"
                        )),
                );
            }
            Some(_) => {}
        }
    }
    Ok(())
}
