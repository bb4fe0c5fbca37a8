//! The function's signature: its name, its parameters and what each is for, what it returns.

use proc_macro2::{Ident, TokenStream};
use quote::ToTokens;
use syn::TypeReference;
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, ExprLit, FnArg, GenericArgument, GenericParam, Lit, Meta};
use syn::{PathArguments, ReceiverKind, Safety, Signature, Token, Type, TypeImplTrait};

use crate::errors::Errors;
use crate::parse::{self, Parameter, Role};

/// The handles of `stream-core`. The macro sees names, not types.
const HANDLES: [&str; 6] = ["Stream", "Timed", "Keyed", "Table", "Changes", "Windows"];

/// Reads the attribute's arguments: `name = "…"`.
pub(crate) fn name(attr: TokenStream, function: &Ident, errors: &mut Errors) -> String {
    let mut name = function.to_string().trim_start_matches("r#").to_owned();
    let arguments = match Punctuated::<Meta, Token![,]>::parse_terminated.parse2(attr) {
        Ok(arguments) => arguments,
        Err(error) => {
            errors.push(error);
            return name;
        }
    };
    for argument in arguments {
        match &argument {
            Meta::NameValue(pair) if pair.path.is_ident("name") => match text(&pair.value) {
                Some(text) if !text.is_empty() && !text.contains('/') => name = text,
                _ => {
                    let what = "a pipeline's name is a text, not empty, without `/`";
                    errors.add(&pair.value, what, "write `name = \"sessions\"`");
                }
            },
            other => {
                let path = other.path().to_token_stream();
                let what = format!("`#[pipeline]` has no argument `{path}`");
                let help = "the only one is `name = \"…\"`; sources, sinks and the mode are said \
                            on the job";
                errors.add(other, what, help);
            }
        }
    }
    name
}

fn text(value: &Expr) -> Option<String> {
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => Some(text.value()),
        _ => None,
    }
}

/// Notes what a pipeline cannot be.
pub(crate) fn check(sig: &Signature, errors: &mut Errors) {
    let plain = "a pipeline is a plain `fn` from streams to streams";
    if let Some(token) = sig.asyncness {
        let help = format!("{plain}: it only describes the graph; leave out `async`");
        errors.add(token, "a pipeline cannot be `async`", help);
    }
    if !matches!(sig.safety, Safety::Default) {
        let help = format!("{plain}: leave it out");
        errors.add(&sig.safety, "a pipeline cannot be `unsafe`", help);
    }
    if let Some(token) = sig.constness {
        let help = format!("{plain}: leave out `const`");
        errors.add(token, "a pipeline cannot be `const`", help);
    }
    if let Some(abi) = &sig.abi {
        let help = format!("{plain}: leave out `extern`");
        errors.add(abi, "a pipeline cannot be `extern`", help);
    }
    for param in &sig.generics.params {
        match param {
            GenericParam::Type(_) => {}
            GenericParam::Lifetime(param) => {
                let help = "records outlive the function that describes their way: let them own \
                            what they hold";
                errors.add(param, "a pipeline cannot have lifetimes", help);
            }
            GenericParam::Const(param) => {
                let help = "make it a setting: a parameter of the function";
                errors.add(&param.ident, "a pipeline cannot have const generics", help);
            }
        }
    }
}

/// Reads the parameters.
pub(crate) fn parameters(
    inputs: &Punctuated<FnArg, Token![,]>,
    errors: &mut Errors,
) -> Vec<Parameter> {
    let mut parameters = Vec::new();
    for input in inputs {
        match input {
            FnArg::Receiver(receiver) => {
                let at = match &receiver.kind {
                    ReceiverKind::Value => receiver.self_token.to_token_stream(),
                    _ => receiver.to_token_stream(),
                };
                let help = "a pipeline is a free function: take what it needs as settings";
                errors.add(at, "a pipeline cannot have `self`", help);
            }
            FnArg::Typed(typed) => match parse::plain_parameter(input) {
                Some((ident, ty)) => {
                    borrows(ty, errors);
                    parameters.push(parameter(&typed.attrs, ident, ty, errors));
                }
                None => {
                    let what = "a parameter of a pipeline is a plain name";
                    let help = "its name is the name of a port or a setting: write `name: Type`";
                    errors.add(&typed.pat, what, help);
                }
            },
        }
    }
    let is_stream = |parameter: &Parameter| !matches!(parameter.role, Role::Setting(_));
    if !parameters.iter().any(is_stream) {
        let what = "a pipeline reads at least one stream";
        let help = "add an input: `name: Stream<Record>`; the macro knows streams by this name";
        errors.add(inputs, what, help);
    }
    parameters
}

