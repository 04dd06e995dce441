//! `#[needs(postfix, root)]`: a test that needs more than the toolchain.
//!
//! Where a part is missing, the test is reported as ignored, with the reason; where `MAILHATCH_REQUIRE` names the part, the
//! test is run and fails. libtest cannot leave a test out while it runs, so this is decided when the test is compiled: the
//! attribute puts `#[ignore = "…"]` before it. The test also begins with a check of its own, so a part that went away since
//! then makes it fail. No dependencies, on purpose: it moves whole tokens and parses no Rust.

#[path = "../../support/parts.rs"]
#[allow(dead_code, reason = "shared with the tests, which use more of it")]
mod parts;

use proc_macro::{Delimiter, Group, TokenStream, TokenTree};

/// Names what a test needs: see `tests/support/parts.rs`. Stands above `#[test]` or `#[tokio::test]`.
#[proc_macro_attribute]
pub fn needs(names: TokenStream, test: TokenStream) -> TokenStream {
    expand(names, test).unwrap_or_else(|error| compiled(&format!("compile_error!({error:?});")))
}

fn expand(names: TokenStream, test: TokenStream) -> Result<TokenStream, String> {
    let mut wanted = Vec::new();
    for name in names.into_iter().filter(|token| !matches!(token, TokenTree::Punct(comma) if comma.as_char() == ',')) {
        wanted.push(name.to_string());
    }
    if wanted.is_empty() {
        return Err("#[needs(…)] names what the test needs".to_owned());
    }
    let mut tokens: Vec<TokenTree> = test.into_iter().collect();
    if !tokens.iter().take_while(|token| token.to_string() != "fn").any(is_test_attribute) {
        return Err("#[needs(…)] stands above #[test] or #[tokio::test], which must see the #[ignore]".to_owned());
    }
    let Some(TokenTree::Group(body)) = tokens.pop() else { return Err("a function with a body".to_owned()) };

    let (mut ignore, mut check) = (String::new(), String::new());
    for name in &wanted {
        check.push_str(&format!("crate::support::parts::require({name:?});"));
        if let Some(missing) = parts::missing(name)?
            && !parts::is_required(name)
        {
            ignore = format!("#[ignore = {:?}]", format!("needs {name}: {missing}"));
        }
    }
    // Only the compiler knows what the crate is built with. One #[ignore] is enough.
    if ignore.is_empty()
        && wanted.iter().any(|name| name == parts::CRASH_POINTS)
        && !parts::is_required(parts::CRASH_POINTS)
    {
        ignore = "#[cfg_attr(not(feature = \"crash-points\"), ignore = \"needs --features crash-points\")]".to_owned();
    }
    // Cargo compiles the test anew when one of these changes.
    for variable in parts::VARIABLES {
        check.push_str(&format!("let _ = option_env!({variable:?});"));
    }
    let mut with_check = compiled(&check);
    with_check.extend(body.stream());
    tokens.push(TokenTree::Group(Group::new(Delimiter::Brace, with_check)));
    let mut whole = compiled(&ignore);
    whole.extend(tokens);
    Ok(whole)
}

fn is_test_attribute(token: &TokenTree) -> bool {
    let TokenTree::Group(attribute) = token else { return false };
    let text = attribute.stream().to_string().replace(' ', "");
    let path = text.split('(').next().unwrap_or_default();
    path == "test" || path.ends_with("::test")
}

fn compiled(text: &str) -> TokenStream {
    text.parse().unwrap_or_default()
}
