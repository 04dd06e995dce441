//! The record of a DKIM key (RFC 6376 section 3.6.1): what it may be used for, which mail-auth 0.13.3 does not look at.

use std::sync::Arc;

use mail_auth::Txt;
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::common::verify::DomainKey;

use super::answer::Answer;
use super::auth_result::AuthResult;
use super::tag_list::TagList;

/// Reads the key out of an answer; otherwise what that makes of the signature, and why.
pub(super) fn read(answer: &Answer) -> Result<Txt, (AuthResult, String)> {
    match answer {
        Answer::Fault(why) => return Err((AuthResult::TempError, why.to_string())),
        Answer::TooMuch(why) => return Err((AuthResult::PermError, (*why).to_owned())),
        Answer::Nothing { .. } => return Err((AuthResult::PermError, "no key is published there (s=, d=)".to_owned())),
        Answer::Records(_) => {}
    }
    // Section 3.6.2.2: several records are undefined. The first that is a key counts, as others do it.
    let mut why = (AuthResult::PermError, "the key's record cannot be read".to_owned());
    for text in answer.texts() {
        match DomainKey::parse(text) {
            Ok(key) => return may_be_used(text).map(|()| Txt::DomainKey(Arc::new(key))),
            Err(error) => why.1 = format!("the key's record cannot be read: {error}"),
        }
    }
    Err(why)
}

fn may_be_used(record: &[u8]) -> Result<(), (AuthResult, String)> {
    let refuse = |result, why: &str| Err((result, why.to_owned()));
    let Some(tags) = TagList::read(record) else {
        return refuse(AuthResult::PermError, "the key's record breaks the grammar");
    };
    let has = |name: &str, wanted: &[&str]| {
        tags.words(name)
            .map(|mut words| words.any(|word| wanted.iter().any(|wanted| word.eq_ignore_ascii_case(wanted))))
    };
    if has("t", &["y"]) == Some(true) {
        return refuse(AuthResult::Policy, "the key is for testing (t=y)");
    }
    if has("s", &["*", "email"]) == Some(false) {
        return refuse(AuthResult::PermError, "the key is not for mail (s=)");
    }
    if has("h", &["sha256"]) == Some(false) {
        return refuse(AuthResult::PermError, "the key is not for SHA-256 (h=)");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_used_for_what_it_is_made_for() {
        use AuthResult::{PermError, Policy};
        let rows: &[(&str, &str, Option<AuthResult>)] = &[
            ("plain", "v=DKIM1; p=x", None),
            ("every service", "s=*", None),
            ("mail among others", "s=tlsrpt : Email", None),
            ("SHA-256 among others", "h=sha1:SHA256", None),
            ("flag of RFC 6376", "t=s", None),
            ("a flag that nobody knows", "t=x", None),
            ("testing", "t=y", Some(Policy)),
            ("testing among others", "t= s : Y ", Some(Policy)),
            ("another service", "s=tlsrpt", Some(PermError)),
            ("a service that looks like mail", "s=emails", Some(PermError)),
            ("no service", "s=", Some(PermError)),
            ("SHA-1", "h=sha1", Some(PermError)),
            ("no hash", "h=", Some(PermError)),
            ("t= twice", "t=s; t=y", Some(PermError)),
            ("not a list", "v=DKIM1, t=y; x", Some(PermError)),
        ];
        for (name, record, refused) in rows {
            assert_eq!(may_be_used(record.as_bytes()).err().map(|(result, _)| result), *refused, "{name}");
        }
    }
}
