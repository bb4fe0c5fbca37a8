//! What tests of pipelines and connectors are written with.

pub mod contract;
