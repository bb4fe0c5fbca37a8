//! The attribute macros of `stream-core`.
//!
//! This crate has no items yet. A pipeline is written today with the fluent API of `stream-core`.
//!
//! # What it will be
//!
//! `#[pipeline]` will turn a plain function from streams to streams into a pipeline: `let`
//! bindings, method chains and a final expression, which expand to the same fluent API. It is to
//! decide what depends on the structure of that function and on nothing else:
//!
//! - the identity of each operator, taken from the names of bindings, so that stored state finds
//!   its operator again after an edit;
//! - the ports: which streams go in and which come out, and under which names;
//! - that every stream is used, with a clone where one is read twice;
//! - the fusion of stateless stages into one operator, across bindings.
//!
//! What depends on types (event time before a window, a key before keyed state) stays with the
//! traits of `stream-core`, so that it holds with and without the macro.
//!
//! # How it will be laid out
//!
//! Parse, model, check, expand: one file each. All mistakes are reported at once, on the tokens
//! that the user wrote, and a pipeline with a mistake still expands to a well-typed item, so that
//! one mistake is not followed by others.
//!
//! # What it leaves out
//!
//! Runtime logic. The crate does not depend on `stream-core`; the code that it generates names it.
