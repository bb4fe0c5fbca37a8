//! From Rust to the language of pipelines: what a function says, and what is not in the language.
//!
//! The language is small: parameters, `let` bindings, method chains, calls of other pipelines, and
//! the outputs at the end. What names no stream is plain Rust and passes as it is, and so is all
//! that stands in the closures. What is not understood is told once, and leaves a
//! [broken](Head::Broken) chain that still knows what it read, so that no other rule speaks up.

use proc_macro2::{Ident, TokenStream};
use quote::ToTokens;
use syn::punctuated::Punctuated;
use syn::token::Paren;
use syn::{Attribute, Block, Expr, Generics, ItemFn, LitStr, Local, Member, Pat, Path, ReturnType};
use syn::{Stmt, Token, Type, Visibility};

use crate::errors::Errors;
use crate::names::{self, Found, Names};
use crate::{refuse, signature};

/// A pipeline's function, as written.
pub(crate) struct Definition {
    /// Its documentation, and attributes that are none of ours.
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) ident: Ident,
    /// The receiver that a pipeline must not have.
    pub(crate) receiver: Option<syn::Receiver>,
    /// What ids begin with: the function's name, or the one in the attribute.
    pub(crate) name: String,
    /// Where `stream-core` is found.
    pub(crate) library: Path,
    pub(crate) generics: Generics,
    pub(crate) parameters: Vec<Parameter>,
    /// The return type as written, and one type an output.
    pub(crate) output: Type,
    pub(crate) returns: Vec<Type>,
    pub(crate) body: Body,
    /// The body as written.
    pub(crate) block: Block,
}

/// A parameter and what it is for.
pub(crate) struct Parameter {
    /// Its documentation, which is that of its port.
    pub(crate) docs: Vec<Attribute>,
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) mutability: Option<Token![mut]>,
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    pub(crate) role: Role,
}

/// What a parameter is for.
pub(crate) enum Role {
    /// A `Stream<T>`: an input port that carries `T`.
    Input(Box<Type>),
    /// Another handle (`Timed<T>`, `Keyed<…>`, …), which only a pipeline can give.
    Handle,
    /// A setting, with its default.
    Setting(Option<Box<Expr>>),
}

/// What a function does.
#[derive(Default)]
pub(crate) struct Body {
    /// Whether it ends with `todo!()` or the like: it is half written, and no rule is broken yet.
    pub(crate) is_unwritten: bool,
    pub(crate) statements: Vec<Statement>,
    pub(crate) returned: Vec<Chain>,
    /// The last expression, as written.
    pub(crate) result: Option<Expr>,
    /// Where streams are read perhaps, or only look so: in macros.
    pub(crate) in_macros: Vec<Found>,
    /// What is returned and reads no stream.
    pub(crate) not_streams: Vec<NotStream>,
    /// Names that chains begin with and that the function does not bind: typos, most likely, which
    /// the compiler tells of. They are taken for streams, and the compiler is asked whether they are.
    pub(crate) unknown: Vec<Ident>,
    /// Values that a closure changes.
    pub(crate) changed: Vec<Ident>,
}

/// Something that is returned and reads no stream.
pub(crate) struct NotStream {
    pub(crate) expr: Expr,
    pub(crate) in_tuple: bool,
}

/// One statement.
pub(crate) enum Statement {
    /// Plain Rust, with the settings and plain values that it reads.
    Plain(Box<Stmt>, Vec<Ident>),
    /// `let name = chain;`
    Bind(Box<Bind>),
    /// `chain.discard();`
    End(Chain),
}

/// A `let` of streams.
pub(crate) struct Bind {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) pat: Pat,
    /// The names that it binds, without `_`.
    pub(crate) names: Vec<Ident>,
    pub(crate) was: Option<LitStr>,
    pub(crate) chain: Chain,
}

/// A stream, and the methods called on it one after another.
pub(crate) struct Chain {
    pub(crate) head: Head,
    pub(crate) calls: Vec<Call>,
}

/// Where a chain begins.
pub(crate) enum Head {
    /// A name.
    Read(Read),
    /// Another pipeline, or any function that is given streams.
    Function {
        function: Box<Expr>,
        /// The settings and plain values that say which function it is.
        reads: Vec<Ident>,
        paren: Paren,
        args: Vec<Arg>,
    },
    /// Plain Rust that a method with streams is called on, with the settings and plain values that it
    /// reads.
    Plain(Box<Expr>, Vec<Ident>),
    /// What was not understood, with the streams that it names.
    Broken(Vec<Ident>),
}

