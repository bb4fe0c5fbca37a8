//! The function's signature: its name, its parameters and what each is for, what it returns.

use proc_macro2::{Ident, TokenStream};
use quote::ToTokens;
use syn::TypeReference;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, ExprLit, FnArg, GenericArgument, GenericParam, Lit, Pat, PatIdent};
use syn::{Path, PathArguments, ReceiverKind, Safety, Signature, Token, Type, TypeImplTrait};

use crate::errors::Errors;
use crate::names;
use crate::parse::{self, Parameter, Role};
use crate::refuse;

/// The handles of `stream-core`. The macro sees names, not types.
const HANDLES: [&str; 8] = [
    "Stream", "Timed", "Keyed", "Table", "Changes", "Windows", "Relation", "Groups",
];

/// Those that no sink takes.
const OF_PARTS: [&str; 4] = ["Keyed", "Windows", "Relation", "Groups"];

/// What the attribute says.
pub(crate) struct Arguments {
    pub(crate) name: String,
    pub(crate) library: Path,
}

/// Reads the attribute's arguments: `name = "…"`, `crate = "…"`.
pub(crate) fn arguments(attr: TokenStream, function: &Ident, errors: &mut Errors) -> Arguments {
    let mut name = names::text(function);
    let mut library = syn::parse_quote!(::stream_core);
    let arguments = match Punctuated::<Argument, Token![,]>::parse_terminated.parse2(attr) {
        Ok(arguments) => arguments,
        Err(error) => {
            errors.push(error);
            return Arguments { name, library };
        }
    };
    for Argument { key, value } in arguments {
        let told = value.as_ref().and_then(text);
        match (&*key.to_string(), told) {
            ("name", Some(text)) if !text.is_empty() && !text.contains('/') => name = text,
            ("name", _) => {
                let what = "a pipeline's name is a text, not empty, without `/`";
                let at = value.map_or(key.to_token_stream(), |value| value.to_token_stream());
                errors.add(at, what, "write `name = \"sessions\"`");
            }
            ("crate", text) => match text.and_then(|text| path_of(&text)) {
                Some(path) => library = path,
                None => no_library(&key, value.as_ref(), errors),
            },
            (other, _) => {
                let what = format!("`#[pipeline]` has no argument `{other}`");
                let help = "there are `name = \"…\"`, and `crate = \"…\"` for another name of \
                            `stream-core`; sources, sinks and the mode are said on the job";
                errors.add(&key, what, help);
            }
        }
    }
    Arguments { name, library }
}

/// Reads the arguments of another attribute, which has one: `crate = "…"`.
pub(crate) fn library(of: &str, attr: TokenStream, errors: &mut Errors) -> Path {
    let mut library = syn::parse_quote!(::stream_core);
    match Punctuated::<Argument, Token![,]>::parse_terminated.parse2(attr) {
        Err(error) => errors.push(error),
        Ok(arguments) => {
            for Argument { key, value } in arguments {
                let path = value.as_ref().and_then(text);
                match path.and_then(|text| path_of(&text)) {
                    Some(path) if key == "crate" => library = path,
                    _ if key == "crate" => no_library(&key, value.as_ref(), errors),
                    _ => {
                        let what = format!("`#[{of}]` has no argument `{key}`");
                        let help = "there is `crate = \"…\"`, for another name of `stream-core`";
                        errors.add(&key, what, help);
                    }
                }
            }
        }
    }
    library
}

