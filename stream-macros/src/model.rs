//! What a pipeline is, once it is known who reads what: plain data, to be printed and compared.
//!
//! 1. **Reads.** Each read of a name knows whether the name is read again; then it takes a clone.
//! 2. **Fusion.** Stateless stages that follow one another become one chain. A chain goes on in
//!    another binding where its name is read there and nowhere else.
//! 3. **Stages.** Each gets the id that it has in the graph, and the ids of what it reads.
//! 4. **Outputs.** Each is named by the binding that is returned.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use proc_macro2::{Ident, Span};
use quote::ToTokens;
use syn::{Attribute, Expr, Lit, Type};

use crate::names::{self, Names, text};
use crate::parse::{
    Arg, Bind, Body, Call, Chain, Definition, Head, OF_HANDLES, Read, Role, Statement,
};
use crate::signature;

/// The methods that are one loop with those around them.
const STATELESS: [&str; 8] = [
    "map",
    "map_with_time",
    "filter",
    "filter_map",
    "flat_map",
    "inspect",
    SAMPLE,
    KEY_BY,
];
/// The one of them that is given two values.
const SAMPLE: &str = "sample";
/// The one of them that ends the loop, for what it makes is no stream.
const KEY_BY: &str = "key_by";
/// The methods that only streams have, whatever they are called on.
const OURS: [&str; 4] = [KEY_BY, "event_time", "session", "tumbling"];
/// How many stages are fused at most, so that types stay short and compile time linear.
const FUSED_MAX: usize = 16;
/// Methods that only begin a stage; the next one completes it.
const WINDOWS: [&str; 6] = [
    "tumbling",
    "session",
    "sliding",
    "hopping",
    "calendar",
    "count_windows",
];
/// Methods that are no stage.
const SILENT: [&str; 6] = [
    "assume_in_order",
    "discard",
    "changes",
    "clone",
    "named",
    "offset",
];
/// What the names of methods end in that hand over what was overtaken, too; the stage is the same.
const WITH_OVERTAKEN: &str = "_with_overtaken";
/// The name of an output that no binding names.
const UNNAMED: &str = "output";

/// What a method calls its stage.
fn plain(method: &str) -> &str {
    match method.strip_suffix(WITH_OVERTAKEN) {
        Some(plain) if OF_HANDLES.contains(&method) => plain,
        _ => method,
    }
}

/// A pipeline, resolved.
pub(crate) struct Model {
    pub(crate) definition: Definition,
    /// The inputs, the settings, the outputs, each kind in the order of the function.
    pub(crate) ports: Vec<Port>,
    pub(crate) stages: Vec<Stage>,
    /// By name of a stream: the id of what it comes out of.
    pub(crate) origins: BTreeMap<String, String>,
    /// How often each name is read.
    pub(crate) reads: BTreeMap<String, usize>,
    /// The places of reads that take a clone, for the name is read again.
    pub(crate) again: BTreeSet<usize>,
    pub(crate) fusion: Fusion,
}

/// Where stateless stages become one chain, by the places of calls.
#[derive(Default)]
pub(crate) struct Fusion {
    /// The calls that a fused chain begins before.
    pub(crate) opens: BTreeSet<usize>,
    /// The calls that one ends behind.
    pub(crate) ends: BTreeSet<usize>,
}

/// An input, a setting or an output.
#[derive(Clone)]
pub(crate) struct Port {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    /// What names it, and what an error about it points at.
    pub(crate) span: Span,
    /// The documentation of its parameter.
    pub(crate) docs: Vec<Attribute>,
    /// The place of its parameter among all.
    pub(crate) parameter: Option<usize>,
    /// Of an input the type of its records, of an output that of its stream. `None` where the
    /// return type has too few.
    pub(crate) ty: Option<Type>,
    pub(crate) default: Option<Expr>,
    /// The id of the input, or of the stage that an output comes out of.
    pub(crate) id: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Input,
    Setting,
    Output,
}

impl Kind {
    /// What it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Input => "input",
            Kind::Setting => "setting",
            Kind::Output => "output",
        }
    }

    /// The same, with its article.
    pub(crate) fn a_name(self) -> &'static str {
        match self {
            Kind::Input => "an input",
            Kind::Setting => "a setting",
            Kind::Output => "an output",
        }
    }
}