/// A read of a name.
pub(crate) struct Read {
    pub(crate) ident: Ident,
    /// Its place among all reads and calls, by which the model speaks of it.
    pub(crate) place: usize,
    /// Whether it may move what it reads: no plain value is moved that is only borrowed.
    pub(crate) moves: bool,
    /// Whether it stands in macros only, so that it may be none.
    pub(crate) is_perhaps: bool,
}

/// One method call.
pub(crate) struct Call {
    pub(crate) dot: Token![.],
    pub(crate) method: Ident,
    pub(crate) turbofish: Option<TokenStream>,
    /// `None` for a field, which a half-typed call looks like.
    pub(crate) args: Option<(Paren, Vec<Arg>)>,
    /// Its place among all reads and calls.
    pub(crate) place: usize,
}

/// An argument of a method or a function.
pub(crate) enum Arg {
    Stream(Chain),
    /// Plain Rust, with one read of each setting and each plain value in it.
    Value(Box<Expr>, Vec<Read>),
}

/// Reads a function. What is wrong with it is noted; what could be read is given.
pub(crate) fn parse(attr: TokenStream, item: ItemFn, errors: &mut Errors) -> Definition {
    let signature::Arguments { name, library } =
        signature::arguments(attr, &item.sig.ident, errors);
    signature::check(&item.sig, errors);
    let parameters = signature::parameters(&item.sig.inputs, errors);
    let (output, returns) = signature::returns(&item.sig, errors);
    let body = BodyParser::new(&parameters, errors).body(&item.block, &item.sig.ident);
    Definition {
        attrs: item.attrs,
        vis: item.vis,
        receiver: item.sig.receiver().cloned(),
        ident: item.sig.ident,
        name,
        library,
        generics: item.sig.generics,
        parameters,
        output,
        returns,
        body,
        block: *item.block,
    }
}

/// Further methods of handles, whose names no operator may have.
pub(crate) const OF_HANDLES: [&str; 67] = [
    "absence",
    "absence_with_overtaken",
    "again",
    "aggregate",
    "aggregate_with_overtaken",
    "anti_join",
    "apply",
    "apply_as",
    "apply_with_overtaken",
    "approx_count_distinct",
    "as_of_join",
    "as_of_join_with_overtaken",
    "assume_in_order",
    "average",
    "calendar",
    "chain",
    "clone",
    "count_distinct",
    "count_windows",
    "dedup",
    "dedup_with_overtaken",
    "distinct",
    "early",
    "either",
    "end",
    "first",
    "fold_with",
    "full_interval_join",
    "full_interval_join_with_overtaken",
    "full_join",
    "fuse",
    "global",
    "group_by",
    "in_order",
    "in_order_with_overtaken",
    "interval_join",
    "interval_join_with_overtaken",
    "iterate",
    "join",
    "join_on",
    "latest",
    "left_interval_join",
    "left_interval_join_with_overtaken",
    "left_join",
    "lookup",
    "lookup_arrival",
    "map_with_time",
    "max",
    "max_by",
    "min",
    "min_by",
    "offset",
    "outputs",
    "raw",
    "reduce",
    "rows",
    "sample",
    "semi_join",
    "sliding",
    "split_by",
    "sum",
    "table",
    "top",
    "try_map",
    "ttl",
    "window_join",
    "window_join_with_overtaken",
];

/// The methods of a stream that one may begin with.
pub(crate) const OF_STREAMS: [&str; 18] = [
    "map",
    "filter",
    "filter_map",
    "flat_map",
    "inspect",
    "key_by",
    "union",
    "split",
    "event_time",
    "count",
    "fold",
    "scan",
    "session",
    "tumbling",
    "map_values",
    "changes",
    "named",
    "discard",
];

struct BodyParser<'e> {
    streams: Names,
    /// Settings and plain values; those of them that are settings, which are always `Clone`.
    values: Names,
    settings: Names,
    not_streams: Vec<NotStream>,
    unknown: Vec<Ident>,
    /// Plain values that may be changed, and those that a closure on a stream does change.
    mutable: Names,
    changed: Vec<Ident>,
    /// How many reads and calls there are so far.
    places: usize,
    errors: &'e mut Errors,
}

impl<'e> BodyParser<'e> {
    fn new(parameters: &[Parameter], errors: &'e mut Errors) -> Self {
        let named = |setting: bool| -> Names {
            let is_setting = |parameter: &&Parameter| matches!(parameter.role, Role::Setting(_));
            let chosen = parameters.iter().filter(|p| is_setting(p) == setting);
            chosen.map(|p| names::text(&p.ident)).collect()
        };
        BodyParser {
            streams: named(false),
            values: named(true),
            settings: named(true),
            not_streams: Vec::new(),
            unknown: Vec::new(),
            mutable: Names::new(),
            changed: Vec::new(),
            places: 0,
            errors,
        }
    }

