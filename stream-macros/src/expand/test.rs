//! The builder of a test: vectors for inputs, and a struct of the rows of each output.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};

use super::own;
use super::ports::{Writer, Written, item, private};
use crate::model::Kind;

/// How many streams the test kit takes in one tuple.
const TUPLE_MAX: usize = 4;

impl Writer<'_> {
    /// The builder of a test, and the rows that it gives.
    pub(super) fn test(&self) -> TokenStream {
        let Writer {
            declared,
            named,
            clauses,
            bounds,
            ..
        } = self;
        let (private, test, rows) = (private(), self.item("test"), self.item("rows"));
        let states = self.states(&test);
        let typed = self.builder_of(&test, |port| port.state().to_token_stream());
        let about = format!("A test of the pipeline `{}`.", self.model.definition.ident);
        let structure = self.builder(&test, &quote!(#private::TestDraft), &about);
        let of_test = self.ports.iter().filter(|port| port.kind != Kind::Output);
        let methods = of_test.map(|port| self.method_of_test(port));
        let given = self.required_by_test().map(Written::is_given);
        let outputs: Vec<_> = self.each(Kind::Output).collect();
        let types = outputs.iter().map(|output| self.row(output));
        let typed_rows = quote!(#rows<#(#types),*>);
        let of_rows = self.bounds_of_test(&quote!(#private::TestRow));
        let (rows_struct, run, checks) = (self.rows(), self.run(), self.test_checks());
        quote! {
            #structure
            #rows_struct

            impl<#(#declared,)* #(#states),*> #typed where #(#clauses,)* #(#bounds),* {
                #(#methods)*
                #checks
            }

            impl<#(#declared,)* Ports__> #private::PipelineTest<#typed_rows>
                for #test<#(#named,)* Ports__>
            where #(#clauses,)* #(#bounds,)* #(#of_rows),*
            {
                #run
            }

            impl<#(#named,)* #(#states),*> #private::ReadyTest for #typed where #(#given),* {}
        }
    }

    fn method_of_test(&self, port: &Written) -> TokenStream {
        let (name, ty) = (&port.name, &port.ty);
        let (about, parameter, give) = match port.kind {
            Kind::Input => (
                format!("Gives the input `{name}` its records, in the order of their arrival."),
                quote!(records: impl ::core::iter::IntoIterator<Item = #ty>),
                quote!(input::<#ty>(#name, records)),
            ),
            _ => (
                format!("Gives the setting `{name}` its value."),
                quote!(value: #ty),
                quote!(set::<#ty>(#name, value)),
            ),
        };
        self.method(&self.item("test"), port, &about, &parameter, &give)
    }

    /// The struct of rows.
    fn rows(&self) -> TokenStream {
        let rows = self.item("rows");
        let about = format!("The rows of `{}`, by output.", self.model.definition.ident);
        let outputs: Vec<_> = self.each(Kind::Output).collect();
        let names = outputs.iter().map(|output| &output.ident);
        let params: Vec<_> = outputs
            .iter()
            .map(|output| item(&output.ident, "row"))
            .collect();
        let abouts = outputs
            .iter()
            .map(|output| format!("Those of `{}`.", output.name));
        quote! {
            #[doc = #about]
            #[derive(Clone, Debug, PartialEq)]
            pub struct #rows<#(#params),*> {
                #(#[doc = #abouts] pub #names: ::std::vec::Vec<#params>,)*
            }
        }
    }

    /// The method that fills it.
    fn run(&self) -> TokenStream {
        let (rows, private) = (self.item("rows"), private());
        let types = self.each(Kind::Output).map(|output| self.row(output));
        let types: Vec<_> = types.collect();
        let sources = self.each(Kind::Input).map(|input| {
            let (name, ty) = (&input.name, &input.ty);
            quote!(.source::<#ty>(#name))
        });
        let outputs: Vec<_> = self.each(Kind::Output).collect();
        let gathered = (0..outputs.len()).map(|n| own(&format!("rows{n}")));
        let gathered: Vec<_> = gathered.collect();
        let sinks = outputs.iter().zip(&gathered).map(|(output, gathered)| {
            let (name, row) = (&output.name, self.row(output));
            quote!(let (draft, #gathered) = draft.sink::<#row>(#name);)
        });
        let names = outputs.iter().map(|output| &output.ident);
        quote! {
            fn run(self, mode: #private::Mode) -> #rows<#(#types),*> {
                let draft = self.0 #(#sources)*;
                #(#sinks)*
                draft.run(mode);
                #rows { #(#names: #gathered.take(),)* }
            }
        }
    }

    /// What a test asks of records and rows. The bounds are quantified over a lifetime that they do
    /// not name, so that a pipeline whose types do not meet them is still a pipeline.
    fn bounds_of_test(&self, row: &TokenStream) -> Vec<TokenStream> {
        let private = private();
        let inputs = self.each(Kind::Input).map(|input| {
            let ty = &input.ty;
            quote!(for<'any> #ty: #private::TestRecord)
        });
        let outputs = self.each(Kind::Output).map(|output| {
            let ty = self.row(output);
            quote!(for<'any> #ty: #row)
        });
        inputs.chain(outputs).collect()
    }

    /// What a test does by methods of its own.
    fn test_checks(&self) -> TokenStream {
        let private = private();
        let bounds = self.bounds_of_test(&quote!(#private::CheckedRow));
        let given: Vec<_> = self.required_by_test().map(Written::is_given).collect();
        let (settings, draft, check) = (own("settings"), own("draft"), own("check__"));
        let inputs: Vec<_> = self.each(Kind::Input).collect();
        let streams: Vec<_> = (0..inputs.len())
            .map(|n| own(&format!("stream{n}")))
            .collect();
        let arguments = self.arguments(|port| {
            let (name, ty) = (&port.name, &port.ty);
            match inputs
                .iter()
                .zip(&streams)
                .find(|(input, _)| input.name == *name)
            {
                Some((_, stream)) if port.kind == Kind::Input => quote!(#stream),
                _ => quote!(#settings.given::<#ty>(#name)),
            }
        });
        let vectors: Vec<_> = inputs
            .iter()
            .map(|input| {
                let (name, ty) = (&input.name, &input.ty);
                quote!(#draft.take::<#ty>(#name))
            })
            .collect();
        let tokens = |idents: &[proc_macro2::Ident]| -> Vec<TokenStream> {
            idents.iter().map(|ident| quote!(#ident)).collect()
        };
        let (vectors, streams) = (nested(&vectors), nested(&tokens(&streams)));
        let (call, outputs) = (self.call(&arguments), self.outputs());
        let (pattern, outputs) = (self.pattern(&outputs), nested(&tokens(&outputs)));
        quote! {
            /// Checks that the pipeline gives the same in every mode, for every cut, number of
            /// workers and interleaving, and after a stop in the middle.
            ///
            /// # Panics
            /// When two runs differ: with the seed, what was drawn, and the rows that differ.
            pub fn check_modes(self)
            where #(#given,)* #(#bounds),*
            {
                self.#check::<#private::Modes>();
            }

            /// Checks that the pipeline gives the same though it crashes again and again and goes
            /// on from its last checkpoint.
            ///
            /// # Panics
            /// When the rows differ from those of a run in which nothing went wrong: with the seed,
            /// what was drawn, and the rows that differ.
            pub fn check_recovery(self)
            where #(#given,)* #(#bounds),*
            {
                self.#check::<#private::Recovery>();
            }

            fn #check<C__: #private::Check>(self)
            where #(#bounds),*
            {
                let #settings = self.0.settings();
                let mut #draft = self.0;
                C__::check(#vectors, move |#streams| {
                    let #pattern = #call;
                    #outputs
                });
            }
        }
    }
}

/// Any number of items as tuples of tuples, none of which is too long.
fn nested(items: &[TokenStream]) -> TokenStream {
    match items {
        [one] => one.clone(),
        few if few.len() <= TUPLE_MAX => quote!((#(#few),*)),
        many => {
            let groups = many.chunks(many.len().div_ceil(TUPLE_MAX));
            let groups: Vec<_> = groups.map(nested).collect();
            quote!((#(#groups),*))
        }
    }
}
