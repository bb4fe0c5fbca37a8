//! The builder of a test: vectors for inputs, and a struct of the rows of each output.

use proc_macro2::TokenStream;
use quote::quote;

use super::own;
use super::ports::{Kind, Port, Ports, bound_by_state, free_by_state, plain};

impl<'m> Ports<'m> {
    /// The builder of a test, and the rows that it gives.
    pub(super) fn test(&self) -> TokenStream {
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

    pub(super) fn binder_of_test(&self, port: &Port<'_>) -> TokenStream {
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
    pub(super) fn run_of_test(&self) -> (TokenStream, TokenStream) {
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
    pub(super) fn bounds_of_test(&self, row: TokenStream) -> Vec<TokenStream> {
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
    pub(super) fn check_modes(&self) -> TokenStream {
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
