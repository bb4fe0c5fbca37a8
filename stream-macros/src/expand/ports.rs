//! The ports and settings of a pipeline, as the builders of jobs and tests see them.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, Type};

use super::at;
use crate::check::RESERVED;
use crate::model::Model;
use crate::parse::Parameter;

/// An input, a setting or an output.
pub(super) struct Port<'m> {
    /// The name of its method.
    pub(super) name: Ident,
    /// The parameter that it is given to.
    pub(super) parameter: Option<Ident>,
    pub(super) kind: Kind,
    pub(super) ty: &'m Type,
    pub(super) default: Option<&'m Expr>,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Input,
    Setting,
    Output,
}

pub(super) struct Ports<'m> {
    pub(super) model: &'m Model,
    pub(super) ports: Vec<Port<'m>>,
    /// The pipeline's name in the case of types.
    pub(super) prefix: String,
}

impl Port<'_> {
    /// Whether the builder's type says if it is bound.
    pub(super) fn is_required(&self) -> bool {
        self.default.is_none()
    }

    /// The type parameter that says whether it is bound.
    pub(super) fn state(&self) -> Ident {
        let suffix = if self.kind == Kind::Setting {
            "Setting"
        } else {
            "Port"
        };
        format_ident!("{}{suffix}", camel(&self.name), span = Span::mixed_site())
    }

    /// The trait that says that it is bound.
    pub(super) fn bound(&self) -> Ident {
        format_ident!("{}Bound", camel(&self.name), span = Span::mixed_site())
    }

    /// The trait that says that it is not bound.
    pub(super) fn free(&self) -> Ident {
        format_ident!("{}Free", camel(&self.name), span = Span::mixed_site())
    }

    /// The type of what a sink of it is given.
    pub(super) fn row(&self) -> TokenStream {
        let ty = self.ty;
        quote_spanned!(at(ty.span())=> <#ty as ::stream_core::__private::Output>::Row)
    }
}

impl<'m> Ports<'m> {
    pub(super) fn of(model: &'m Model, is_right: bool) -> Self {
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

    pub(super) fn item(&self, suffix: &str) -> Ident {
        format_ident!("{}{suffix}", self.prefix, span = Span::mixed_site())
    }

    /// Ports in the order of the parameters that they are given to.
    pub(super) fn in_order<'p>(
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

    pub(super) fn each(&self, kind: Kind) -> impl Iterator<Item = &Port<'m>> {
        self.ports.iter().filter(move |port| port.kind == kind)
    }

    pub(super) fn required(&self) -> impl Iterator<Item = &Port<'m>> {
        self.ports.iter().filter(|port| port.is_required())
    }

    pub(super) fn required_by_test(&self) -> impl Iterator<Item = &Port<'m>> {
        self.required().filter(|port| port.kind != Kind::Output)
    }

    /// The user's type parameters with their bounds, and without.
    pub(super) fn generics(&self) -> (Vec<TokenStream>, Vec<TokenStream>, Vec<TokenStream>) {
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

    /// As [`settings_bounds`](Self::settings_bounds), and that each output can be one: what it
    /// lacks is told in the function.
    pub(super) fn ports_bounds(&self) -> Vec<TokenStream> {
        let mut bounds = self.settings_bounds();
        let types = self.each(Kind::Output).map(|port| port.ty);
        bounds.extend(types.map(|ty| quote!(for<'any> #ty: ::stream_core::__private::Output)));
        bounds
    }

    /// The states of a builder behind the call that binds one port.
    pub(super) fn states_with<'p>(
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

    /// For each port the traits that say whether it is bound.
    pub(super) fn traits(&self) -> TokenStream {
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
}

pub(super) fn bound_by_state(port: &Port<'_>) -> TokenStream {
    let (state, bound) = (port.state(), port.bound());
    quote!(#state: #bound)
}

pub(super) fn free_by_state(port: &Port<'_>) -> TokenStream {
    let (state, free) = (port.state(), port.free());
    quote!(#state: #free)
}

/// Leaves out what would be a second method of a name, or one of every job. That was told.
pub(super) fn leave_one_of_each(ports: &mut [Port<'_>]) {
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

/// A name as text, without `r#`.
pub(super) fn plain(ident: &Ident) -> String {
    ident.to_string().trim_start_matches("r#").to_owned()
}

/// `late_clicks` as `LateClicks`.
pub(super) fn camel(ident: &Ident) -> String {
    let mut text = String::new();
    for word in plain(ident).split('_') {
        let mut letters = word.chars();
        text.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        text.extend(letters);
    }
    text
}
