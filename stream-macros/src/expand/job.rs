//! `job()` and the builder that it gives, with one method a port and a setting.
//!
//! A builder has a type parameter for each port and each setting without a default, which says
//! whether it is given. What must be given before a job can run is a bound on a trait of its own, so
//! the compiler names the port that is missing, all of them at once. What every job can be told is
//! written once, in `stream-core`, for all pipelines.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::Type;
use syn::spanned::Spanned;

use super::ports::{Writer, Written, private};
use super::{at, own};
use crate::model::Kind;
use crate::signature::bare;

/// What stands in place of the job of a pipeline that only others can call.
pub(super) fn no_job() -> TokenStream {
    let private = private();
    quote! {
        #[doc(hidden)]
        pub fn job() -> !
        where for<'any> Self: #private::RunsAlone
        {
            ::core::unreachable!()
        }
        #[doc(hidden)]
        pub fn test() -> !
        where for<'any> Self: #private::RunsAlone
        {
            ::core::unreachable!()
        }
    }
}

impl Writer<'_> {
    /// `job()` and `test()`, and what both begin with.
    pub(super) fn constructors(&self) -> TokenStream {
        let Writer {
            declared,
            clauses,
            bounds,
            named,
            ..
        } = self;
        let (private, pipeline) = (private(), self.pipeline());
        let [job, test] = [self.item("job"), self.item("test")];
        let not_bound = |_: &Written| quote!(#private::NotBound);
        let begun_job = self.builder_of(&job, not_bound);
        let begun_test = self.builder_of(&test, not_bound);
        let (draft, build, set) = (own("draft__"), self.build(), self.set());
        let defaults = self.each(Kind::Setting).filter_map(|setting| {
            let (name, ty, value) = (&setting.name, &setting.ty, setting.port.default.as_ref()?);
            Some(quote!(.with::<#ty>(#name, #value)))
        });
        // What depends on the pipeline's type parameters stands where they are declared.
        let (bounds, of_functions, turbofish) = match named.is_empty() {
            true => (quote!(where #(#bounds),*), quote!(), quote!()),
            false => (
                quote!(),
                quote!(where #(#clauses,)* #(#bounds),*),
                quote!(::<#(#named),*>),
            ),
        };
        let generics = (!named.is_empty()).then(|| quote!(<#(#declared),*>));
        quote! {
            impl #pipeline #bounds {
                /// Begins a job: bind a source to each input and a sink to each output, then run it.
                pub fn job #generics() -> #begun_job #of_functions {
                    #job(Self::#draft #turbofish(), ::core::marker::PhantomData)
                }

                /// Begins a test: give each input a vector, then look at the rows of each output.
                pub fn test #generics() -> #begun_test #of_functions {
                    let draft = #private::TestDraft::new(Self::#draft #turbofish());
                    #test(draft, ::core::marker::PhantomData)
                }

                fn #draft #generics() -> #private::Draft #of_functions {
                    #private::Draft::new(
                        &Self::GRAPH,
                        #private::Settings::new() #(#defaults)*,
                        #build,
                        #set,
                    )
                }
            }
        }
    }

    /// Tells of each setting that cannot be one.
    pub(super) fn checks(&self) -> TokenStream {
        let Writer {
            declared, clauses, ..
        } = self;
        let private = private();
        let mut checks = self.each(Kind::Setting).map(|setting| {
            let ty = &setting.ty;
            quote_spanned!(ty.span()=> #private::is_setting::<#ty>();)
        });
        let Some(first) = checks.next() else {
            return TokenStream::new();
        };
        quote!(fn settings__<#(#declared),*>() where #(#clauses),* { #first #(#checks)* })
    }

    /// What builds the graph of the values of the settings.
    fn build(&self) -> TokenStream {
        let (graph, settings) = (own("graph"), own("settings"));
        let values = self.each(Kind::Setting).enumerate().map(|(n, setting)| {
            let (name, ty, value) = (&setting.name, &setting.ty, own(&format!("setting{n}")));
            quote! {
                let ::core::option::Option::Some(#value) = #settings.get::<#ty>(#graph, #name) else {
                    return;
                };
            }
        });
        let settings_in_order: Vec<_> = self.each(Kind::Setting).map(|port| &port.name).collect();
        let arguments = self.arguments(|port| {
            let (name, ty) = (&port.name, &port.ty);
            match settings_in_order
                .iter()
                .position(|setting| *setting == name)
            {
                Some(n) if port.kind == Kind::Setting => {
                    let value = own(&format!("setting{n}"));
                    quote!(#value)
                }
                _ => quote!(#graph.input::<#ty>(#name)),
            }
        });
        let (call, outputs) = (self.call(&arguments), self.outputs());
        let connect = self.each(Kind::Output).zip(&outputs).map(|(port, output)| {
            let name = &port.name;
            quote_spanned!(at(port.ty.span())=> #graph.output(#name, #output);)
        });
        let pattern = self.pattern(&outputs);
        quote!(|#graph, #settings| {
            #(#values)*
            let #pattern = #call;
            #(#connect)*
        })
    }

    /// What gives a setting a value by text.
    fn set(&self) -> TokenStream {
        let private = private();
        let each = self.each(Kind::Setting).map(|setting| {
            let (name, ty) = (&setting.name, &setting.ty);
            quote!(#name => #private::Text::<#ty>::new().give(settings, #name, text),)
        });
        let import = self.each(Kind::Setting).next();
        let import = import.map(|_| quote!(use #private::NoText as _;));
        quote!(|settings, name, text| {
            #import
            match name {
                #(#each)*
                _ => #private::no_setting(&Self::GRAPH, name),
            }
        })
    }

    /// The names of what the function returns, one an output.
    pub(super) fn outputs(&self) -> Vec<proc_macro2::Ident> {
        let count = self.model.definition.returns.len();
        (0..count).map(|n| own(&format!("output{n}"))).collect()
    }

    /// The pattern that takes apart what the function returns.
    pub(super) fn pattern(&self, outputs: &[proc_macro2::Ident]) -> TokenStream {
        match outputs {
            [one] if !is_tuple(&self.model.definition.output) => quote!(#one),
            several => quote!((#(#several,)*)),
        }
    }

    /// The builder of a job.
    pub(super) fn job(&self) -> TokenStream {
        let Writer {
            declared,
            named,
            clauses,
            bounds,
            ..
        } = self;
        let (private, job) = (private(), self.item("job"));
        let states = self.states(&job);
        let typed = self.builder_of(&job, |port| port.state().to_token_stream());
        let about = format!("A job of the pipeline `{}`.", self.model.definition.ident);
        let structure = self.builder(&job, &quote!(#private::Draft), &about);
        let methods = self.ports.iter().map(|port| self.method_of_job(port));
        let given: Vec<_> = self.required().map(Written::is_given).collect();
        let ports = self.required().filter(|port| port.kind != Kind::Setting);
        let ports: Vec<_> = ports.map(Written::is_given).collect();
        let generics = quote!(<#(#named,)* #(#states),*>);
        quote! {
            #structure

            impl<#(#declared,)* #(#states),*> #typed where #(#clauses,)* #(#bounds),* {
                #(#methods)*
            }

            impl<#(#named,)* Ports__> #private::PipelineJob for #job<#(#named,)* Ports__> {
                fn from_draft(draft: #private::Draft) -> Self {
                    #job(draft, ::core::marker::PhantomData)
                }
                fn into_draft(self) -> #private::Draft {
                    self.0
                }
                fn draft(&self) -> &#private::Draft {
                    &self.0
                }
            }

            impl #generics #private::ConnectedJob for #typed where #(#ports),* {}

            impl #generics #private::ReadyJob for #typed where #(#given),* {}
        }
    }

    /// The method of a job that binds a port or gives a setting.
    fn method_of_job(&self, port: &Written) -> TokenStream {
        let (name, ty, private) = (&port.name, &port.ty, private());
        let (about, parameter, give) = match port.kind {
            Kind::Input => (
                format!("Binds a source to the input `{name}`."),
                quote!(source: impl #private::Source<#ty>),
                quote!(map(|job| job.source::<#ty>(#name, source))),
            ),
            Kind::Output => {
                let row = self.row(port);
                (
                    format!("Binds a sink to the output `{name}`."),
                    quote!(sink: impl #private::Sink<#row>),
                    quote!(map(|job| job.sink::<#row>(#name, sink))),
                )
            }
            Kind::Setting => (
                format!("Gives the setting `{name}` its value."),
                quote!(value: #ty),
                quote!(set::<#ty>(#name, value)),
            ),
        };
        self.method(&self.item("job"), port, &about, &parameter, &give)
    }
}

/// Whether a return type is a tuple.
fn is_tuple(ty: &Type) -> bool {
    matches!(bare(ty), Type::Tuple(_))
}
