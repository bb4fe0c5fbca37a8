//! The description of a graph: plain data, to be printed, compared and stored.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::shape::{Shape, shape_of};
use crate::state::Fingerprint;

/// The settings that leave the meaning of state alone. `event_time` keeps the highest time of each
/// lane, which is a fact about the input: how far a record may lie behind or ahead of it is asked of
/// the records that come, so a job may go on with another lateness. And a key that has a time to live keeps what
/// it has until its next record says how long.
const NOT_OF_STATE: [&str; 3] = ["lateness", "leap", "ttl"];

/// A pipeline as a list of stages, each after its inputs.
///
/// Its [`Display`](fmt::Display) is the text that `explain` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphSpec {
    /// The pipeline's name.
    pub name: String,
    /// The stages; a stage's inputs stand before it.
    pub nodes: Vec<NodeSpec>,
}

/// One logical stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSpec {
    /// What its state is found by: pipeline, name, `#2` for repeats.
    pub id: String,
    /// What it was found by before it was renamed; its state is taken from there when there is
    /// none under [`id`](NodeSpec::id).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<String>,
    /// The method that made it: `map`, `session`, `input`.
    pub kind: String,
    /// Where its records come from.
    pub inputs: Vec<PortSpec>,
    /// Its settings, by name, as text.
    pub parameters: Vec<Parameter>,
    /// Whether its output is the same in every mode.
    pub class: Class,
    /// Whether its records are moved to the worker that owns their key.
    pub exchange: bool,
    /// The Rust type of the records, for an input and an output.
    pub record: String,
    /// What is kept for the stage, if anything is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<StateSpec>,
    /// Whether what is kept grows with the number of keys that have ever come, for nothing frees it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub grows: bool,
    /// The method that hands over the records that were overtaken there, if any can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overtaken: Option<String>,
}

/// What a stage keeps: the Rust types of its keys, and of what is kept for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateSpec {
    /// The type of the keys.
    pub key: String,
    /// The type of what is kept for a key.
    pub value: String,
    /// Their shapes, to be found out when they are asked for.
    #[serde(skip)]
    shapes: Shapes,
}

/// How to find out the shapes of a key and of what is kept for it; nothing in a description that
/// was read from a file.
#[derive(Clone, Copy, Debug, Default)]
struct Shapes(Option<[fn() -> Shape; 2]>);

/// Functions cannot be compared, and need not be: the names of the types stand beside them.
impl PartialEq for Shapes {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Shapes {}

/// A setting of a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name: `gap`, `lateness`, `port`.
    pub name: String,
    /// Its value, as text.
    pub value: String,
}

/// One output of one stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortSpec {
    /// The stage's place in [`GraphSpec::nodes`].
    pub node: usize,
    /// Which of its outputs; 0 is the first.
    pub port: usize,
}

/// When a stage's consolidated output is the same in every mode, for every cut and worker count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Class {
    /// Always.
    Exact,
    /// When the user's functions are pure and do not care in which order records come.
    ExactIfOrderFree,
    /// When all records of a key come from one lane.
    ExactIfKeyInOneLane,
    /// Never: it depends on what has arrived when a record does.
    Arrival,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::Exact => "exact",
            Class::ExactIfOrderFree => "exact if its functions are pure and order-free",
            Class::ExactIfKeyInOneLane => "exact if each key lives in one lane",
            Class::Arrival => "depends on what has arrived",
        })
    }
}

impl Class {
    /// What is said of a stage of this class, behind its name.
    pub(crate) fn of_a_stage(self) -> String {
        match self {
            Class::Arrival => self.to_string(),
            _ => format!("is {self}"),
        }
    }
}

impl NodeSpec {
    pub(crate) fn new(kind: &str, inputs: Vec<PortSpec>) -> Self {
        NodeSpec {
            id: String::new(),
            was: None,
            kind: kind.to_owned(),
            inputs,
            parameters: Vec::new(),
            class: Class::Exact,
            exchange: false,
            record: String::new(),
            state: None,
            grows: false,
            overtaken: None,
        }
    }

