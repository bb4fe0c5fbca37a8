//! `explain`: the graph as text, in the language of Graphviz, as JSON; nothing runs.
//!
//! Stages are what the pipeline says, operators what the engine runs. A stateless stage becomes a part
//! of the operator that reads it, unless several do; then it is one of its own. An exchange sends
//! each record to the worker that owns its key; the stages before it run where the record is.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::layout::Columns;
use crate::error::{Error, Problem};
use crate::graph::{Class, GraphSpec, NodeSpec, PortSpec};

/// The stages by the operators that they are a part of.
struct Operators<'a> {
    spec: &'a GraphSpec,
    /// By stage: the last stage of its operator.
    owner: Vec<usize>,
    /// By the operator's last stage: its number, and all its stages.
    operators: BTreeMap<usize, (usize, Vec<usize>)>,
    /// The stages that reach no output.
    idle: Vec<usize>,
}

impl<'a> Operators<'a> {
    fn of(spec: &'a GraphSpec) -> Self {
        let reachable = spec.reachable();
        let mut owner: Vec<usize> = (0..spec.nodes.len()).collect();
        let mut readers = vec![Vec::new(); spec.nodes.len()];
        for (index, node) in spec.nodes.iter().enumerate() {
            let inputs = node.inputs.iter().filter(|_| reachable[index]);
            inputs.for_each(|input| readers[input.node].push(index));
        }
        for index in (0..spec.nodes.len()).rev() {
            if let (true, [reader]) = (is_fused(&spec.nodes[index]), &readers[index][..]) {
                owner[index] = owner[*reader];
            }
        }
        let mut operators: BTreeMap<_, (usize, Vec<_>)> = BTreeMap::new();
        for index in (0..spec.nodes.len()).filter(|index| reachable[*index]) {
            operators.entry(owner[index]).or_default().1.push(index);
        }
        for (number, (given, _)) in (1..).zip(operators.values_mut()) {
            *given = number;
        }
        let idle = (0..spec.nodes.len()).filter(|index| !reachable[*index]);
        Operators {
            idle: idle.collect(),
            spec,
            owner,
            operators,
        }
    }

    /// What the stages of an operator read from other operators.
    fn inputs(&self, stages: &[usize]) -> Vec<String> {
        let mut names = Vec::new();
        for stage in stages {
            for input in &self.spec.nodes[*stage].inputs {
                let operator = self.owner[input.node];
                if operator == self.owner[*stage] {
                    continue;
                }
                let number = self
                    .operators
                    .get(&operator)
                    .map_or(0, |(number, _)| *number);
                names.push(format!("{number}{}", self.branch(*input)));
            }
        }
        names
    }

    /// What an output is called that is not the first.
    fn branch(&self, port: PortSpec) -> &'static str {
        let node = &self.spec.nodes[port.node];
        match (port.port, node.kind.as_str()) {
            (0, _) => "",
            (_, "event_time") => " (late)",
            _ if node.overtaken.is_some() => " (overtaken)",
            _ => " (the rest)",
        }
    }
}

/// Whether a stage renders to no operator of its own where one stage reads it.
fn is_fused(node: &NodeSpec) -> bool {
    let has_own = ["input", "output", "event_time", "split"].contains(&node.kind.as_str());
    !has_own && !node.exchange
}

/// What a stage keeps, and for how long.
fn state(spec: &GraphSpec, node: &NodeSpec) -> Option<&'static str> {
    let reads = |kind: &str| {
        node.inputs
            .iter()
            .any(|input| spec.nodes[input.node].kind == kind)
    };
    match node.kind.as_str() {
        "event_time" => Some("the highest time of each lane"),
        "session" | "tumbling" | "sliding" | "calendar" | "early" => {
            Some("a value for each key and open window, until the watermark has passed the window")
        }
        "in_order" => Some("records, until the watermark has passed them"),
        "dedup" | "absence" => Some("times and records of each key, until nothing is near them"),
        "interval_join" | "left_interval_join" | "full_interval_join" => {
            Some("records, until the watermark has passed all that they could be joined with")
        }
        "as_of_join" if node.grows => {
            Some("the latest record of the other stream of each key, for good")
        }
        "as_of_join" => Some("records of each key, until `ttl` has passed since their time"),
        // Differential dataflow's: a join of tables keeps rows of its own.
        "join" | "semi_join" | "anti_join" | "distinct" | "iterate" if node.state.is_none() => {
            Some("indexes of the rows that there are, which are made anew when the job goes on")
        }
        "count_windows" if node.grows => Some("a value for each key, until its window is full"),
        _ if node.parameter("ttl").is_some() => {
            Some("a value for each key, until `ttl` has passed since its last record")
        }
        "lookup" | "lookup_arrival" => Some("the rows of the table"),
        "table" | "join" | "left_join" | "full_join" | "rows" | "settle" => {
            Some("a row for each key, until it is deleted")
        }
        _ if reads("group_by") => Some("what its rows come to for each group, until it is empty"),
        "final_content" => Some("a row for each key, until the end of input"),
        _ if node.grows => Some("a value for each key, for good"),
        _ if node.exchange => Some("a value for each key, as long as the operator has use for it"),
        _ => None,
    }
}

