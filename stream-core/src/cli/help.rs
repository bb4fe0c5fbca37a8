//! What `--help` says of the pipeline, and `explain` where settings have no values yet: ports,
//! settings and stages, as far as the job and its outline know them.

use super::layout::Columns;
use crate::graph::{Outline, OutlinePort, OutlineSetting};
use crate::job::Job;

/// The ports and the settings, a line each: with an outline as the pipeline's function is written,
/// without one as the job knows what is bound to it.
pub(super) fn pipeline(job: &Job, outline: Option<&Outline>) -> String {
    let mut columns = Columns::bare(4);
    let bindings = job.bindings();
    let written = |ports: &'static [OutlinePort], port: &str| {
        let found = ports.iter().find(|known| known.name == port);
        found.map(|known| known.stream.to_owned())
    };
    let (inputs, outputs) = outline.map_or((&[][..], &[][..]), |of| (of.inputs, of.outputs));
    for (port, source) in &bindings.sources {
        let of = written(inputs, port).unwrap_or_else(|| source.record.to_owned());
        let info = &source.info;
        columns.row([
            "input".to_owned(),
            port.clone(),
            of,
            bound(info.kind, &info.detail),
        ]);
    }
    for (port, sink) in &bindings.sinks {
        let of = written(outputs, port).unwrap_or_else(|| sink.record.to_owned());
        let info = sink.info();
        columns.row([
            "output".to_owned(),
            port.clone(),
            of,
            bound(info.kind, &info.detail),
        ]);
    }
    for setting in outline.map_or(&[][..], |of| of.settings) {
        let OutlineSetting { name, of, default } = setting;
        let default = match default {
            Some(value) => format!("{value} by default"),
            None if job.has_setting(name) => "given by the program".to_owned(),
            None => "no default".to_owned(),
        };
        let given = format!("{default}, --set {name}=…");
        columns.row([
            "setting".to_owned(),
            (*name).to_owned(),
            (*of).to_owned(),
            given,
        ]);
    }
    format!("Pipeline {}:\n{columns}", job.name())
}

fn bound(kind: &str, detail: &str) -> String {
    format!("{kind} {detail}").trim_end().to_owned()
}

/// The stages as they are written, where the graph cannot be built for want of a setting.
pub(super) fn outline(outline: &Outline) -> String {
    let mut text = format!("pipeline {}, as it is written\n\n", outline.name);
    let mut columns = Columns::bare(3);
    let from = |ids: &[&str]| format!("from {}", ids.join(", "));
    for OutlinePort { name, id, stream } in outline.inputs {
        columns.row([
            (*id).to_owned(),
            format!("input {name}"),
            (*stream).to_owned(),
        ]);
    }
    for stage in outline.stages {
        columns.row([
            stage.id.to_owned(),
            stage.method.to_owned(),
            from(stage.reads),
        ]);
    }
    for OutlinePort { name, id, stream } in outline.outputs {
        let output = format!("{}/{name}", outline.name);
        columns.row([output, format!("output of {stream}"), from(&[id])]);
    }
    text += &columns.to_string();
    let settings = outline
        .settings
        .iter()
        .filter(|setting| setting.default.is_none());
    for OutlineSetting { name, of, .. } in settings {
        text += &format!("\n  --set {name}=…  {of}, no default");
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::OutlineStage;
    use crate::io;

    const OUTLINE: Outline = Outline {
        name: "lengths",
        inputs: &[OutlinePort {
            name: "words",
            id: "lengths/words",
            stream: "Stream<String>",
        }],
        settings: &[
            OutlineSetting {
                name: "shortest",
                of: "usize",
                default: None,
            },
            OutlineSetting {
                name: "longest",
                of: "usize",
                default: Some("80"),
            },
        ],
        stages: &[OutlineStage {
            id: "lengths/counts/count",
            binding: "counts",
            method: "count",
            reads: &["lengths/words"],
        }],
        outputs: &[OutlinePort {
            name: "counts",
            id: "lengths/counts/count",
            stream: "Table<usize, u64>",
        }],
    };

    fn job() -> Job {
        Job::new("lengths", |_| ())
            .source("words", io::vec(vec![String::new()]))
            .sink::<u64>("counts", io::discard())
    }

    #[test]
    fn the_help_says_what_is_bound_and_with_an_outline_what_is_written() {
        assert_eq!(
            pipeline(&job(), None),
            "\
Pipeline lengths:
  input   words   alloc::string::String  vec 1 records
  output  counts  u64                    discard
"
        );
        assert_eq!(
            pipeline(&job(), Some(&OUTLINE)),
            "\
Pipeline lengths:
  input    words     Stream<String>     vec 1 records
  output   counts    Table<usize, u64>  discard
  setting  shortest  usize              no default, --set shortest=…
  setting  longest   usize              80 by default, --set longest=…
"
        );
    }

    #[test]
    fn stages_are_told_as_they_are_written_before_settings_have_values() {
        assert_eq!(
            outline(&OUTLINE),
            "\
pipeline lengths, as it is written

  lengths/words         input words                  Stream<String>
  lengths/counts/count  count                        from lengths/words
  lengths/counts        output of Table<usize, u64>  from lengths/counts/count

  --set shortest=…  usize, no default
"
        );
    }
}
