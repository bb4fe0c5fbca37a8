//! Inputs that never end: what would wait for them, and what grows with them.

use crate::engine::Mode;
use crate::engine::bindings::Bindings;
use crate::error::Problem;
use crate::graph::sides::LOOKUP;
use crate::graph::{GraphSpec, NodeSpec};
use crate::io::Boundedness;
use crate::time::Lateness;

/// Which stages read an input that never ends.
pub(super) struct Endless<'a> {
    spec: &'a GraphSpec,
    /// By stage: the port of such an input, where there is one.
    fed_by: Vec<Option<&'a str>>,
}

impl<'a> Endless<'a> {
    /// Of a job that reads so many records of each partition, or all.
    pub(super) fn of(bindings: &Bindings, limit: Option<u64>, spec: &'a GraphSpec) -> Self {
        let mut fed_by: Vec<Option<&str>> = Vec::with_capacity(spec.nodes.len());
        for node in &spec.nodes {
            let port = node.port().filter(|_| node.kind == "input");
            let never_ends = |port: &&str| {
                let source = bindings.sources.get(*port);
                source.is_some_and(|source| source.info.boundedness == Boundedness::Unbounded)
            };
            let own = port.filter(never_ends).filter(|_| limit.is_none());
            let upstream = || node.inputs.iter().find_map(|input| fed_by[input.node]);
            fed_by.push(own.or_else(upstream));
        }
        Endless { spec, fed_by }
    }

    /// The stages that such an input flows into, with its port.
    fn stages(&self) -> impl Iterator<Item = (&'a NodeSpec, &'a str)> {
        let stages = self.spec.nodes.iter().zip(&self.fed_by);
        stages.filter_map(|(node, port)| Some((node, (*port)?)))
    }

    /// Refuses what waits for the end of an input that has none.
    pub(super) fn check(&self, mode: Mode) -> Result<(), Problem> {
        let never_ends = |port: &str| format!("the source of `{port}` never ends");
        let first = self.stages().next();
        if let (Some((_, port)), Mode::Batch) = (first, mode) {
            return Err(Problem::new(never_ends(port))
                .detail("batch mode waits for the end of its input")
                .hint("run it with `per-record` or `micro-batch=…`"));
        }
        for (node, port) in self.stages() {
            let waits = || node.parameter("lateness") == Some(&*Lateness::unbounded().to_string());
            let table = node.inputs.get(1);
            match node.kind.as_str() {
                "event_time" if waits() => {
                    let what = format!("`{}` waits for the end of its input", node.id);
                    let why = format!("its lateness is unbounded, and {}", never_ends(port));
                    return Err(Problem::new(what)
                        .detail(why)
                        .hint("give it a lateness, like `Lateness::mins(10)`"));
                }
                LOOKUP => {
                    let Some(port) = table.and_then(|table| self.fed_by[table.node]) else {
                        continue;
                    };
                    let what = format!("`{}` waits for the end of its table", node.id);
                    return Err(Problem::new(what).detail(never_ends(port)).hint(
                        "for a table that goes on changing, `as_of_join` looks up what it was at each \
                         record's time",
                    ));
                }
                "final_content" => {
                    let what = "a table's final content is written at the end of input";
                    return Err(Problem::new(what)
                        .detail(never_ends(port))
                        .hint("write its changes instead: `.changes()` of the table"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Says of each stage that forgets no key what becomes of that.
    pub(super) fn growing(&self) -> impl Iterator<Item = String> {
        let growing = self.spec.nodes.iter().filter(|node| node.grows);
        growing.filter_map(|node| {
            // Of two streams the second is kept.
            let kept = node.inputs.last()?;
            let port = self.fed_by[kept.node]?;
            let where_to = match node.inputs.len() {
                1 => "in front of it",
                _ => "behind the key of the other stream",
            };
            let id = &node.id;
            Some(format!(
                "`{id}` forgets no key, and `{port}` never ends: what it keeps grows with the keys; a \
                 `.ttl(…)` {where_to} forgets those that are silent"
            ))
        })
    }
}