    pub(crate) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.parameters.push(Parameter {
            name: name.to_owned(),
            value: value.to_string(),
        });
        self
    }

    pub(crate) fn class(mut self, class: Class) -> Self {
        self.class = class;
        self
    }

    pub(crate) fn exchanged(mut self) -> Self {
        self.exchange = true;
        self
    }

    /// Says that what is kept of a key is kept for good.
    pub(crate) fn grows(mut self) -> Self {
        self.grows = true;
        self
    }

    /// Says which method hands over what was overtaken, at output 1.
    pub(crate) fn hands_over(mut self, method: impl Into<String>) -> Self {
        self.overtaken = Some(method.into());
        self
    }

    /// Says what is kept for the stage.
    pub(crate) fn keeps<K: DeserializeOwned, V: DeserializeOwned>(mut self) -> Self {
        self.state = Some(StateSpec {
            key: std::any::type_name::<K>().to_owned(),
            value: std::any::type_name::<V>().to_owned(),
            shapes: Shapes(Some([shape_of::<K>, shape_of::<V>])),
        });
        self
    }

    /// Tells whether state that was kept for one stage can be given to another: a job starts from
    /// a snapshot only if each stage has the fingerprint that it had.
    ///
    /// It covers the kind of the stage, its settings (gap and size, but not lateness, which leaves
    /// what is kept as it is), and the shapes of its keys and of what it keeps. It does not cover
    /// closures: a `fold` that adds up something else has the same fingerprint. A stage that keeps
    /// nothing has none, and neither has one of a description that was read from a file: its types
    /// are not known.
    ///
    /// ```
    /// use stream_core::prelude::*;
    ///
    /// #[pipeline]
    /// fn counts(words: Stream<String>) -> Table<String, u64> {
    ///     let counts = words.key_by(|word| word.clone()).count();
    ///     counts
    /// }
    ///
    /// let graph = counts::job().explain()?;
    /// let stage = |id| graph.nodes.iter().find(|node| node.id == id).unwrap();
    /// assert!(stage("counts/counts/key_by").fingerprint().is_none());
    /// assert!(stage("counts/counts/count").fingerprint().is_some());
    /// # Ok::<(), stream_core::Error>(())
    /// ```
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        let [key, value] = self.state.as_ref()?.shapes.0?;
        let settings = self.parameters.iter();
        let settings = settings.filter(|setting| !NOT_OF_STATE.contains(&setting.name.as_str()));
        Some(Fingerprint {
            kind: self.kind.clone(),
            settings: settings
                .map(|setting| (setting.name.clone(), setting.value.clone()))
                .collect(),
            key: key(),
            state: value(),
        })
    }

    /// The value of a setting.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self
            .parameters
            .iter()
            .find(|parameter| parameter.name == name);
        found.map(|parameter| parameter.value.as_str())
    }

    /// The port's name of an input or output, when this is one.
    pub fn port(&self) -> Option<&str> {
        self.parameter("port")
    }

    /// What a stage without a name is called: its method, or its port.
    pub(crate) fn default_name(&self) -> String {
        self.port().unwrap_or(&self.kind).to_owned()
    }

    /// The settings that are not said elsewhere, each behind a space.
    fn settings(&self) -> String {
        let mut text = String::new();
        let told = |name: &str| name == "port" || name == "writes";
        for parameter in self
            .parameters
            .iter()
            .filter(|parameter| !told(&parameter.name))
        {
            let _ = write!(text, " {}={}", parameter.name, parameter.value);
        }
        text
    }
}

impl GraphSpec {
    /// By id: the fingerprint of each stage that keeps something.
    pub(crate) fn fingerprints(&self) -> BTreeMap<String, Fingerprint> {
        let fingerprint = |node: &NodeSpec| Some((node.id.clone(), node.fingerprint()?));
        self.nodes.iter().filter_map(fingerprint).collect()
    }

    /// The stages from which an output can be reached; the others compute nothing.
    pub(crate) fn reachable(&self) -> Vec<bool> {
        let mut reached = vec![false; self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate().rev() {
            if reached[index] || node.kind == "output" {
                reached[index] = true;
                node.inputs
                    .iter()
                    .for_each(|input| reached[input.node] = true);
            }
        }
        reached
    }

    /// The picture in the language of Mermaid.
    ///
    /// ```
    /// use stream_core::Job;
    ///
    /// let job = Job::new("even", |graph| {
    ///     let numbers = graph.input::<u64>("numbers");
    ///     graph.output("even", numbers.filter(|n| n % 2 == 0));
    /// });
    /// assert_eq!(
    ///     job.explain()?.mermaid(),
    ///     "flowchart TD\n  \
    ///        n0([numbers])\n  \
    ///        n1[filter]\n  n0 --> n1\n  \
    ///        n2([even])\n  n1 --> n2\n",
    /// );
    /// # Ok::<(), stream_core::Error>(())
    /// ```
    pub fn mermaid(&self) -> String {
        let mut text = String::from("flowchart TD\n");
        for (index, node) in self.nodes.iter().enumerate() {
            let label = format!("{}{}", node.default_name(), node.settings());
            let label = if label.contains(['"', ' ', '=', '#']) {
                format!("\"{}\"", label.replace('"', "#quot;"))
            } else {
                label
            };
            let shape = if node.port().is_some() {
                ("([", "])")
            } else {
                ("[", "]")
            };
            let _ = writeln!(text, "  n{index}{}{label}{}", shape.0, shape.1);
            for input in &node.inputs {
                let arrow = if node.exchange { "==>" } else { "-->" };
                let _ = writeln!(text, "  n{} {arrow} n{index}", input.node);
            }
        }
        text
    }
}

impl fmt::Display for GraphSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "pipeline {}", self.name)?;
        let reachable = self.reachable();
        let width = self
            .nodes
            .iter()
            .map(|node| node.id.len())
            .max()
            .unwrap_or(0);
        for (node, reachable) in self.nodes.iter().zip(reachable) {
            write!(f, "  {:width$}  {}{}", node.id, node.kind, node.settings())?;
            for (index, input) in node.inputs.iter().enumerate() {
                let word = if index == 0 { " <-" } else { "," };
                write!(f, "{word} {}", self.nodes[input.node].id)?;
                if input.port > 0 {
                    write!(f, ".{}", input.port)?;
                }
            }
            if !node.record.is_empty() {
                write!(f, "  {}", node.record)?;
            }
            if node.exchange {
                write!(f, "  [exchange]")?;
            }
            if node.class != Class::Exact {
                write!(f, "  [{}]", node.class)?;
            }
            if !reachable {
                write!(f, "  [reaches no output: computes nothing]")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
