//! Which inputs are read before which: those that a `lookup` looks up in before those that it is called on.

use std::collections::{BTreeMap, BTreeSet};

use super::spec::{GraphSpec, PortSpec};
use crate::error::Problem;

/// The kind of a stage whose second input is read to its end before its first one begins.
pub(crate) const LOOKUP: &str = "lookup";
/// The kind of one of which that holds in batch mode alone.
pub(crate) const LOOKUP_ARRIVAL: &str = "lookup_arrival";

impl GraphSpec {
    /// By input: those that are read to their end before it, in batch mode or in another.
    ///
    /// # Errors
    /// When an input would have to be read before itself.
    pub(crate) fn read_before(
        &self,
        is_batch: bool,
    ) -> Result<BTreeMap<usize, BTreeSet<usize>>, Problem> {
        let mut before = BTreeMap::<usize, BTreeSet<usize>>::new();
        let inputs = self.inputs_of_all();
        let lookups = self
            .nodes
            .iter()
            .filter(|node| node.kind == LOOKUP || is_batch && node.kind == LOOKUP_ARRIVAL);
        for node in lookups {
            let [stream, table] = &node.inputs[..] else {
                continue;
            };
            let sides = &inputs[table.node];
            for input in &inputs[stream.node] {
                before.entry(*input).or_default().extend(sides);
            }
        }
        // What waits for what waits for it, too.
        loop {
            let all = |of: &BTreeSet<usize>| {
                let further = of.iter().filter_map(|input| before.get(input));
                further.flatten().chain(of).copied().collect()
            };
            let next = before.iter().map(|(input, of)| (*input, all(of))).collect();
            if next == before {
                break;
            }
            before = next;
        }
        let waits_for_itself = |(input, of): &(&usize, &BTreeSet<usize>)| of.contains(input);
        if let Some((input, _)) = before.iter().find(waits_for_itself) {
            return Err(self.waits_for_itself(*input));
        }
        Ok(before)
    }

    /// By node: the inputs that flow into it.
    fn inputs_of_all(&self) -> Vec<BTreeSet<usize>> {
        let mut all: Vec<BTreeSet<usize>> = Vec::with_capacity(self.nodes.len());
        for (number, node) in self.nodes.iter().enumerate() {
            let upstream = node.inputs.iter();
            let mut inputs: BTreeSet<usize> = upstream
                .flat_map(|PortSpec { node, .. }| all[*node].iter().copied())
                .collect();
            if node.kind == "input" {
                inputs.insert(number);
            }
            all.push(inputs);
        }
        all
    }

    fn waits_for_itself(&self, input: usize) -> Problem {
        let port = self.nodes[input].port().unwrap_or_default();
        Problem::new(format!("the input `{port}` would wait for itself"))
            .detail(
                "its records are looked up in a table that is made of them, too, and what is looked up in is read to \
                 its end first",
            )
            .hint("give the table an input of its own; or take `as_of_join`, which follows both in event time")
    }
}