fn parameter(attrs: &[Attribute], ident: &Ident, ty: &Type, errors: &mut Errors) -> Parameter {
    let (ours, attrs): (Vec<_>, Vec<_>) = attrs
        .iter()
        .cloned()
        .partition(|attr| attr.path().is_ident("default"));
    let mut role = role(ty);
    for attr in ours {
        match (&mut role, attr.parse_args::<Expr>()) {
            (Role::Setting(default @ None), Ok(value)) => *default = Some(Box::new(value)),
            (Role::Setting(None), Err(_)) => {
                let what = "`#[default]` says the value of a setting that is not given";
                errors.add(attr, what, "write `#[default(Gap::mins(30))]`");
            }
            (Role::Setting(_), _) => {
                errors.add(attr, "a setting has one default", "leave out the second");
            }
            _ => {
                let what = format!("`{ident}` is a stream and has no default");
                errors.add(attr, what, "only settings have one: leave it out");
            }
        }
    }
    Parameter {
        attrs,
        ident: ident.clone(),
        ty: ty.clone(),
        role,
    }
}

/// Tells by the last name of its type what a parameter is for.
fn role(ty: &Type) -> Role {
    let Type::Path(path) = ty else {
        return Role::Setting(None);
    };
    let last = path.path.segments.last().expect("a path has a segment");
    if !HANDLES.iter().any(|handle| last.ident == handle) {
        return Role::Setting(None);
    }
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return Role::Handle;
    };
    let mut types = arguments.args.iter();
    match (types.next(), types.next()) {
        (Some(GenericArgument::Type(record)), None) if last.ident == "Stream" => {
            Role::Input(Box::new(record.clone()))
        }
        _ => Role::Handle,
    }
}

/// Whether a returned type is a handle that only another pipeline can go on with.
pub(crate) fn is_unfinished(ty: &Type) -> bool {
    let Type::Path(path) = ty else {
        return false;
    };
    let last = path.path.segments.last();
    last.is_some_and(|last| last.ident == "Keyed" || last.ident == "Windows")
}

/// Notes what a type borrows, and `impl Trait`.
fn borrows(ty: &Type, errors: &mut Errors) {
    struct Borrows<'e>(&'e mut Errors);
    impl<'a> Visit<'a> for Borrows<'_> {
        fn visit_type_reference(&mut self, reference: &'a TypeReference) {
            if reference
                .lifetime
                .as_ref()
                .is_none_or(|lifetime| lifetime.ident != "static")
            {
                let what = "a pipeline cannot take what is borrowed";
                let help = "streams and settings own what they hold, for every worker has its \
                            own: take `String` for `&str`, `Vec<T>` for `&[T]`, `T` for `&T`";
                self.0.add(reference, what, help);
                return;
            }
            visit::visit_type_reference(self, reference);
        }

        fn visit_type_impl_trait(&mut self, ty: &'a TypeImplTrait) {
            let what = "a pipeline cannot have `impl Trait`";
            let help = "name the type, or add a type parameter: `fn name<T: Trait>(…)`";
            self.0.add(ty, what, help);
        }
    }
    Borrows(errors).visit_type(ty);
}

/// Reads the return type: as written, and one type an output.
pub(crate) fn returns(sig: &Signature, errors: &mut Errors) -> (Type, Vec<Type>) {
    match parse::outputs_of(&sig.output) {
        Some((output, returns)) => {
            borrows(&output, errors);
            (output, returns)
        }
        None => {
            let help = "say the streams behind the parameters: `-> Timed<Session>`, or a tuple";
            let what = format!("`{}` does not say what it returns", sig.ident);
            errors.add(&sig.ident, what, help);
            (syn::parse_quote!(()), Vec::new())
        }
    }
}