    fn body(mut self, block: &Block, function: &Ident) -> Body {
        let mut body = Body::default();
        let (last, before) = match block.stmts.split_last() {
            Some((Stmt::Expr(last, semi), before)) => (Some((last, semi)), before),
            _ => (None, &block.stmts[..]),
        };
        if block.stmts.last().is_some_and(is_unwritten) {
            body.is_unwritten = true;
            return body;
        }
        for stmt in before {
            let found = names::read_by_stmt(stmt, &self.streams);
            body.in_macros
                .extend(found.into_iter().filter(|read| read.in_macro.is_some()));
            body.statements.extend(self.statement(stmt));
        }
        if let Some((last, _)) = last {
            let found = names::read_by(last, &self.streams);
            body.in_macros
                .extend(found.into_iter().filter(|read| read.in_macro.is_some()));
        }
        match last {
            Some((Expr::Return(last), _)) => refuse::last_return(last, self.errors),
            Some((last, None)) => body.result = Some(bare(last).clone()),
            Some((last, Some(semi))) if !self.streams_in(last).is_empty() => {
                let what = format!("`{function}` ends with a `;` and returns no stream");
                let help = "leave it out: the last expression says the outputs";
                self.errors.add(semi, what, help);
            }
            _ => {
                let what = format!("`{function}` returns no stream");
                let help = "end it with the streams that are its outputs: a name, a chain, or a \
                            tuple of names";
                self.errors.add(function, what, help);
            }
        }
        let last = last.map(|(last, _)| match last {
            Expr::Return(returned) => returned.expr.as_deref().unwrap_or(last),
            last => last,
        });
        body.returned = last.map(|last| self.result(last)).unwrap_or_default();
        body.not_streams = self.not_streams;
        body.unknown = self.unknown;
        body.changed = self.changed;
        body
    }

    fn statement(&mut self, stmt: &Stmt) -> Option<Statement> {
        match stmt {
            // An item cannot read what is around it.
            Stmt::Item(_) => Some(Statement::Plain(Box::new(stmt.clone()), Vec::new())),
            Stmt::Local(local) if self.names_stream(&Stmt::Local(local.clone())) => {
                Some(Statement::Bind(Box::new(self.bind(local)?)))
            }
            Stmt::Expr(expr, _) if self.names_stream(stmt) => {
                Some(Statement::End(self.chain(expr)))
            }
            plain => {
                let reads = names::read_by_stmt(plain, &self.values);
                let reads = reads.into_iter().map(|read| read.ident).collect();
                if let Stmt::Local(local) = plain {
                    for bound in names::bound_by(&local.pat).iter().map(names::text) {
                        self.settings.remove(&bound);
                        self.values.insert(bound);
                    }
                    names::note_mutable(&local.pat, &mut self.mutable);
                }
                Some(Statement::Plain(Box::new(plain.clone()), reads))
            }
        }
    }

    fn bind(&mut self, local: &Local) -> Option<Bind> {
        let init = local.init.as_ref()?;
        if let Some((otherwise, _)) = &init.diverge {
            let help = "a stream is always there: write `let name = …;`";
            self.errors.add(
                otherwise,
                "`let … else` cannot choose between streams",
                help,
            );
        }
        let chain = self.chain(&init.expr);
        let names = refuse::pattern(&local.pat, self.errors);
        self.streams.extend(names.iter().map(names::text));
        let (was, attrs) = self.was(&local.attrs);
        Some(Bind {
            attrs,
            pat: local.pat.clone(),
            names,
            was,
            chain,
        })
    }

    /// Takes `#[was("…")]` out of the attributes of a binding.
    fn was(&mut self, attrs: &[Attribute]) -> (Option<LitStr>, Vec<Attribute>) {
        let (ours, others): (Vec<_>, Vec<_>) = attrs
            .iter()
            .cloned()
            .partition(|attr| attr.path().is_ident("was"));
        let mut was = None;
        for attr in ours {
            match attr.parse_args::<LitStr>() {
                Ok(name) if was.is_none() => was = Some(name),
                _ => {
                    let what = "`#[was]` says one name that the binding had before";
                    self.errors.add(attr, what, "write `#[was(\"old_name\")]`");
                }
            }
        }
        let known = ["allow", "expect", "warn", "doc"];
        for attr in &others {
            if !known.iter().any(|known| attr.path().is_ident(known)) {
                let what = "this attribute has no meaning on a stream";
                let help = "a binding may have `#[was(\"old_name\")]`; every worker must build the \
                            same graph, so nothing of it can be left out";
                self.errors.add(attr, what, help);
            }
        }
        (was, others)
    }