/// The method, the settings and the type of the records.
fn description(node: &NodeSpec) -> String {
    let mut text = settings_of(node);
    if !node.record.is_empty() {
        let _ = write!(text, ", {}", node.record);
    }
    text
}

/// The method and the settings.
pub(super) fn settings_of(node: &NodeSpec) -> String {
    let mut text = node.kind.clone();
    for parameter in &node.parameters {
        match parameter.name.as_str() {
            "port" => {}
            "writes" => {
                let _ = write!(text, " of {}", parameter.value);
            }
            name => {
                let _ = write!(text, " {name}={}", parameter.value);
            }
        }
    }
    text
}

/// The operators in the order in which records pass them, each with its stages.
pub(super) fn text(spec: &GraphSpec) -> String {
    let operators = Operators::of(spec);
    let count = |number: usize, word: &str| match number {
        1 => format!("1 {word}"),
        number => format!("{number} {word}s"),
    };
    let stages = spec.nodes.len() - operators.idle.len();
    let mut text = format!(
        "pipeline {}: {} in {}\n",
        spec.name,
        count(stages, "stage"),
        count(operators.operators.len(), "operator"),
    );
    for (number, stages) in operators.operators.values() {
        let _ = writeln!(text, "\n{number}{}", arrival(&operators, stages));
        text += &stages_of(spec, stages);
        for stage in stages {
            text += &notes(spec, &spec.nodes[*stage]);
        }
    }
    if !operators.idle.is_empty() {
        text += "\nreach no output and compute nothing\n";
        text += &stages_of(spec, &operators.idle);
    }
    text
}

/// Where an operator's records come from, and how.
fn arrival(operators: &Operators<'_>, stages: &[usize]) -> String {
    let inputs = operators.inputs(stages).join(", ");
    let is_exchange = stages
        .iter()
        .any(|stage| operators.spec.nodes[*stage].exchange);
    match (inputs.is_empty(), is_exchange) {
        (true, _) => String::new(),
        (false, false) => format!("  from {inputs}"),
        (false, true) => format!("  from {inputs}, exchanged by key"),
    }
}

fn stages_of(spec: &GraphSpec, stages: &[usize]) -> String {
    let mut columns = Columns::bare(2);
    for stage in stages {
        let node = &spec.nodes[*stage];
        columns.row([node.id.clone(), description(node)]);
    }
    columns.to_string()
}

fn notes(spec: &GraphSpec, node: &NodeSpec) -> String {
    let mut text = String::new();
    if let Some(state) = state(spec, node) {
        let _ = writeln!(text, "  keeps {state}");
    }
    if node.class != Class::Exact {
        let _ = writeln!(text, "  {}", node.class);
    }
    text
}

/// The picture in the language of Graphviz: an operator is a box around its stages, an exchange a
/// bold arrow.
pub(super) fn dot(spec: &GraphSpec) -> String {
    let operators = Operators::of(spec);
    let mut text = format!("digraph {} {{\n  node [shape=box];\n", quoted(&spec.name));
    for (number, stages) in operators.operators.values() {
        let _ = writeln!(text, "  subgraph cluster_{number} {{");
        for stage in stages {
            let node = &spec.nodes[*stage];
            let shape = if node.port().is_some() {
                ", shape=oval"
            } else {
                ""
            };
            let label = quoted(&format!("{}\n{}", node.id, description(node)));
            let _ = writeln!(text, "    n{stage} [label={label}{shape}];");
        }
        text += "  }\n";
    }
    for stage in operators.operators.values().flat_map(|(_, stages)| stages) {
        let node = &spec.nodes[*stage];
        for input in &node.inputs {
            let style = if node.exchange { " [style=bold]" } else { "" };
            let _ = writeln!(text, "  n{} -> n{stage}{style};", input.node);
        }
    }
    text + "}\n"
}

