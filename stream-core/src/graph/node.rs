//! Nodes, ports and ids: the list that the handles add to.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use super::context::Context;
use super::scope::Scopes;
use super::spec::{GraphSpec, NodeSpec, PortSpec};
use crate::engine::batch::{Cloner, cloner};
use crate::error::Problem;
use crate::state::record::Stamp;

/// The graph of one pipeline, being built: what a pipeline's function is given.
///
/// It names the ports. Everything between an input and an output is said by the methods of the
/// handles.
///
/// ```
/// use stream_core::{Job, Mode, io};
///
/// let (lengths, rows) = io::collect::<usize>();
/// Job::new("lengths", |graph| {
///     let words = graph.input::<String>("words");
///     graph.output("lengths", words.map(|word| word.len()));
/// })
/// .source("words", io::vec(vec!["to".to_string(), "begin".to_string()]))
/// .sink("lengths", lengths)
/// .run(Mode::Batch)?;
/// assert_eq!(rows.take(), [2, 5]);
/// # Ok::<(), stream_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Graph(Rc<Inner>);

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Graph").field(&self.0.name).finish()
    }
}

struct Inner {
    name: String,
    nodes: RefCell<Vec<Node>>,
    ids: RefCell<BTreeSet<String>>,
    scopes: RefCell<Scopes>,
    /// Mistakes, each with the stage that it stands behind, where it is about one.
    problems: RefCell<Vec<(Option<usize>, Problem)>>,
    /// By (node, port): how to clone the edge, noted when a handle to it is cloned.
    cloners: RefCell<BTreeMap<PortSpec, Cloner>>,
}

/// One logical stage.
pub(crate) struct Node {
    pub(crate) spec: NodeSpec,
    /// The step that renders it; `None` for one that a later node renders along with itself.
    pub(crate) render: Option<Box<dyn Render>>,
}

/// Renders a node into a timely scope, once.
pub(crate) trait Render {
    /// Takes the inputs' flows from the context and leaves the outputs' flows there.
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>);
}

/// The place where an edge begins: one output of one node.
pub(crate) struct Port<S, T> {
    graph: Graph,
    pub(crate) node: usize,
    pub(crate) port: usize,
    records: PhantomData<fn() -> (S, T)>,
}

/// The id of its stage.
impl<S, T> fmt::Debug for Port<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes = self.graph.0.nodes.try_borrow().ok();
        match nodes.as_ref().and_then(|nodes| nodes.get(self.node)) {
            Some(node) => fmt::Debug::fmt(&node.spec.id, f),
            None => write!(f, "stage {}", self.node),
        }
    }
}

impl<S, T> Port<S, T> {
    pub(crate) fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Notes a mistake in what is called on this; the job refuses to start with it.
    pub(crate) fn problem(&self, problem: Problem) {
        let mut problems = self.graph.0.problems.borrow_mut();
        problems.push((Some(self.node), problem));
    }
}

impl<S: Stamp, T: 'static> Port<S, T> {
    pub(crate) fn spec(&self) -> PortSpec {
        PortSpec {
            node: self.node,
            port: self.port,
        }
    }

    /// A second handle to the same edge.
    pub(crate) fn clone_edge(&self) -> Self
    where
        T: Clone,
    {
        self.graph.note_cloner(self.spec(), cloner::<(S, T)>());
        Port {
            graph: self.graph.clone(),
            records: PhantomData,
            ..*self
        }
    }
}

/// Says what kind of stage a node is; the id is added by the graph.
pub(crate) fn stage(kind: &'static str, inputs: Vec<PortSpec>) -> NodeSpec {
    NodeSpec::new(kind, inputs)
}

impl Graph {
    /// Calls the pipeline's function and keeps what it builds.
    pub(crate) fn build(name: &str, pipeline: &dyn Fn(&Graph)) -> Graph {
        let graph = Graph(Rc::new(Inner {
            name: name.to_owned(),
            nodes: RefCell::default(),
            ids: RefCell::default(),
            scopes: RefCell::new(Scopes::new(name)),
            problems: RefCell::default(),
            cloners: RefCell::default(),
        }));
        pipeline(&graph);
        graph
    }

