//! `job()` and the builder that it gives, with one method a port and a setting.
//!
//! A builder has a type parameter for each port and each setting without a default, which says
//! whether it is bound. What must be bound before a job can run is a bound of `run` on a trait of
//! its own, so the compiler names the port that is missing, all of them at once.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::Type;
use syn::spanned::Spanned;

use super::ports::{Kind, Port, Ports, bound_by_state, free_by_state, plain};
use super::{at, own};
use crate::model::Model;

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

impl<'m> Ports<'m> {
    /// `job()` and `test()`.
    pub(super) fn constructors(&self) -> TokenStream {
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

    /// The function that makes the job's graph of its settings.
    pub(super) fn draft(&self) -> TokenStream {
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
    pub(super) fn job(&self) -> TokenStream {
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

                /// Sets how far a record may leap ahead of its lane, whatever the pipeline says.
                pub fn max_leap(mut self, leap: ::stream_core::__private::Leap) -> Self {
                    self.draft = self.draft.map(|job| job.max_leap(leap));
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
    pub(super) fn binder_of_job(&self, port: &Port<'_>) -> TokenStream {
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
}

/// Whether a return type is a tuple.
fn is_tuple(ty: &Type) -> bool {
    match ty {
        Type::Paren(paren) => is_tuple(&paren.elem),
        Type::Group(group) => is_tuple(&group.elem),
        ty => matches!(ty, Type::Tuple(_)),
    }
}