/// A string of Graphviz.
fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", text.replace('\n', "\\n"))
}

/// The description as the program has it.
pub(super) fn json(spec: &GraphSpec) -> Result<String, Error> {
    let text = serde_json::to_string_pretty(spec);
    text.map(|text| text + "\n").map_err(|error| {
        Error::Engine(Problem::new("the graph cannot be printed").detail(error.to_string()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Graph, Stream};
    use crate::time::EventTime;
    use crate::{Gap, Job, Lateness};

    fn spec() -> GraphSpec {
        let job = Job::new("visits", |graph| {
            let clicks = graph.input::<(u64, i64)>("clicks");
            let clicks = clicks.filter(|(user, _)| *user > 0);
            let (timed, late) =
                clicks.event_time(|(_, second)| EventTime::secs(*second), Lateness::secs(5));
            let visits = timed.key_by(|(user, _)| *user).session(Gap::mins(30));
            graph.output("visits", visits.count());
            graph.output("late", late.map(|(user, _)| user).union(others(graph)));
        });
        job.explain().unwrap()
    }

    /// A stream that several stages read, one of which leads nowhere.
    fn others(graph: &Graph) -> Stream<u64> {
        let others = graph.input::<u64>("others").map(|user| user + 1);
        graph.output("others", others.clone());
        others.clone().filter(|_| true).discard();
        others
    }

    /// What is said to be kept of a stage, and for how long.
    #[cfg(feature = "differential")]
    #[test]
    fn what_is_freed_is_not_said_to_be_kept_for_good() {
        let job = Job::new("kept", |graph| {
            let numbers = || graph.input::<u64>("numbers").key_by(|n| *n);
            let counts = numbers().count();
            let rows = numbers().table(Some).join(counts.clone());
            let groups = rows.group_by(|n, _| n % 2).count();
            let runs = numbers().count_windows(3).fold(|| 0, |sum, n| *sum += n);
            graph.output("groups", groups.join(counts));
            graph.output("runs", runs);
        });
        let text = text(&job.explain().unwrap());
        let kept = |stage: &str| {
            let lines = text.lines().skip_while(|line| !line.contains(stage));
            let mut kept = lines.filter_map(|line| line.strip_prefix("  keeps "));
            kept.next().unwrap().to_owned()
        };
        assert_eq!(kept("kept/count  "), "a value for each key, for good");
        for table in ["kept/table", "kept/join", "kept/rows"] {
            assert_eq!(
                kept(table),
                "a row for each key, until it is deleted",
                "{table}"
            );
        }
        assert!(kept("kept/count#2").ends_with("for each group, until it is empty"));
        assert!(kept("kept/count_windows").ends_with("until its window is full"));
    }

    #[test]
    fn the_text_says_what_is_fused_exchanged_and_kept() {
        assert_eq!(
            text(&spec()),
            "\
pipeline visits: 12 stages in 8 operators

1
  visits/clicks  input, (u64, i64)

2  from 1
  visits/filter      filter
  visits/event_time  event_time lateness=5s
  keeps the highest time of each lane

3  from 2, exchanged by key
  visits/key_by   key_by
  visits/session  session gap=30m fold=count
  keeps a value for each key and open window, until the watermark has passed the window

4  from 3
  visits/visits  output of rows, stream_core::ops::window::Windowed<u64, u64>

5
  visits/others  input, u64

6  from 5
  visits/map#2  map

7  from 6
  visits/others#2  output of rows, u64

8  from 2 (late), 6
  visits/map    map
  visits/union  union
  visits/late   output of rows, u64

reach no output and compute nothing
  visits/filter#2  filter
"
        );
    }

    #[test]
    fn graphviz_gets_a_box_for_each_operator() {
        let text = dot(&spec());
        assert!(text.starts_with("digraph \"visits\" {\n"), "{text}");
        assert_eq!(text.matches("subgraph").count(), 8, "{text}");
        assert!(text.contains("[style=bold]"), "{text}");
    }

    #[test]
    fn json_is_the_description_itself() {
        let spec = spec();
        assert_eq!(
            serde_json::from_str::<GraphSpec>(&json(&spec).unwrap()).unwrap(),
            spec
        );
    }
}
