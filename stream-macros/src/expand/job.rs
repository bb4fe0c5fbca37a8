//! `job()` and `test()`: builders with one method a port and a setting.
//!
//! A builder has a type parameter for each port and each setting without a default, which says
//! whether it is bound. What must be bound before a job can run is a bound of `run` on a trait of
//! its own, so the compiler names the port that is missing, all of them at once.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, Type};

use super::{at, own};
use crate::check::RESERVED;
use crate::model::Model;
use crate::parse::Parameter;

/// Writes what stands in the `impl` of the pipeline, and the items beside it.
pub(super) fn job(model: &Model, is_right: bool) -> (TokenStream, TokenStream) {
    let ports = Ports::of(model, is_right);
    let constructors = ports.constructors();
    let items = [
        ports.settings_checks(),
        ports.settings_struct(),
        ports.traits(),
        ports.draft(),
        ports.job(),
        ports.test(),
    ];
    (constructors, items.into_iter().collect())
}

/// What stands in place of the job of a pipeline that only others can call.
pub(super) fn no_job() -> (TokenStream, TokenStream) {
    let constructors = quote! {
        #[doc(hidden)]
        pub fn job() -> !
        where for<'any> Self: ::stream_core::__private::RunsAlone
        {
            ::core::unreachable!()
        }
        #[doc(hidden)]
        pub fn test() -> !
        where for<'any> Self: ::stream_core::__private::RunsAlone
        {
            ::core::unreachable!()
        }
    };
    (constructors, TokenStream::new())
}

/// An input, a setting or an output.
struct Port<'m> {
    /// The name of its method.
    name: Ident,
    /// The parameter that it is given to.
    parameter: Option<Ident>,
    kind: Kind,
    ty: &'m Type,
    default: Option<&'m Expr>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Input,
    Setting,
    Output,
}

struct Ports<'m> {
    model: &'m Model,
    ports: Vec<Port<'m>>,
    /// The pipeline's name in the case of types.
    prefix: String,
}

impl Port<'_> {
    /// Whether the builder's type says if it is bound.
    fn is_required(&self) -> bool {
        self.default.is_none()
    }

    /// The type parameter that says whether it is bound.
    fn state(&self) -> Ident {
        let suffix = if self.kind == Kind::Setting {
            "Setting"
        } else {
            "Port"
        };
        format_ident!("{}{suffix}", camel(&self.name), span = Span::mixed_site())
    }

    /// The trait that says that it is bound.
    fn bound(&self) -> Ident {
        format_ident!("{}Bound", camel(&self.name), span = Span::mixed_site())
    }

    /// The trait that says that it is not bound.
    fn free(&self) -> Ident {
        format_ident!("{}Free", camel(&self.name), span = Span::mixed_site())
    }

    /// The type of what a sink of it is given.
    fn row(&self) -> TokenStream {
        let ty = self.ty;
        quote_spanned!(at(ty.span())=> <#ty as ::stream_core::__private::Output>::Row)
    }
}

impl<'m> Ports<'m> {
    fn of(model: &'m Model, is_right: bool) -> Self {
        let port = |parameter: &Parameter, kind, ty, default| Port {
            name: parameter.ident.clone(),
            parameter: Some(parameter.ident.clone()),
            kind,
            ty,
            default,
        };
        let inputs = model
            .inputs()
            .map(|(p, record)| port(p, Kind::Input, record, None));
        let settings = model.settings();
        let settings = settings.map(|(p, default)| port(p, Kind::Setting, &p.ty, default));
        let outputs = model.outputs.iter().zip(&model.definition.returns);
        let outputs = outputs.map(|(output, ty)| Port {
            name: Ident::new(output.name.trim_start_matches("r#"), output.span),
            parameter: None,
            kind: Kind::Output,
            ty,
            default: None,
        });
        let mut ports: Vec<_> = inputs.chain(settings).chain(outputs).collect();
        if !is_right {
            leave_one_of_each(&mut ports);
        }
        Ports {
            model,
            ports,
            prefix: camel(&model.definition.ident),
        }
    }

    fn item(&self, suffix: &str) -> Ident {
        format_ident!("{}{suffix}", self.prefix, span = Span::mixed_site())
    }