/// One stage, as far as it is known before types are.
#[derive(Debug, PartialEq)]
pub(crate) struct Stage {
    pub(crate) id: String,
    pub(crate) binding: String,
    pub(crate) method: String,
    /// The ids of the stages and inputs that it reads.
    pub(crate) reads: Vec<String>,
}

impl Model {
    /// Resolves a definition.
    pub(crate) fn new(definition: Definition) -> Model {
        let (reads, again) = reads(&definition.body);
        let fusion = Fusion::of(&definition.body, &reads);
        let (stages, origins, of_outputs) = Stages::of(&definition);
        let mut ports = parameters(&definition, &origins);
        ports.extend(outputs(&definition, &of_outputs));
        Model {
            definition,
            ports,
            stages,
            origins,
            reads,
            again,
            fusion,
        }
    }

    /// The ports of a kind.
    pub(crate) fn each(&self, kind: Kind) -> impl Iterator<Item = &Port> {
        self.ports.iter().filter(move |port| port.kind == kind)
    }

    /// Whether sources and sinks can be bound to it; else only other pipelines can call it.
    pub(crate) fn runs_alone(&self) -> bool {
        let parameters = &self.definition.parameters;
        let is_handle = |role: &Role| matches!(role, Role::Handle);
        !parameters
            .iter()
            .any(|parameter| is_handle(&parameter.role))
            && !self.definition.returns.iter().any(signature::is_unfinished)
    }
}

