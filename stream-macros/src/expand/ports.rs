//! What the builders of jobs and tests are written with: the ports, the pipeline's generics, and
//! the names of what is generated.
//!
//! Names of generated items hold a double underscore, which no name of the user's does, so that they
//! hide none. They carry the user's place, but are not the user's: no lint tells of them.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{GenericParam, Type};

use super::{at, own};
use crate::check::RESERVED;
use crate::model::{Kind, Model, Port};
use crate::names;

/// Writes what belongs to one pipeline.
pub(super) struct Writer<'m> {
    pub(super) model: &'m Model,
    pub(super) ports: Vec<Written>,
    /// The user's type parameters with their bounds.
    pub(super) declared: Vec<TokenStream>,
    /// The same without.
    pub(super) named: Vec<TokenStream>,
    /// What the user says of them in `where`.
    pub(super) clauses: Vec<TokenStream>,
    /// That each setting and each output can be one. The bounds are quantified over a lifetime that
    /// they do not name, so that what is missing is told once, in the function.
    pub(super) bounds: Vec<TokenStream>,
}

/// A port as it is written.
pub(super) struct Written {
    pub(super) kind: Kind,
    pub(super) name: String,
    /// Its method.
    pub(super) ident: Ident,
    pub(super) ty: Type,
    pub(super) port: Port,
}

impl Written {
    /// Whether the builder's type says if it is given.
    pub(super) fn is_required(&self) -> bool {
        self.port.default.is_none()
    }

    /// The type parameter that says whether it is given.
    pub(super) fn state(&self) -> Ident {
        item(&self.ident, "state")
    }

    /// The trait that says that it is given.
    pub(super) fn given(&self) -> Ident {
        item(&self.ident, "given")
    }

