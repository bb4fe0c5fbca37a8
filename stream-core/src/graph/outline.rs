//! What is known of a pipeline before types are: the `GRAPH` of a `#[pipeline]`.

use std::fmt;

/// A pipeline as its function is written: ports, settings, stages. A constant.
///
/// The ids are those of the [`GraphSpec`](super::GraphSpec), which the job's `explain` gives. What
/// only types or values can tell (parameters, exchanges, the stages of a pipeline that is called)
/// stands there alone.
///
/// ```
/// use stream_core::prelude::*;
///
/// #[pipeline]
/// fn lengths(words: Stream<String>) -> Table<usize, u64> {
///     let counts = words.key_by(|word| word.len()).count();
///     counts
/// }
///
/// let ids: Vec<_> = lengths::GRAPH.stages.iter().map(|stage| stage.id).collect();
/// assert_eq!(ids, ["lengths/counts/key_by", "lengths/counts/count"]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outline {
    /// The pipeline's name.
    pub name: &'static str,
    /// The inputs.
    pub inputs: &'static [OutlinePort],
    /// The settings.
    pub settings: &'static [OutlineSetting],
    /// The stages; what a stage reads stands before it.
    pub stages: &'static [OutlineStage],
    /// The outputs.
    pub outputs: &'static [OutlinePort],
}

/// An input or an output of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutlinePort {
    /// The port's name.
    pub name: &'static str,
    /// The id of the input, or of the stage that the output comes out of.
    pub id: &'static str,
    /// The type of an input's records, or of the stream at an output, as written.
    pub stream: &'static str,
}

/// A setting of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutlineSetting {
    /// The setting's name.
    pub name: &'static str,
    /// Its type, as written.
    pub of: &'static str,
    /// Its default, as written; `None` where it must be given.
    pub default: Option<&'static str>,
}

/// A stage of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutlineStage {
    /// What its state is found by.
    pub id: &'static str,
    /// The binding that it is written in.
    pub binding: &'static str,
    /// The method that makes it.
    pub method: &'static str,
    /// The ids of the stages and inputs that it reads.
    pub reads: &'static [&'static str],
}

/// An input or an output.
pub const fn port(name: &'static str, id: &'static str, stream: &'static str) -> OutlinePort {
    OutlinePort { name, id, stream }
}

/// A setting.
pub const fn setting(
    name: &'static str,
    of: &'static str,
    default: Option<&'static str>,
) -> OutlineSetting {
    OutlineSetting { name, of, default }
}

/// A stage.
pub const fn stage(
    id: &'static str,
    binding: &'static str,
    method: &'static str,
    reads: &'static [&'static str],
) -> OutlineStage {
    OutlineStage {
        id,
        binding,
        method,
        reads,
    }
}

impl fmt::Display for Outline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "pipeline {}", self.name)?;
        for OutlinePort { name, stream, .. } in self.inputs {
            writeln!(f, "  input {name}: {stream}")?;
        }
        for OutlineSetting { name, of, default } in self.settings {
            let default = default.map_or(String::new(), |value| format!(" = {value}"));
            writeln!(f, "  setting {name}: {of}{default}")?;
        }
        for OutlineStage { id, reads, .. } in self.stages {
            writeln!(f, "  {id} <- {}", reads.join(", "))?;
        }
        for OutlinePort { name, id, stream } in self.outputs {
            writeln!(f, "  output {name}: {stream} <- {id}")?;
        }
        Ok(())
    }
}
