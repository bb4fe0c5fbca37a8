//! The values of the settings, and what a setting must be.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use super::ports::{Kind, Ports, plain};

impl<'m> Ports<'m> {
    pub(super) fn default_settings(&self) -> TokenStream {
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
    pub(super) fn settings_struct(&self) -> TokenStream {
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
    pub(super) fn settings_bounds(&self) -> Vec<TokenStream> {
        let types = self.each(Kind::Setting).map(|port| port.ty);
        types
            .map(|ty| quote!(for<'any> #ty: ::stream_core::__private::Setting))
            .collect()
    }

    /// Tells of each setting that cannot be one.
    pub(super) fn settings_checks(&self) -> TokenStream {
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
}