    /// That it is given.
    pub(super) fn is_given(&self) -> TokenStream {
        let (state, given) = (self.state(), self.given());
        quote!(#state: #given)
    }
}

/// The struct that stands for a pipeline: its name, at its place, and yet not the user's.
pub(super) fn object(model: &Model) -> Ident {
    let mut ident = model.definition.ident.clone();
    ident.set_span(at(ident.span()));
    ident
}

/// The name of an item that is generated for something of the user's.
pub(super) fn item(of: &Ident, suffix: &str) -> Ident {
    let name = format!("{}__{suffix}", names::text(of));
    Ident::new(&name, at(of.span()))
}

/// The parts of generated code, by a short name that holds inside of it.
pub(super) fn private() -> Ident {
    own("private__")
}

impl<'m> Writer<'m> {
    pub(super) fn new(model: &'m Model, is_right: bool) -> Self {
        let definition = &model.definition;
        let generics = &definition.generics;
        let private = private();
        let declared = generics.params.iter().map(|param| match param {
            GenericParam::Type(param) => {
                let (ident, bounds) = (&param.ident, param.bounds.iter());
                quote!(#ident: #(#bounds +)* 'static) // what is missing is told in the function
            }
            other => quote!(#other),
        });
        let named = generics.type_params().map(|param| &param.ident);
        let clauses = generics.where_clause.iter();
        let clauses = clauses.flat_map(|clause| &clause.predicates);
        let written = |port: &Port| {
            let ident = Ident::new_raw(&port.name, at(port.span));
            let ident = match syn::parse_str::<Ident>(&port.name) {
                Ok(plain) => Ident::new(&plain.to_string(), ident.span()),
                Err(_) => ident,
            };
            Some(Written {
                kind: port.kind,
                name: port.name.clone(),
                ident,
                ty: port.ty.clone()?,
                port: port.clone(),
            })
        };
        let mut ports: Vec<_> = model.ports.iter().filter_map(written).collect();
        if !is_right {
            leave_one_of_each(&mut ports);
        }
        let bounds = ports.iter().filter_map(|port| {
            let ty = &port.ty;
            match port.kind {
                Kind::Input => None,
                Kind::Setting => Some(quote!(for<'any> #ty: #private::Setting)),
                Kind::Output => Some(quote!(for<'any> #ty: #private::Output)),
            }
        });
        Writer {
            model,
            declared: declared.collect(),
            named: named.map(|ident| quote!(#ident)).collect(),
            clauses: clauses.map(|predicate| quote!(#predicate)).collect(),
            bounds: bounds.collect(),
            ports,
        }
    }

    /// The name of an item of the pipeline.
    pub(super) fn item(&self, suffix: &str) -> Ident {
        item(&self.model.definition.ident, suffix)
    }

    /// The struct that stands for the pipeline.
    pub(super) fn pipeline(&self) -> Ident {
        object(self.model)
    }

    pub(super) fn each(&self, kind: Kind) -> impl Iterator<Item = &Written> {
        self.ports.iter().filter(move |port| port.kind == kind)
    }

    /// What must be given before a job runs.
    pub(super) fn required(&self) -> impl Iterator<Item = &Written> {
        self.ports.iter().filter(|port| port.is_required())
    }

    /// What must be given before a test runs.
    pub(super) fn required_by_test(&self) -> impl Iterator<Item = &Written> {
        self.required().filter(|port| port.kind != Kind::Output)
    }

    /// Parameters in the order of the function, as what stands in their place.
    pub(super) fn arguments(&self, of: impl Fn(&Written) -> TokenStream) -> Vec<TokenStream> {
        let given = self
            .ports
            .iter()
            .filter(|port| port.port.parameter.is_some());
        let mut given: Vec<_> = given.collect();
        given.sort_by_key(|port| port.port.parameter);
        given.into_iter().map(of).collect()
    }

    /// The call of the pipeline's function.
    pub(super) fn call(&self, arguments: &[TokenStream]) -> TokenStream {
        let (function, named) = (&self.model.definition.ident, &self.named);
        let turbofish = (!named.is_empty()).then(|| quote!(::<#(#named),*>));
        quote!(#function #turbofish(#(#arguments),*))
    }

    /// The type of what a sink of an output is given.
    pub(super) fn row(&self, output: &Written) -> TokenStream {
        let (ty, private) = (&output.ty, private());
        quote_spanned!(at(ty.span())=> #private::Row<#ty>)
    }

    /// A builder's struct: a pipeline's draft, with the states of its ports as one tuple.
    pub(super) fn builder(&self, name: &Ident, draft: &TokenStream, about: &str) -> TokenStream {
        let named = &self.named;
        quote! {
            #[doc = #about]
            #[must_use = "it does nothing before it is run"]
            pub struct #name<#(#named,)* Ports__>(
                #draft,
                ::core::marker::PhantomData<fn() -> (#(#named,)* Ports__)>,
            );
        }
    }

    /// A builder's type, with the states of its ports.
    pub(super) fn builder_of(
        &self,
        name: &Ident,
        state: impl FnMut(&Written) -> TokenStream,
    ) -> TokenStream {
        let named = &self.named;
        let states = self.required_of(name).into_iter().map(state);
        quote!(#name<#(#named,)* (#(#states,)*)>)
    }

    /// The type parameters that say what is given.
    pub(super) fn states(&self, builder: &Ident) -> Vec<Ident> {
        let required = self.required_of(builder).into_iter();
        required.map(Written::state).collect()
    }

    fn required_of(&self, builder: &Ident) -> Vec<&Written> {
        match *builder == self.item("test") {
            true => self.required_by_test().collect(),
            false => self.required().collect(),
        }
    }

    /// The method of a builder that gives a port or a setting what it is to have.
    pub(super) fn method(
        &self,
        builder: &Ident,
        port: &Written,
        about: &str,
        parameter: &TokenStream,
        give: &TokenStream,
    ) -> TokenStream {
        let private = private();
        let (name, docs) = (&port.ident, &port.port.docs);
        let then = self.builder_of(builder, |other| {
            let state = other.state();
            match other.kind == port.kind && other.name == port.name {
                true => quote!(#private::Bound),
                false => quote!(#state),
            }
        });
        let state = port.state();
        let is_free = match port.kind {
            Kind::Input => Some(quote!(where #state: #private::FreeInput)),
            Kind::Output => Some(quote!(where #state: #private::FreeOutput)),
            Kind::Setting => None,
        };
        let blank = (!docs.is_empty()).then(|| quote!(#[doc = ""]));
        quote! {
            #[doc = #about]
            #blank
            #(#docs)*
            pub fn #name(self, #parameter) -> #then #is_free
            {
                #builder(self.0.#give, ::core::marker::PhantomData)
            }
        }
    }

    /// For each port the trait that says that it is given.
    pub(super) fn traits(&self) -> TokenStream {
        let private = private();
        let each = self.required().map(|port| {
            let (given, name, kind) = (port.given(), &port.name, port.kind.name());
            let (what, remedy) = match port.kind {
                Kind::Input => ("source", "source"),
                Kind::Output => ("sink", "sink"),
                Kind::Setting => ("value", "value"),
            };
            let missing = format!("the {kind} `{name}` has no {what}");
            let before = format!("give it one before this: `.{name}({remedy})`");
            let about = format!("The {kind} `{name}` has a {what}.");
            quote! {
                #[doc = #about]
                #[diagnostic::on_unimplemented(message = #missing, label = #before)]
                pub trait #given {}
                impl #given for #private::Bound {}
            }
        });
        quote!(#(#each)*)
    }
}

/// Leaves out what would be a second method of a name, or one of every test. That was told.
fn leave_one_of_each(ports: &mut [Written]) {
    let mut names = RESERVED.map(str::to_owned).to_vec();
    for port in ports {
        let mut name = port.name.clone();
        while names.contains(&name) {
            name.push('2');
        }
        if name != port.name {
            port.ident = Ident::new(&name, port.ident.span());
        }
        names.push(name);
    }
}