    /// Adds a node with one output.
    pub(crate) fn add<S: Stamp, T: 'static>(
        &self,
        spec: NodeSpec,
        render: Box<dyn Render>,
    ) -> Port<S, T> {
        let node = self.push(spec, Some(render));
        self.port(node, 0)
    }

    /// Adds a node and gives its number.
    pub(crate) fn push(&self, mut spec: NodeSpec, render: Option<Box<dyn Render>>) -> usize {
        let place = self.scopes_mut(|scopes| scopes.place(&spec));
        spec.id = self.free_id(&place.id);
        let number = &spec.id[place.id.len()..];
        spec.was = place.was.map(|was| was + number);
        let mut nodes = self.0.nodes.borrow_mut();
        nodes.push(Node { spec, render });
        nodes.len() - 1
    }

    /// Gives a stage that was added for the sake of another the old name that goes with that one's.
    pub(crate) fn rename_with(&self, node: usize, other: usize) {
        let mut nodes = self.0.nodes.borrow_mut();
        let was = nodes[other]
            .spec
            .was
            .as_deref()
            .and_then(|was| was.rsplit_once('/'));
        let place = was.map(|(place, _)| place.to_owned());
        let id = nodes[node]
            .spec
            .id
            .rsplit_once('/')
            .map(|(_, last)| last.to_owned());
        if let (Some(place), Some(last)) = (place, id) {
            nodes[node]
                .spec
                .was
                .get_or_insert(format!("{place}/{last}"));
        }
    }

    /// Adds a stateless stage that is rendered along with a later one.
    pub(crate) fn push_stage(&self, spec: NodeSpec) -> PortSpec {
        let node = self.push(spec, None);
        PortSpec { node, port: 0 }
    }

    /// Gives a node that was pushed without it the step that renders it.
    pub(crate) fn set_render(&self, node: usize, render: Box<dyn Render>) {
        self.0.nodes.borrow_mut()[node].render = Some(render);
    }

    /// Adds stages that belong to a name.
    pub(crate) fn bound_to(&self, name: &str, add: impl FnOnce()) {
        let before = self.scopes_mut(|scopes| scopes.bind(name, None));
        add();
        self.scopes_mut(|scopes| scopes.restore(before));
    }

    /// Does something with the names of what is being built.
    pub(super) fn scopes_mut<R>(&self, f: impl FnOnce(&mut Scopes) -> R) -> R {
        f(&mut self.0.scopes.borrow_mut())
    }

    /// The port of a node that has been added.
    pub(crate) fn port<S: Stamp, T: 'static>(&self, node: usize, port: usize) -> Port<S, T> {
        Port {
            graph: self.clone(),
            node,
            port,
            records: PhantomData,
        }
    }

    /// Gives a node another id.
    pub(crate) fn rename(&self, node: usize, name: &str) {
        let mut nodes = self.0.nodes.borrow_mut();
        let id = &mut nodes[node].spec.id;
        self.0.ids.borrow_mut().remove(id);
        let wanted = self.scopes_mut(|scopes| scopes.named(name));
        if !self.0.ids.borrow_mut().insert(wanted.clone()) {
            self.problem(
                Problem::new(format!("two stages are named `{wanted}`"))
                    .hint("names tell the state of stages apart: give one of them another"),
            );
        }
        *id = wanted;
    }

    /// Notes a mistake; the job refuses to start with it.
    pub(crate) fn problem(&self, problem: Problem) {
        self.0.problems.borrow_mut().push((None, problem));
    }

    /// The id that the next node with this default would get; ids are `…`, `…#2`, `…#3`.
    pub(super) fn free_id(&self, wanted: &str) -> String {
        let mut ids = self.0.ids.borrow_mut();
        let numbered = (2..).map(|n| format!("{wanted}#{n}"));
        let id = std::iter::once(wanted.to_owned())
            .chain(numbered)
            .find(|id| !ids.contains(id))
            .expect("numbers do not end");
        ids.insert(id.clone());
        id
    }

    /// The description of the whole graph.
    pub(crate) fn spec(&self) -> GraphSpec {
        let nodes = self.0.nodes.borrow();
        let nodes = nodes.iter().map(|node| node.spec.clone()).collect();
        GraphSpec {
            name: self.0.name.clone(),
            nodes,
        }
    }

    /// The first mistake that was noted.
    pub(crate) fn take_problem(&self) -> Option<Problem> {
        let mut problems = self.0.problems.borrow_mut();
        let (node, problem) = (!problems.is_empty()).then(|| problems.remove(0))?;
        Some(match node {
            Some(node) => problem.behind(&self.0.nodes.borrow()[node].spec.id),
            None => problem,
        })
    }

    /// Takes the rendering steps, in the order in which the nodes were added.
    pub(crate) fn take_nodes(&self) -> Vec<Node> {
        self.0.nodes.take()
    }

    /// How to clone the records of a port, if a handle to it was ever cloned.
    pub(crate) fn cloner(&self, port: PortSpec) -> Option<Cloner> {
        self.0.cloners.borrow().get(&port).copied()
    }

    fn note_cloner(&self, port: PortSpec, cloner: Cloner) {
        self.0.cloners.borrow_mut().insert(port, cloner);
    }
}