    /// Ports in the order of the parameters that they are given to.
    fn in_order<'p>(
        &'p self,
        ports: impl Iterator<Item = &'p Port<'m>>,
    ) -> impl Iterator<Item = &'p Port<'m>> {
        let parameters = &self.model.definition.parameters;
        let place = |port: &&Port<'_>| {
            parameters
                .iter()
                .position(|p| Some(&p.ident) == port.parameter.as_ref())
        };
        let mut ports: Vec<_> = ports.collect();
        ports.sort_by_key(place);
        ports.into_iter()
    }

    fn each(&self, kind: Kind) -> impl Iterator<Item = &Port<'m>> {
        self.ports.iter().filter(move |port| port.kind == kind)
    }

    fn required(&self) -> impl Iterator<Item = &Port<'m>> {
        self.ports.iter().filter(|port| port.is_required())
    }

    /// The user's type parameters with their bounds, and without.
    fn generics(&self) -> (Vec<TokenStream>, Vec<TokenStream>, Vec<TokenStream>) {
        let generics = &self.model.definition.generics;
        let declared = generics.type_params().map(|p| {
            let (ident, bounds) = (&p.ident, &p.bounds);
            quote!(#ident: #bounds)
        });
        let named = generics.type_params().map(|p| &p.ident);
        let clauses = generics
            .where_clause
            .iter()
            .flat_map(|clause| &clause.predicates);
        (
            declared.collect(),
            named.map(|ident| quote!(#ident)).collect(),
            clauses.map(|predicate| quote!(#predicate)).collect(),
        )
    }

    /// `job()` and `test()`.
    fn constructors(&self) -> TokenStream {
        let (declared, named, clauses) = self.generics();
        let (job, test) = (self.item("Job"), self.item("Test"));
        let unbound = |ports: Vec<&Port<'_>>| -> Vec<TokenStream> {
            let state = |_| quote!(::stream_core::__private::NotBound);
            ports.into_iter().map(state).collect()
        };
        let of_job = unbound(self.required().collect());
        let of_test = unbound(self.required_by_test().collect());
        let (draft, settings) = (own("draft"), self.default_settings());
        let inputs = self.each(Kind::Input).map(|port| &port.name);
        let inputs = quote!(#(#inputs: ::std::vec::Vec::new(),)*);
        let bounds = self.ports_bounds();
        quote! {
            /// Begins a job: bind a source to each input and a sink to each output, then run it.
            pub fn job<#(#declared),*>() -> #job<#(#named,)* #(#of_job),*>
            where #(#clauses,)* #(#bounds),*
            {
                #job { draft: #draft(#settings), ports: ::core::marker::PhantomData }
            }

            /// Begins a test: give each input a vector, then look at the rows of each output.
            pub fn test<#(#declared),*>() -> #test<#(#named,)* #(#of_test),*>
            where #(#clauses,)* #(#bounds),*
            {
                #test { #inputs settings: #settings, ports: ::core::marker::PhantomData }
            }
        }
    }

    fn default_settings(&self) -> TokenStream {
        let settings = self.item("Settings");
        let fields = self.each(Kind::Setting).map(|port| {
            let name = &port.name;
            match port.default {
                Some(value) => {
                    let ty = port.ty;
                    quote!(#name: { let #name: #ty = #value; ::core::option::Option::Some(#name) })
                }
                None => quote!(#name: ::core::option::Option::None),
            }
        });
        quote!(#settings { #(#fields,)* marker: ::core::marker::PhantomData })
    }

    /// The values of the settings, and how one is read from text.
    fn settings_struct(&self) -> TokenStream {
        let (declared, named, clauses) = self.generics();
        let settings = self.item("Settings");
        let names: Vec<_> = self.each(Kind::Setting).map(|port| &port.name).collect();
        let types: Vec<_> = self.each(Kind::Setting).map(|port| port.ty).collect();
        let texts: Vec<_> = names.iter().map(|name| plain(name)).collect();
        let bounds = self.settings_bounds();
        quote! {
            pub struct #settings<#(#named),*> {
                #(#names: ::core::option::Option<#types>,)*
                marker: ::core::marker::PhantomData<fn() -> (#(#named,)*)>,
            }

            impl<#(#declared),*> ::core::clone::Clone for #settings<#(#named),*>
            where #(#clauses,)* #(#bounds),*
            {
                fn clone(&self) -> Self {
                    #settings {
                        #(#names: ::core::clone::Clone::clone(&self.#names),)*
                        marker: ::core::marker::PhantomData,
                    }
                }
            }

            impl<#(#declared),*> ::stream_core::__private::Settings for #settings<#(#named),*>
            where #(#clauses),*
            {
                const NAMES: &'static [&'static str] = &[#(#texts),*];

                fn set(
                    &mut self,
                    name: &str,
                    text: &str,
                ) -> ::core::result::Result<(), ::stream_core::__private::Problem> {
                    #[allow(unused_imports)]
                    use ::stream_core::__private::NoText as _;
                    match name {
                        #(#texts => {
                            let value = ::stream_core::__private::Text::<#types>::new();
                            self.#names = ::core::option::Option::Some(value.read(name, text)?);
                            ::core::result::Result::Ok(())
                        })*
                        _ => ::core::result::Result::Err(
                            ::stream_core::__private::no_setting(name, Self::NAMES),
                        ),
                    }
                }
            }
        }
    }

    /// That each setting can be one. The bound is quantified over a lifetime that it does not name,
    /// so that it is told once, on the setting, and not wherever the setting is used.
    fn settings_bounds(&self) -> Vec<TokenStream> {
        let types = self.each(Kind::Setting).map(|port| port.ty);
        types
            .map(|ty| quote!(for<'any> #ty: ::stream_core::__private::Setting))
            .collect()
    }

    /// As [`settings_bounds`](Self::settings_bounds), and that each output can be one: what it
    /// lacks is told in the function.
    fn ports_bounds(&self) -> Vec<TokenStream> {
        let mut bounds = self.settings_bounds();
        let types = self.each(Kind::Output).map(|port| port.ty);
        bounds.extend(types.map(|ty| quote!(for<'any> #ty: ::stream_core::__private::Output)));
        bounds
    }

    /// Tells of each setting that cannot be one.
    fn settings_checks(&self) -> TokenStream {
        let (declared, _, clauses) = self.generics();
        let checks = self.each(Kind::Setting).map(|port| {
            let (ty, span) = (port.ty, port.ty.span());
            quote_spanned!(span=> is_setting::<#ty>();)
        });
        quote! {
            fn is_setting<T: ::stream_core::__private::Setting>() {}
            fn check<#(#declared),*>() where #(#clauses),* { #(#checks)* }
        }
    }

    /// For each port the traits that say whether it is bound.
    fn traits(&self) -> TokenStream {
        let each = self.required().map(|port| {
            let (bound, free, name) = (port.bound(), port.free(), plain(&port.name));
            let (kind, what, remedy) = match port.kind {
                Kind::Input => ("input", "source", "source"),
                Kind::Output => ("output", "sink", "sink"),
                Kind::Setting => ("setting", "value", "value"),
            };
            let missing = format!("the {kind} `{name}` has no {what}");
            let before = format!("give it one before this: `.{name}({remedy})`");
            let twice = format!("the {kind} `{name}` has a {what} already");
            let second = format!("leave out the second `.{name}(…)`");
            let once = (port.kind != Kind::Setting).then(|| {
                quote! {
                    #[diagnostic::on_unimplemented(message = #twice, label = #second)]
                    pub trait #free {}
                    impl #free for ::stream_core::__private::NotBound {}
                }
            });
            quote! {
                #[diagnostic::on_unimplemented(message = #missing, label = #before)]
                pub trait #bound {}
                impl #bound for ::stream_core::__private::Bound {}
                #once
            }
        });
        quote!(#(#each)*)
    }

    /// The function that makes the job's graph of its settings.
    fn draft(&self) -> TokenStream {
        let (declared, named, clauses) = self.generics();
        let (function, draft, settings) = (
            &self.model.definition.ident,
            own("draft"),
            self.item("Settings"),
        );
        let bounds = self.ports_bounds();
        let name = &self.model.definition.name;
        let turbofish = (!named.is_empty()).then(|| quote!(::<#(#named),*>));
        let (graph, values_given) = (own("graph"), own("settings"));
        let given = self.ports.iter().filter(|port| port.parameter.is_some());
        let arguments = self.in_order(given).map(|port| {
            let (ident, text) = (&port.name, plain(&port.name));
            let ty = port.ty;
            match port.kind {
                Kind::Input => quote!(#graph.input::<#ty>(#text)),
                _ => quote!(match #values_given.#ident {
                        ::core::option::Option::Some(value) => value,
                        ::core::option::Option::None => {
                            return ::stream_core::__private::missing_setting(#graph, #text);
                    }
                }),
            }
        });
        let outputs: Vec<_> = self.each(Kind::Output).collect();
        let count = self.model.definition.returns.len();
        let values: Vec<_> = (0..count).map(|n| own(&format!("output{n}"))).collect();
        let pattern = match &values[..] {
            [one] if !is_tuple(&self.model.definition.output) => quote!(#one),
            several => quote!((#(#several,)*)),
        };
        let connect = outputs.iter().zip(&values).map(|(port, value)| {
            let text = plain(&port.name);
            let span = at(port.ty.span());
            quote_spanned!(span=> #graph.output(#text, #value);)
        });
        quote! {
            fn #draft<#(#declared),*>(
                settings: #settings<#(#named),*>,
            ) -> ::stream_core::__private::Draft<#settings<#(#named),*>>
            where #(#clauses,)* #(#bounds),*
            {
                ::stream_core::__private::Draft::new(#name, settings, |#graph, #values_given| {
                    ::stream_core::__private::begin(#graph);
                    let #pattern = #function #turbofish(#(#arguments),*);
                    #(#connect)*
                })
            }
        }
    }

    /// The builder of a job.
    fn job(&self) -> TokenStream {
        let (declared, named, clauses) = self.generics();
        let (job, settings) = (self.item("Job"), self.item("Settings"));
        let states: Vec<_> = self.required().map(Port::state).collect();
        let about = format!("A job of the pipeline `{}`.", self.model.definition.ident);
        let bounds = self.ports_bounds();
        let binders = self.ports.iter().map(|port| self.binder_of_job(port));
        let complete: Vec<_> = self.required().map(bound_by_state).collect();
        let set: Vec<_> = self
            .each(Kind::Setting)
            .filter(|p| p.is_required())
            .map(bound_by_state)
            .collect();
        let ports: Vec<_> = self
            .required()
            .filter(|p| p.kind != Kind::Setting)
            .map(bound_by_state)
            .collect();
        quote! {
            #[doc = #about]
            #[must_use = "a job does nothing before it is run"]
            pub struct #job<#(#named,)* #(#states),*> {
                draft: ::stream_core::__private::Draft<#settings<#(#named),*>>,
                ports: ::core::marker::PhantomData<fn() -> (#(#states,)*)>,
            }

            impl<#(#declared,)* #(#states),*> #job<#(#named,)* #(#states),*>
            where #(#clauses,)* #(#bounds),*
            {
                #(#binders)*

                /// Gives a setting its value by text, as a command line does.
                pub fn set(
                    self,
                    name: &str,
                    text: &str,
                ) -> ::core::result::Result<Self, ::stream_core::__private::Error> {
                    self.draft.job().set_by_text(name, text).map(|()| self)
                }

                /// Sets the number of workers, each a thread; 1 unless told otherwise.
                pub fn workers(mut self, workers: usize) -> Self {
                    self.draft = self.draft.map(|job| job.workers(workers));
                    self
                }

                /// Sets how workers wait when they have nothing to do.
                pub fn wait(mut self, wait: ::stream_core::__private::Wait) -> Self {
                    self.draft = self.draft.map(|job| job.wait(wait));
                    self
                }

                /// Sets the clock, so that a test can drive it by hand.
                pub fn clock(mut self, clock: ::stream_core::__private::Clock) -> Self {
                    self.draft = self.draft.map(|job| job.clock(clock));
                    self
                }

                /// Starts from the state of a job that was stopped, on any number of workers.
                pub fn start_from(mut self, snapshot: ::stream_core::__private::Snapshot) -> Self {
                    self.draft = self.draft.map(|job| job.start_from(snapshot));
                    self
                }

                /// Describes the pipeline; no port needs to be bound for that.
                pub fn explain(
                    &self,
                ) -> ::core::result::Result<
                    ::stream_core::__private::GraphSpec,
                    ::stream_core::__private::Error,
                >
                where #(#set),*
                {
                    self.draft.job().explain()
                }

                /// Gives the job with everything that is bound to it.
                pub fn into_job(self) -> ::stream_core::__private::Job
                where #(#complete),*
                {
                    self.draft.into_job()
                }

                /// Runs the job to its end.
                pub fn run(
                    self,
                    mode: ::stream_core::__private::Mode,
                ) -> ::core::result::Result<
                    ::stream_core::__private::Report,
                    ::stream_core::__private::Error,
                >
                where #(#complete),*
                {
                    self.draft.into_job().run(mode)
                }

                /// Starts the job on threads of its own.
                pub fn start(
                    self,
                    mode: ::stream_core::__private::Mode,
                ) -> ::core::result::Result<
                    ::stream_core::__private::RunningJob,
                    ::stream_core::__private::Error,
                >
                where #(#complete),*
                {
                    self.draft.into_job().start(mode)
                }

                ::stream_core::__private::with_cli! {
                    /// Runs the job as its command line says: the body of `main`. A setting that
                    /// is not given here is given there: `--set name=value`.
                    pub fn main(self) -> ::std::process::ExitCode
                    where #(#ports),*
                    {
                        self.draft.into_job().main()
                    }
                }
            }
        }
    }

    /// The method of a job that binds a port or gives a setting.
    fn binder_of_job(&self, port: &Port<'_>) -> TokenStream {
        let (_, named, _) = self.generics();
        let (job, name, text, ty) = (self.item("Job"), &port.name, plain(&port.name), port.ty);
        let states = self.states_with(self.required(), port);
        let (about, parameter, bind) = match port.kind {
            Kind::Input => (
                format!("Binds a source to the input `{text}`."),
                quote!(source: impl ::stream_core::__private::Source<#ty>),
                quote!(self.draft.map(|job| job.source::<#ty>(#text, source))),
            ),
            Kind::Output => {
                let row = port.row();
                (
                    format!("Binds a sink to the output `{text}`."),
                    quote!(sink: impl ::stream_core::__private::Sink<#row>),
                    quote!(self.draft.map(|job| job.sink::<#row>(#text, sink))),
                )
            }
            Kind::Setting => (
                format!("Gives the setting `{text}` its value."),
                quote!(value: #ty),
                quote!(self.draft.set(|settings| {
                    settings.#name = ::core::option::Option::Some(value);
                })),
            ),
        };
        let free = (port.kind != Kind::Setting).then(|| free_by_state(port));
        quote! {
            #[doc = #about]
            pub fn #name(self, #parameter) -> #job<#(#named,)* #(#states),*>
            where #free
            {
                #job { draft: #bind, ports: ::core::marker::PhantomData }
            }
        }
    }

    /// The states of a builder behind the call that binds one port.
    fn states_with<'p>(
        &self,
        ports: impl Iterator<Item = &'p Port<'m>>,
        bound: &Port<'_>,
    ) -> Vec<TokenStream>
    where
        'm: 'p,
    {
        let state = |port: &Port<'_>| {
            if port.name == bound.name && port.kind == bound.kind {
                return quote!(::stream_core::__private::Bound);
            }
            let state = port.state();
            quote!(#state)
        };
        ports.map(state).collect()
    }

    fn required_by_test(&self) -> impl Iterator<Item = &Port<'m>> {
        self.required().filter(|port| port.kind != Kind::Output)
    }

    /// The builder of a test, and the rows that it gives.
    fn test(&self) -> TokenStream {
        let (declared, named, clauses) = self.generics();
        let (test, settings) = (self.item("Test"), self.item("Settings"));
        let states: Vec<_> = self.required_by_test().map(Port::state).collect();
        let inputs: Vec<_> = self.each(Kind::Input).map(|port| &port.name).collect();
        let records: Vec<_> = self.each(Kind::Input).map(|port| port.ty).collect();
        let about = format!("A test of the pipeline `{}`.", self.model.definition.ident);
        let bounds = self.ports_bounds();
        let binders = self.ports.iter().filter(|port| port.kind != Kind::Output);
        let binders = binders.map(|port| self.binder_of_test(port));
        let (rows, run) = self.run_of_test();
        let check_modes = self.check_modes();
        quote! {
            #[doc = #about]
            #[must_use = "a test does nothing before its rows are asked for"]
            pub struct #test<#(#named,)* #(#states),*> {
                #(#inputs: ::std::vec::Vec<#records>,)*
                settings: #settings<#(#named),*>,
                ports: ::core::marker::PhantomData<fn() -> (#(#states,)*)>,
            }

            #rows

            impl<#(#declared,)* #(#states),*> #test<#(#named,)* #(#states),*>
            where #(#clauses,)* #(#bounds),*
            {
                #(#binders)*
                #run
                #check_modes
            }
        }
    }

    fn binder_of_test(&self, port: &Port<'_>) -> TokenStream {
        let (_, named, _) = self.generics();
        let (test, name, text, ty) = (self.item("Test"), &port.name, plain(&port.name), port.ty);
        let states = self.states_with(self.required_by_test(), port);
        let others = self
            .each(Kind::Input)
            .map(|other| &other.name)
            .filter(|other| *other != name);
        let others = quote!(#(#others: self.#others,)*);
        let (about, parameter, rest) = match port.kind {
            Kind::Input => (
                format!("Gives the input `{text}` its records, in the order of their arrival."),
                quote!(records: impl ::core::iter::IntoIterator<Item = #ty>),
                quote! {
                    #name: ::core::iter::FromIterator::from_iter(records),
                    settings: self.settings,
                },
            ),
            _ => (
                format!("Gives the setting `{text}` its value."),
                quote!(value: #ty),
                quote! {
                    settings: {
                        let mut settings = self.settings;
                        settings.#name = ::core::option::Option::Some(value);
                        settings
                    },
                },
            ),
        };
        let free = (port.kind != Kind::Setting).then(|| free_by_state(port));
        quote! {
            #[doc = #about]
            pub fn #name(self, #parameter) -> #test<#(#named,)* #(#states),*>
            where #free
            {
                #test { #others #rest ports: ::core::marker::PhantomData }
            }
        }
    }

    /// The struct of rows, and the methods that fill it.
    fn run_of_test(&self) -> (TokenStream, TokenStream) {
        let (rows, draft) = (self.item("Rows"), own("draft"));
        let outputs: Vec<_> = self.each(Kind::Output).collect();
        let names: Vec<_> = outputs.iter().map(|port| &port.name).collect();
        let texts: Vec<_> = names.iter().map(|name| plain(name)).collect();
        let types: Vec<_> = outputs.iter().map(|port| port.row()).collect();
        let params: Vec<_> = outputs.iter().map(|port| port.state()).collect();
        let gathered = (0..outputs.len()).map(|n| own(&format!("rows{n}")));
        let gathered: Vec<_> = gathered.collect();
        let inputs: Vec<_> = self.each(Kind::Input).map(|port| &port.name).collect();
        let input_texts: Vec<_> = inputs.iter().map(|name| plain(name)).collect();
        let bounds = self.bounds_of_test(quote!(::core::marker::Send));
        let about = format!("The rows of `{}`, by output.", self.model.definition.ident);
        let structure = quote! {
            #[doc = #about]
            #[derive(Clone, Debug, PartialEq)]
            pub struct #rows<#(#params),*> {
                #(pub #names: ::std::vec::Vec<#params>,)*
            }
        };
        let methods = quote! {
            /// Runs the pipeline in batch mode and gives the rows of each output, in the order in
            /// which they were written.
            ///
            /// # Panics
            /// When the job fails.
            pub fn rows(self) -> #rows<#(#types),*>
            where #(#bounds),*
            {
                self.run(::stream_core::__private::Mode::Batch)
            }

            /// As `rows`, in any mode.
            ///
            /// # Panics
            /// When the job fails.
            pub fn run(self, mode: ::stream_core::__private::Mode) -> #rows<#(#types),*>
            where #(#bounds),*
            {
                let draft = #draft(self.settings);
                #(let source = ::stream_core::__private::vec(self.#inputs);
                  let draft = draft.map(|job| job.source(#input_texts, source));)*
                #(let (sink, #gathered) = ::stream_core::__private::collect::<#types>();
                  let draft = draft.map(|job| job.sink(#texts, sink));)*
                ::stream_core::__private::run_test(draft.into_job(), mode);
                #rows { #(#names: #gathered.take(),)* }
            }
        };
        (structure, methods)
    }

    /// What a test asks of records and rows. The bounds are quantified over a lifetime that they do
    /// not name, so that a pipeline whose types do not meet them is still a pipeline.
    fn bounds_of_test(&self, row: TokenStream) -> Vec<TokenStream> {
        let mut bounds: Vec<_> = self.required_by_test().map(bound_by_state).collect();
        bounds.extend(self.each(Kind::Input).map(|port| {
            let ty = port.ty;
            quote!(for<'any> #ty: ::core::clone::Clone + ::core::marker::Send + ::core::marker::Sync)
        }));
        bounds.extend(self.each(Kind::Output).map(|port| {
            let ty = port.row();
            quote!(for<'any> #ty: #row)
        }));
        bounds
    }

    /// `check_modes`, for as many ports as the test kit takes.
    fn check_modes(&self) -> TokenStream {
        const PORTS_MAX: usize = 4;
        let inputs: Vec<_> = self.each(Kind::Input).map(|port| &port.name).collect();
        if inputs.len() > PORTS_MAX || self.each(Kind::Output).count() > PORTS_MAX {
            return TokenStream::new();
        }
        let bounds = self.bounds_of_test(quote!(::core::fmt::Debug + ::core::marker::Send));
        let (_, named, _) = self.generics();
        let turbofish = (!named.is_empty()).then(|| quote!(::<#(#named),*>));
        let (function, values_given) = (&self.model.definition.ident, own("settings"));
        let given = self.ports.iter().filter(|port| port.parameter.is_some());
        let arguments = self.in_order(given).map(|port| {
            let (ident, text) = (&port.name, plain(&port.name));
            match port.kind {
                Kind::Setting => {
                    quote!(::stream_core::__private::given(&#values_given.#ident, #text))
                }
                _ => {
                    let stream = own(&format!("stream_{text}"));
                    quote!(#stream)
                }
            }
        });
        let streams = inputs
            .iter()
            .map(|name| own(&format!("stream_{}", plain(name))));
        let streams: Vec<_> = streams.collect();
        let (vectors, pattern) = match (&inputs[..], &streams[..]) {
            ([input], [stream]) => (quote!(self.#input), quote!(#stream)),
            _ => (quote!((#(self.#inputs),*)), quote!((#(#streams),*))),
        };
        quote! {
            /// Checks that the pipeline gives the same in every mode, for every cut, number of
            /// workers and interleaving, and after a stop in the middle.
            ///
            /// # Panics
            /// When two runs differ: with the seed, what was drawn, and the rows that differ.
            pub fn check_modes(self)
            where #(#bounds),*
            {
                let #values_given = self.settings;
                ::stream_core::__private::check_modes(#vectors, move |#pattern| {
                    #function #turbofish(#(#arguments),*)
                });
            }
        }
    }
}

fn bound_by_state(port: &Port<'_>) -> TokenStream {
    let (state, bound) = (port.state(), port.bound());
    quote!(#state: #bound)
}

fn free_by_state(port: &Port<'_>) -> TokenStream {
    let (state, free) = (port.state(), port.free());
    quote!(#state: #free)
}

/// Leaves out what would be a second method of a name, or one of every job. That was told.
fn leave_one_of_each(ports: &mut [Port<'_>]) {
    let mut names: Vec<String> = RESERVED.map(String::from).to_vec();
    for port in ports {
        let mut name = plain(&port.name);
        while names.contains(&name) {
            name.push('2');
        }
        port.name = Ident::new(&name, port.name.span());
        names.push(name);
    }
}

/// Whether a return type is a tuple.
fn is_tuple(ty: &Type) -> bool {
    match ty {
        Type::Paren(paren) => is_tuple(&paren.elem),
        Type::Group(group) => is_tuple(&group.elem),
        ty => matches!(ty, Type::Tuple(_)),
    }
}

/// A name as text, without `r#`.
fn plain(ident: &Ident) -> String {
    ident.to_string().trim_start_matches("r#").to_owned()
}

/// `late_clicks` as `LateClicks`.
fn camel(ident: &Ident) -> String {
    let mut text = String::new();
    for word in plain(ident).split('_') {
        let mut letters = word.chars();
        text.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        text.extend(letters);
    }
    text
}