    fn result(&mut self, last: &Expr) -> Vec<Chain> {
        match last {
            Expr::Tuple(tuple) if !tuple.elems.is_empty() => {
                let outputs = tuple.elems.iter();
                outputs.map(|output| self.output_of_tuple(output)).collect()
            }
            Expr::Paren(paren) => self.result(&paren.expr),
            Expr::Group(group) => self.result(&group.expr),
            last if self.streams_in(last).is_empty() && self.unknown_head(last).is_none() => {
                vec![self.not_stream(last, false)]
            }
            last => vec![self.chain(last)],
        }
    }

    fn not_stream(&mut self, expr: &Expr, in_tuple: bool) -> Chain {
        let expr = expr.clone();
        self.not_streams.push(NotStream { expr, in_tuple });
        Chain::broken(Vec::new())
    }

    fn output_of_tuple(&mut self, output: &Expr) -> Chain {
        if self.streams_in(output).is_empty() {
            return self.not_stream(output, true);
        }
        let chain = self.chain(output);
        let named = matches!(chain.head, Head::Read(_)) && chain.calls.is_empty();
        if !named && !matches!(chain.head, Head::Broken(_)) {
            let what = "an output among several needs a name";
            let help = "bind it before: `let name = …;`, and return `name`";
            self.errors.add(output, what, help);
        }
        chain
    }

    fn names_stream(&self, stmt: &Stmt) -> bool {
        let found = names::read_by_stmt(stmt, &self.streams);
        let begins = match stmt {
            Stmt::Local(local) => local.init.as_ref().map(|init| &*init.expr),
            Stmt::Expr(expr, _) => Some(expr),
            _ => None,
        };
        let is_unknown = begins.is_some_and(|expr| self.unknown_head(expr).is_some());
        is_unknown || found.iter().any(|read| read.in_macro.is_none())
    }