/// Where the library is found, by what `crate = "…"` says.
fn path_of(text: &str) -> Option<Path> {
    let path = syn::parse_str::<Path>(text).ok()?;
    Some(match path.get_ident().is_none_or(|only| only == "crate") {
        true => path,
        false => syn::parse_quote!(::#path),
    })
}

fn no_library(key: &Ident, value: Option<&Expr>, errors: &mut Errors) {
    let what = "`crate` says where `stream-core` is found, as a path in a text";
    let at = value.map_or(key.to_token_stream(), ToTokens::to_token_stream);
    let help = "write `crate = \"streams\"`, as the dependency is called";
    errors.add(at, what, help);
}

/// One argument of the attribute, such as `name = "…"`.
struct Argument {
    key: Ident,
    value: Option<Expr>,
}

impl Parse for Argument {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let key = input.call(Ident::parse_any)?;
        let value = match input.parse::<Option<Token![=]>>()? {
            Some(_) => Some(input.parse()?),
            None => None,
        };
        Ok(Argument { key, value })
    }
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
            FnArg::Typed(typed) => match &*typed.pat {
                Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => {
                    borrows(&typed.ty, errors);
                    state_borrows(&typed.ty, errors);
                    parameters.push(parameter(&typed.attrs, pat, &typed.ty, errors));
                }
                _ => {
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

fn parameter(attrs: &[Attribute], pat: &PatIdent, ty: &Type, errors: &mut Errors) -> Parameter {
    let ident = &pat.ident;
    let attrs = attrs.iter().cloned();
    let (ours, attrs): (Vec<_>, Vec<_>) = attrs.partition(|attr| attr.path().is_ident("default"));
    let attrs = attrs.into_iter();
    let (docs, attrs) = attrs.partition(|attr| attr.path().is_ident("doc"));
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
    if let (Role::Input(_) | Role::Handle, Some(token)) = (&role, pat.mutability) {
        refuse::mutable(token, errors);
    }
    Parameter {
        docs,
        attrs,
        mutability: pat.mutability,
        ident: ident.clone(),
        ty: ty.clone(),
        role,
    }
}

/// A type without the parentheses around it, and without the invisible ones that it has when it comes
/// out of a macro.
pub(crate) fn bare(mut ty: &Type) -> &Type {
    loop {
        ty = match ty {
            Type::Paren(paren) => &paren.elem,
            Type::Group(group) => &group.elem,
            bare => return bare,
        };
    }
}

/// Tells by the last name of its type what a parameter is for.
fn role(ty: &Type) -> Role {
    let Type::Path(path) = bare(ty) else {
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
    let Type::Path(path) = bare(ty) else {
        return false;
    };
    let last = path.path.segments.last();
    last.is_some_and(|last| OF_PARTS.iter().any(|handle| last.ident == handle))
}

/// Whether a type owns what it holds and can be written anywhere.
pub(crate) fn is_owned(ty: &Type) -> bool {
    let mut errors = Errors::default();
    borrows(ty, &mut errors);
    state_borrows(ty, &mut errors);
    errors.is_empty()
}

/// Notes what a type borrows, and `impl Trait`. What a function is given is not borrowed by it:
/// `fn(&str) -> bool` owns all that it holds, and so does a `dyn Fn(&str) -> bool`.
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

        fn visit_type_fn_ptr(&mut self, _: &'a syn::TypeFnPtr) {}

        fn visit_parenthesized_generic_arguments(
            &mut self,
            _: &'a syn::ParenthesizedGenericArguments,
        ) {
        }

        fn visit_type_impl_trait(&mut self, ty: &'a TypeImplTrait) {
            let what = "a pipeline cannot have `impl Trait`";
            let help = "name the type, or add a type parameter: `fn name<T: Trait>(…)`";
            self.0.add(ty, what, help);
        }
    }
    Borrows(errors).visit_type(ty);
}

/// Notes keys and values of a handle that refer to something, be it `'static`: what is kept as state
/// is read back from a snapshot, and then nobody is there to own it.
fn state_borrows(handle: &Type, errors: &mut Errors) {
    struct References<'e>(&'e mut Errors);
    impl<'a> Visit<'a> for References<'_> {
        fn visit_type_reference(&mut self, reference: &'a TypeReference) {
            let what = "what is kept by key cannot be borrowed";
            let help = "a key and its value are written to a snapshot and read back as values that \
                        own themselves: take `String` for `&'static str`";
            self.0.add(reference, what, help);
        }

        fn visit_type_fn_ptr(&mut self, _: &'a syn::TypeFnPtr) {}
    }
    let Type::Path(path) = bare(handle) else {
        return;
    };
    let last = path.path.segments.last().expect("a path has a segment");
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return;
    };
    let types = arguments.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    let mut references = References(errors);
    match &*last.ident.to_string() {
        "Table" | "Changes" | "Keyed" | "Relation" | "Groups" => {
            types.for_each(|ty| references.visit_type(ty));
        }
        // What a window gives may be anything, but it has a key.
        "Windowed" => types.take(1).for_each(|ty| references.visit_type(ty)),
        "Stream" | "Timed" => types.take(1).for_each(|ty| state_borrows(ty, references.0)),
        _ => {}
    }
}

/// Notes a return type that may hold no stream.
fn may_fail(output: &Type, errors: &mut Errors) {
    let Type::Path(path) = bare(output) else {
        return;
    };
    let last = path.path.segments.last();
    if last.is_some_and(|last| last.ident == "Result" || last.ident == "Option") {
        let help = "to build a graph cannot fail: return the stream itself. What may fail for a \
                    record belongs in a closure: `.filter_map(|record| parse(record).ok())`";
        errors.add(output, "a pipeline always gives its streams", help);
    }
}

/// Reads the return type: as written, and one type an output.
pub(crate) fn returns(sig: &Signature, errors: &mut Errors) -> (Type, Vec<Type>) {
    match parse::outputs_of(&sig.output) {
        Some((output, returns)) => {
            borrows(&output, errors);
            may_fail(&output, errors);
            returns.iter().for_each(|ty| state_borrows(ty, errors));
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
