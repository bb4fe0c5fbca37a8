//! What stages are called: the pipeline and the binding that they are written in.
//!
//! The id of a stage is `pipeline/binding/method`. A pipeline that another one calls is a part of
//! the path: `outer/binding/inner/binding/method`. Where no binding is known, as in the fluent API
//! without [`named`](super::Stream::named), the id is `pipeline/method`. What would be the second
//! with its id gets `#2`.
//!
//! The rest of a path says nothing about what stands before or after a stage, so to add a stage in
//! a binding of its own changes no other id.

use super::node::Graph;
use super::spec::NodeSpec;
use super::{Changes, Keyed, Kind, Stream, Table};

/// The pipelines that are being built, the outermost first, with the binding each is at.
pub(super) struct Scopes {
    frames: Vec<Frame>,
    /// Whether the next pipeline to be called is the graph's own, so that its name is told once.
    root: bool,
}

struct Frame {
    path: String,
    binding: Binding,
}

/// A binding, and what it was called before.
#[derive(Default)]
pub(super) struct Binding {
    name: Option<String>,
    was: Option<String>,
}

/// The ids that a node is to be found by.
pub(super) struct Place {
    pub(super) id: String,
    pub(super) was: Option<String>,
}

impl Scopes {
    pub(super) fn new(graph: &str) -> Self {
        let frame = Frame {
            path: graph.to_owned(),
            binding: Binding::default(),
        };
        Scopes {
            frames: vec![frame],
            root: false,
        }
    }

    /// Where a node belongs that is added now.
    pub(super) fn place(&self, spec: &NodeSpec) -> Place {
        let Frame { path, binding } = self.frame();
        let name = spec.default_name();
        let inside = |binding: &String| format!("{path}/{binding}/{name}");
        match &binding.name {
            Some(binding_name) if spec.port().is_none() => Place {
                id: inside(binding_name),
                was: binding.was.as_ref().map(inside),
            },
            _ => Place {
                id: format!("{path}/{name}"),
                was: None,
            },
        }
    }

    /// The id of a stage that the user has named.
    pub(super) fn named(&self, name: &str) -> String {
        format!("{}/{name}", self.frame().path)
    }

    /// Goes on to a binding, and gives the one before.
    pub(super) fn bind(&mut self, name: &str, was: Option<&str>) -> Binding {
        let binding = Binding {
            name: Some(name.to_owned()),
            was: was.map(str::to_owned),
        };
        std::mem::replace(&mut self.frame_mut().binding, binding)
    }

    /// Goes back to a binding.
    pub(super) fn restore(&mut self, binding: Binding) {
        self.frame_mut().binding = binding;
    }

    fn frame(&self) -> &Frame {
        self.frames.last().expect("the graph's own is never left")
    }

    fn frame_mut(&mut self) -> &mut Frame {
        self.frames
            .last_mut()
            .expect("the graph's own is never left")
    }
}

/// How many calls of pipelines may be within one another.
const DEPTH_MAX: usize = 64;

/// A call of a pipeline's function, while it lasts: what names the stages that it adds.
#[doc(hidden)]
#[derive(Debug)]
pub struct Scope(Graph);

impl Scope {
    /// Begins the call of a pipeline that is given this handle.
    ///
    /// # Panics
    /// When pipelines call one another without end.
    #[track_caller]
    pub fn enter(handle: &impl Handle, pipeline: &str) -> Scope {
        let graph = handle.graph().clone();
        let depth = graph.scopes_mut(|scopes| scopes.frames.len());
        assert!(
            depth < DEPTH_MAX,
            "the pipeline `{pipeline}` is called {DEPTH_MAX} calls deep: one that calls itself, or \
             another that calls it, makes a graph without end",
        );
        let own = graph.scopes_mut(|scopes| std::mem::take(&mut scopes.root));
        let path = if own {
            graph.scopes_mut(|scopes| scopes.frame().path.clone())
        } else {
            let wanted = graph.scopes_mut(|scopes| {
                let Frame { path, binding } = scopes.frame();
                match &binding.name {
                    Some(binding) => format!("{path}/{binding}/{pipeline}"),
                    None => format!("{path}/{pipeline}"),
                }
            });
            graph.free_id(&wanted)
        };
        let binding = Binding::default();
        graph.scopes_mut(|scopes| scopes.frames.push(Frame { path, binding }));
        Scope(graph)
    }

    /// Looks whether what was taken for a handle is one.
    pub fn reads(_: &impl Handle) {}

    /// Says which binding the stages to come are written in.
    pub fn binding(&self, name: &str) {
        self.0.scopes_mut(|scopes| scopes.bind(name, None));
    }

    /// As [`binding`](Scope::binding), for one that had another name before.
    pub fn renamed_binding(&self, name: &str, was: &str) {
        self.0.scopes_mut(|scopes| scopes.bind(name, Some(was)));
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        self.0.scopes_mut(|scopes| scopes.frames.pop());
    }
}

impl Graph {
    /// Says that the next pipeline to be called is the graph's own.
    pub(crate) fn begin_own(&self) {
        self.scopes_mut(|scopes| scopes.root = true);
    }
}

/// What knows the graph that it belongs to.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no stream, and is read like one",
    label = "a method that streams have is called on this",
    note = "if it is meant to be plain Rust, bind it by a `let` of the function: `let value = name;`"
)]
pub trait Handle {
    /// The graph.
    fn graph(&self) -> &Graph;
}

impl<T, K: Kind> Handle for Stream<T, K> {
    fn graph(&self) -> &Graph {
        self.port.graph()
    }
}

impl<Q, T, K: Kind> Handle for Keyed<Q, T, K> {
    fn graph(&self) -> &Graph {
        self.port.graph()
    }
}

impl<Q, V> Handle for Table<Q, V> {
    fn graph(&self) -> &Graph {
        self.port.graph()
    }
}

impl<Q, V> Handle for Changes<Q, V> {
    fn graph(&self) -> &Graph {
        self.port.graph()
    }
}
