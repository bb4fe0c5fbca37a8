//! Tests of pipelines, sources and sinks: for this crate's own and for yours.