/// A read of a name, met on a walk.
enum Met<'a> {
    /// It can take a clone.
    Read(&'a Read),
    /// It stands in plain Rust, or in what was not understood.
    Other(&'a Ident),
    /// It is none: another value has the name from here on.
    Bound(&'a Ident),
}

/// Meets all reads in the order in which they happen.
fn walk(body: &Body, meet: &mut dyn FnMut(Met<'_>)) {
    for statement in &body.statements {
        match statement {
            Statement::Plain(stmt, reads) => {
                reads.iter().for_each(|ident| meet(Met::Other(ident)));
                let bound = names::bound_by_stmt(stmt);
                bound.iter().for_each(|ident| meet(Met::Bound(ident)));
            }
            Statement::Bind(bind) => walk_chain(&bind.chain, meet),
            Statement::End(chain) => walk_chain(chain, meet),
        }
    }
    body.returned
        .iter()
        .for_each(|chain| walk_chain(chain, meet));
}

fn walk_chain(chain: &Chain, meet: &mut dyn FnMut(Met<'_>)) {
    match &chain.head {
        Head::Read(read) => meet(Met::Read(read)),
        Head::Function { reads, args, .. } => {
            reads.iter().for_each(|ident| meet(Met::Other(ident)));
            args.iter().for_each(|arg| walk_arg(arg, meet));
        }
        Head::Broken(idents) | Head::Plain(_, idents) => {
            idents.iter().for_each(|ident| meet(Met::Other(ident)));
        }
    }
    let args = chain.calls.iter().flat_map(Call::args);
    args.for_each(|arg| walk_arg(arg, meet));
}

fn walk_arg(arg: &Arg, meet: &mut dyn FnMut(Met<'_>)) {
    match arg {
        Arg::Stream(chain) => walk_chain(chain, meet),
        Arg::Value(_, reads) => reads.iter().for_each(|read| meet(Met::Read(read))),
    }
}

/// Counts the reads of each name, and finds those that another follows.
fn reads(body: &Body) -> (BTreeMap<String, usize>, BTreeSet<usize>) {
    let mut reads = BTreeMap::<String, usize>::new();
    let mut last = BTreeMap::<String, Option<usize>>::new();
    let mut again = BTreeSet::new();
    walk(body, &mut |met| {
        let (name, place) = match met {
            Met::Read(read) => (text(&read.ident), read.moves.then_some(read.place)),
            Met::Other(ident) => (text(ident), None),
            Met::Bound(ident) => {
                last.remove(&text(ident));
                return;
            }
        };
        *reads.entry(name.clone()).or_default() += 1;
        again.extend(last.insert(name, place).flatten());
    });
    (reads, again)
}

impl Fusion {
    /// Joins stateless stages into chains, across bindings that are read once. What comes out of a
    /// function may be no stream, though its methods be called the same.
    fn of(body: &Body, reads: &BTreeMap<String, usize>) -> Self {
        let mut continued = BTreeSet::new();
        each_chain(body, &mut |chain, _| {
            let first = chain.calls.first().map(is_stateless);
            if let (Head::Read(read), Some(true)) = (&chain.head, first) {
                let name = text(&read.ident);
                if reads[&name] == 1 {
                    continued.insert(name);
                }
            }
        });
        let mut fusion = Fusion::default();
        // The stages of a chain that a binding leaves open, by the binding's name.
        let mut open = BTreeMap::new();
        let mut foreign: Names = body.unknown.iter().map(text).collect();
        each_chain(body, &mut |chain, bind| {
            let inherited = match &chain.head {
                Head::Read(read) => open.remove(&text(&read.ident)).unwrap_or(0),
                _ => 0,
            };
            let Some(calls) = calls_of_handles(chain, &foreign) else {
                let names = bind.into_iter().flat_map(|bind| &bind.names);
                return foreign.extend(names.map(text));
            };
            let name = bind.and_then(one_name);
            let onward = name.filter(|name| continued.contains(name));
            let left_open = fusion.fuse(calls, inherited, onward.is_some());
            if let (Some(name), 1..) = (onward, left_open) {
                open.insert(name, left_open);
            }
        });
        fusion
    }

    /// Notes where fused chains begin and end. `inherited` stages are open before the first call.
    /// Gives the number of stages that are left open behind the last call, if that is allowed.
    fn fuse(&mut self, calls: &[Call], inherited: usize, may_stay_open: bool) -> usize {
        let (mut begin, mut stages, mut is_inherited) = (0, inherited, inherited > 0);
        for at in 0..calls.len() {
            if stages > 0 && calls[at].method == "named" {
                continue;
            }
            if !is_stateless(&calls[at]) || stages == FUSED_MAX {
                self.note(&calls[begin..at], stages, is_inherited, true);
                (stages, is_inherited) = (0, false);
            }
            if is_stateless(&calls[at]) {
                if stages == 0 {
                    begin = at;
                }
                stages += 1;
            }
            if calls[at].method == KEY_BY {
                self.note(&calls[begin..=at], stages, is_inherited, false);
                (stages, is_inherited) = (0, false);
            }
        }
        let rest = calls.get(begin..).unwrap_or_default();
        if may_stay_open && stages > 0 && stages < FUSED_MAX {
            if let (Some(first), false) = (rest.first(), is_inherited) {
                self.opens.insert(first.place);
            }
            return stages;
        }
        self.note(rest, stages, is_inherited, true);
        0
    }

    /// Notes one fused chain, if there is anything to fuse.
    fn note(&mut self, calls: &[Call], stages: usize, is_inherited: bool, ends: bool) {
        if !is_inherited && stages < 2 {
            return;
        }
        if let (Some(first), false) = (calls.first(), is_inherited) {
            self.opens.insert(first.place);
        }
        if let (Some(last), true) = (calls.last(), ends) {
            self.ends.insert(last.place);
        }
    }
}

/// The calls of a chain whose receivers are handles for certain; none where what comes out of the chain
/// may be `foreign`, too.
fn calls_of_handles<'c>(chain: &'c Chain, foreign: &Names) -> Option<&'c [Call]> {
    let begins_foreign = match &chain.head {
        Head::Read(read) => foreign.contains(&text(&read.ident)),
        Head::Function { .. } | Head::Plain(..) => true,
        Head::Broken(_) => false,
    };
    if !begins_foreign {
        return Some(&chain.calls);
    }
    let is_ours = |call: &Call| OURS.iter().any(|name| call.method == name);
    let first = chain.calls.iter().position(is_ours)?;
    Some(&chain.calls[first + 1..])
}

/// The one plain name that a chain is bound to.
fn one_name(bind: &Bind) -> Option<String> {
    let is_plain = matches!(bind.pat, syn::Pat::Ident(_));
    bind.names.first().filter(|_| is_plain).map(text)
}

/// Calls back for each chain, those in its arguments before it, with what it is bound by.
pub(crate) fn each_chain(body: &Body, back: &mut dyn FnMut(&Chain, Option<&Bind>)) {
    for statement in &body.statements {
        match statement {
            Statement::Plain(..) => {}
            Statement::Bind(bind) => each_inside(&bind.chain, Some(bind), back),
            Statement::End(chain) => each_inside(chain, None, back),
        }
    }
    body.returned
        .iter()
        .for_each(|chain| each_inside(chain, None, back));
}

fn each_inside(chain: &Chain, bind: Option<&Bind>, back: &mut dyn FnMut(&Chain, Option<&Bind>)) {
    let of_head = match &chain.head {
        Head::Function { args, .. } => &args[..],
        _ => &[],
    };
    let of_calls = chain.calls.iter().flat_map(Call::args);
    for arg in of_head.iter().chain(of_calls) {
        if let Arg::Stream(chain) = arg {
            each_inside(chain, None, back);
        }
    }
    back(chain, bind);
}

fn is_stateless(call: &Call) -> bool {
    let is_complete = match call.args() {
        [Arg::Value(..)] => call.method != SAMPLE,
        [Arg::Value(..), Arg::Value(..)] => call.method == SAMPLE,
        _ => false,
    };
    is_complete && call.turbofish.is_none() && STATELESS.iter().any(|name| call.method == name)
}

/// Gathers the stages.
struct Stages<'d> {
    pipeline: &'d str,
    stages: Vec<Stage>,
    /// The ids that are taken, by the rule of the graph: a stage that is named gives up its own.
    ids: BTreeSet<String>,
    /// By name of a stream: the id of what it comes out of.
    origins: BTreeMap<String, String>,
}

impl<'d> Stages<'d> {
    /// The stages, what each name comes out of, and the same of each output.
    fn of(definition: &'d Definition) -> (Vec<Stage>, BTreeMap<String, String>, Vec<String>) {
        let mut this = Stages {
            pipeline: &definition.name,
            stages: Vec::new(),
            ids: BTreeSet::new(),
            origins: BTreeMap::new(),
        };
        for parameter in &definition.parameters {
            if !matches!(parameter.role, Role::Setting(_)) {
                let name = text(&parameter.ident);
                let id = this.id(None, &name);
                this.origins.insert(name, id);
            }
        }
        for statement in &definition.body.statements {
            match statement {
                Statement::Plain(..) => {}
                Statement::Bind(bind) => {
                    let binding = bind.names.first().map(text).unwrap_or_default();
                    let origin = this.chain(&bind.chain, &binding);
                    for name in &bind.names {
                        this.origins.insert(text(name), origin.clone());
                    }
                }
                Statement::End(chain) => drop(this.chain(chain, &end_name(chain))),
            }
        }
        let returned = definition.body.returned.iter();
        let outputs = returned
            .map(|chain| this.chain(chain, &output_name(chain)))
            .collect();
        (this.stages, this.origins, outputs)
    }

    /// Adds the stages of a chain, and gives the id of the last.
    fn chain(&mut self, chain: &Chain, binding: &str) -> String {
        let mut origin = match &chain.head {
            Head::Read(read) => self.origins.get(&text(&read.ident)).cloned(),
            Head::Function { function, args, .. } => {
                let reads = self.args(args, binding);
                Some(self.stage(binding, &function_name(function), reads))
            }
            Head::Plain(..) | Head::Broken(_) => None,
        };
        let mut begun = None;
        for call in &chain.calls {
            let method = text(&call.method);
            if method == "named" {
                origin = origin.map(|id| self.name(id, call));
            }
            let mut reads: Vec<_> = origin.clone().into_iter().collect();
            reads.extend(self.args(call.args(), binding));
            // What looks like a field is a method half typed. It must leave no trace in front of the
            // function's body: an editor compares places before and behind the typing.
            if SILENT.contains(&&*method) || call.args.is_none() {
                continue;
            }
            if WINDOWS.contains(&&*method) {
                begun = Some(method);
                continue;
            }
            let method = begun.take().unwrap_or(method);
            origin = Some(self.stage(binding, plain(&method), reads));
        }
        origin.unwrap_or_default()
    }

    fn args(&mut self, args: &[Arg], binding: &str) -> Vec<String> {
        let chains = args.iter().filter_map(|arg| match arg {
            Arg::Stream(chain) => Some(chain),
            Arg::Value(..) => None,
        });
        chains.map(|chain| self.chain(chain, binding)).collect()
    }

    fn stage(&mut self, binding: &str, method: &str, reads: Vec<String>) -> String {
        let id = self.id(Some(binding), method);
        self.stages.push(Stage {
            id: id.clone(),
            binding: binding.to_owned(),
            method: method.to_owned(),
            reads,
        });
        id
    }

    fn id(&mut self, binding: Option<&str>, name: &str) -> String {
        let wanted = match binding {
            Some(binding) => format!("{}/{binding}/{name}", self.pipeline),
            None => format!("{}/{name}", self.pipeline),
        };
        let numbered = (2..).map(|number| format!("{wanted}#{number}"));
        let mut ids = std::iter::once(wanted.clone()).chain(numbered);
        let id = ids.find(|id| !self.ids.contains(id));
        let id = id.expect("numbers do not end");
        self.ids.insert(id.clone());
        id
    }

    /// Gives the stage that a stream comes out of the name that the user says, and gives its new id.
    fn name(&mut self, id: String, call: &Call) -> String {
        let [Arg::Value(expr, _)] = call.args() else {
            return id;
        };
        let Expr::Lit(syn::ExprLit {
            lit: Lit::Str(name),
            ..
        }) = &**expr
        else {
            return id;
        };
        let new = format!("{}/{}", self.pipeline, name.value());
        self.ids.remove(&id);
        self.ids.insert(new.clone());
        let of_stages = self.stages.iter_mut();
        let told = of_stages.flat_map(|stage| stage.reads.iter_mut().chain([&mut stage.id]));
        let told = told.chain(self.origins.values_mut());
        told.filter(|told| **told == id)
            .for_each(|told| told.clone_from(&new));
        new
    }
}

/// The last name of the path of a function.
fn function_name(function: &Expr) -> String {
    match function {
        Expr::Path(path) => {
            let last = path.path.segments.last().expect("a path has a segment");
            text(&last.ident)
        }
        other => other.to_token_stream().to_string(),
    }
}

/// What the stages of `name.….discard()` are written in.
pub(crate) fn end_name(chain: &Chain) -> String {
    match &chain.head {
        Head::Read(read) => text(&read.ident),
        _ => "discard".to_owned(),
    }
}

/// The port of a chain that is returned.
pub(crate) fn output_name(chain: &Chain) -> String {
    match &chain.head {
        Head::Read(read) if chain.calls.is_empty() => text(&read.ident),
        _ => UNNAMED.to_owned(),
    }
}

/// The ports of the parameters: inputs, then settings.
fn parameters(definition: &Definition, origins: &BTreeMap<String, String>) -> Vec<Port> {
    let parameters = definition.parameters.iter().enumerate();
    let mut ports: Vec<_> = parameters
        .filter_map(|(index, parameter)| {
            let name = text(&parameter.ident);
            let (kind, ty, default) = match &parameter.role {
                Role::Input(record) => (Kind::Input, &**record, None),
                Role::Setting(default) => (Kind::Setting, &parameter.ty, default.as_deref()),
                Role::Handle => return None,
            };
            Some(Port {
                kind,
                // A setting is no stream and comes out of nothing.
                id: origins.get(&name).cloned().unwrap_or_default(),
                name,
                span: parameter.ident.span(),
                docs: parameter.docs.clone(),
                parameter: Some(index),
                ty: Some(ty.clone()),
                default: default.cloned(),
            })
        })
        .collect();
    ports.sort_by_key(|port| port.kind == Kind::Setting);
    ports
}

fn outputs(definition: &Definition, origins: &[String]) -> Vec<Port> {
    let returned = definition.body.returned.iter().zip(origins).enumerate();
    let output = |(index, (chain, id)): (usize, (&Chain, &String))| Port {
        kind: Kind::Output,
        name: output_name(chain),
        span: match (&chain.head, chain.calls.last()) {
            (_, Some(call)) => call.method.span(),
            (Head::Read(read), None) => read.ident.span(),
            _ => definition.ident.span(),
        },
        docs: Vec::new(),
        parameter: None,
        ty: definition.returns.get(index).cloned(),
        default: None,
        id: id.clone(),
    };
    returned.map(output).collect()
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "pipeline {}", self.definition.name)?;
        for port in self.each(Kind::Input).chain(self.each(Kind::Setting)) {
            let ty = port.ty.to_token_stream();
            writeln!(f, "  {} {}: {ty}", port.kind.name(), port.name)?;
        }
        for stage in &self.stages {
            writeln!(f, "  {} <- {}", stage.id, stage.reads.join(", "))?;
        }
        for output in self.each(Kind::Output) {
            writeln!(f, "  output {} <- {}", output.name, output.id)?;
        }
        Ok(())
    }
}