    /// The name that a chain of methods begins with, if the function does not bind it and the first of
    /// them is one of a stream. What it names may as well be a static, or bound by a macro.
    fn unknown_head<'a>(&self, expr: &'a Expr) -> Option<&'a Ident> {
        let Expr::MethodCall(call) = expr else {
            return None;
        };
        let head = match &*call.receiver {
            Expr::Path(path) if path.qself.is_none() => path.path.get_ident()?,
            receiver => return self.unknown_head(receiver),
        };
        if !OF_STREAMS.iter().any(|method| call.method == method) {
            return None;
        }
        let name = names::text(head);
        let is_bound = self.streams.contains(&name) || self.values.contains(&name);
        (!is_bound && name.starts_with(char::is_lowercase)).then_some(head)
    }

    /// The streams that an expression reads for certain.
    fn streams_in(&self, expr: &Expr) -> Vec<Ident> {
        let found = names::read_by(expr, &self.streams).into_iter();
        found
            .filter(|read| read.in_macro.is_none())
            .map(|read| read.ident)
            .collect()
    }

    /// Reads an expression that names streams.
    fn chain(&mut self, expr: &Expr) -> Chain {
        match expr {
            Expr::Paren(paren) => self.chain(&paren.expr),
            Expr::Group(group) => self.chain(&group.expr),
            Expr::Path(path) => match path.path.get_ident() {
                Some(ident) => Chain::from(Head::Read(self.read(ident.clone()))),
                None => Chain::from(self.plain(expr)),
            },
            Expr::MethodCall(call) => {
                if let Some(unknown) = self.unknown_head(expr) {
                    let unknown = unknown.clone();
                    self.streams.insert(names::text(&unknown));
                    self.unknown.push(unknown);
                }
                let mut chain = self.receiver(&call.receiver);
                let args = self.args(&call.args);
                let turbofish = call.turbofish.as_ref().map(ToTokens::to_token_stream);
                let args = Some((call.paren_token, args));
                chain.calls.push(Call {
                    dot: call.dot_token,
                    method: call.method.clone(),
                    turbofish,
                    args,
                    place: self.place(),
                });
                chain
            }
            Expr::Call(call) => Chain::from(Head::Function {
                function: call.func.clone(),
                reads: self.values_in(&call.func),
                paren: call.paren_token,
                args: self.args(&call.args),
            }),
            Expr::Field(field) => match &field.member {
                Member::Named(name) => {
                    let mut chain = self.receiver(&field.base);
                    chain.calls.push(Call {
                        dot: field.dot_token,
                        method: name.clone(),
                        turbofish: None,
                        args: None,
                        place: self.place(),
                    });
                    chain
                }
                Member::Unnamed(_) => self.refuse(expr),
            },
            _ => self.refuse(expr),
        }
    }

    fn receiver(&mut self, expr: &Expr) -> Chain {
        if self.streams_in(expr).is_empty() {
            return Chain::from(self.plain(expr));
        }
        self.chain(expr)
    }

    fn plain(&self, expr: &Expr) -> Head {
        Head::Plain(Box::new(expr.clone()), self.values_in(expr))
    }

    /// The settings and plain values that an expression reads.
    fn values_in(&self, expr: &Expr) -> Vec<Ident> {
        let found = names::read_by(expr, &self.values).into_iter();
        found.map(|read| read.ident).collect()
    }

    fn args(&mut self, args: &Punctuated<Expr, Token![,]>) -> Vec<Arg> {
        args.iter().map(|arg| self.arg(arg)).collect()
    }

    fn arg(&mut self, arg: &Expr) -> Arg {
        let streams = self.streams_in(arg);
        match arg {
            Expr::Closure(_) if !streams.is_empty() => {
                streams
                    .iter()
                    .for_each(|name| refuse::captured(name, self.errors));
                Arg::Stream(Chain::broken(streams))
            }
            _ if !streams.is_empty() => Arg::Stream(self.chain(arg)),
            _ => {
                let changed = names::changed_by(arg, &self.mutable).into_iter();
                let is_new = |name: &Ident, told: &[Ident]| told.iter().all(|other| other != name);
                for name in changed {
                    if is_new(&name, &self.changed) {
                        self.changed.push(name);
                    }
                }
                Arg::Value(Box::new(arg.clone()), self.reads(arg))
            }
        }
    }

    /// The reads of settings and plain values in an argument, one for each name.
    fn reads(&mut self, arg: &Expr) -> Vec<Read> {
        let mut reads = Vec::<Read>::new();
        for found in names::read_by(arg, &self.values) {
            let name = names::text(&found.ident);
            let moves = !found.is_borrowed || self.settings.contains(&name);
            let is_perhaps = found.in_macro.is_some();
            let mut before = reads.iter_mut();
            match before.find(|read| names::text(&read.ident) == name) {
                Some(read) => {
                    read.moves |= moves;
                    read.is_perhaps &= is_perhaps;
                }
                None => reads.push(Read {
                    moves,
                    is_perhaps,
                    ..self.read(found.ident)
                }),
            }
        }
        reads
    }

    fn read(&mut self, ident: Ident) -> Read {
        Read {
            ident,
            place: self.place(),
            moves: true,
            is_perhaps: false,
        }
    }

    fn place(&mut self) -> usize {
        self.places += 1;
        self.places
    }

    fn refuse(&mut self, expr: &Expr) -> Chain {
        refuse::expr(expr, self.errors);
        Chain::broken(self.streams_in(expr))
    }
}

impl Chain {
    fn broken(streams: Vec<Ident>) -> Self {
        Chain::from(Head::Broken(streams))
    }
}

impl From<Head> for Chain {
    fn from(head: Head) -> Self {
        Chain {
            head,
            calls: Vec::new(),
        }
    }
}

impl Call {
    /// The arguments; a field has none.
    pub(crate) fn args(&self) -> &[Arg] {
        self.args.as_ref().map_or(&[], |(_, args)| args)
    }
}

/// An expression without the parentheses around it, and without the invisible ones of a macro.
fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Paren(paren) => bare(&paren.expr),
        Expr::Group(group) => bare(&group.expr),
        bare => bare,
    }
}

/// Whether a statement stands for what is still to be written.
fn is_unwritten(stmt: &Stmt) -> bool {
    let mac = match stmt {
        Stmt::Macro(stmt) => &stmt.mac,
        Stmt::Expr(Expr::Macro(expr), _) => &expr.mac,
        _ => return false,
    };
    let last = mac.path.segments.last();
    last.is_some_and(|last| {
        ["todo", "unimplemented"]
            .iter()
            .any(|name| last.ident == name)
    })
}

/// The types of a return type, one an output.
pub(crate) fn outputs_of(output: &ReturnType) -> Option<(Type, Vec<Type>)> {
    let ReturnType::Type(_, ty) = output else {
        return None;
    };
    let inner = signature::bare(ty);
    let returns = match inner {
        Type::Tuple(tuple) => tuple.elems.iter().cloned().collect(),
        single => vec![single.clone()],
    };
    (!returns.is_empty()).then(|| ((**ty).clone(), returns))
}
