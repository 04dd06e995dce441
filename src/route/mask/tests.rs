use super::*;

#[test]
fn what_stands_before_a_key_is_found_however_its_mark_is_written() {
    let (mut patterns, mut forms) = (PatternIndex::default(), Vec::new());
    for (mailbox, address) in
        ["incoming+%{key}@example.com", "help-%{key}@example.com", "all%{key}@example.com"].iter().enumerate()
    {
        let (before, after) = address.split_once("%{key}").expect("a key");
        let (after, domain) = after.split_once('@').expect("a domain");
        let form = AddressPattern { before: before.into(), after: after.into(), domain: domain.into() };
        patterns.add(&form, crate::route::Entry { mailbox, list: 0 });
        forms.push(form);
    }
    let forms = KeyForms::new(patterns, &forms, HashSet::new());
    for (word, keys) in [
        ("incoming+secret@elsewhere.example", vec!["secret"]),
        ("x/incoming%2Bsecret%40example.com", vec!["2Bsecret", "secret"]),
        ("list-incoming=2bsecret", vec!["2bsecret", "secret"]),
        ("INCOMING+2bsecret", vec!["2bsecret", "secret"]),
        ("HELP-secret", vec!["secret"]),
        ("help%2Dsecret", vec!["2Dsecret", "secret"]),
        ("incoming+a@incoming+b@c", vec!["a", "b"]),
        ("incoming+a%40incoming+b%40c", vec!["a", "b"]),
        ("to=x%20incoming+b", vec!["b"]),
        ("to=x20incoming+b", vec![]),
        ("incoming+a%40incoming+b@c", vec!["a%40incoming+b"]),
        ("'incoming+a'", vec!["a"]),
        ("reply-a-help-b@c", vec!["a-help-b"]),
        ("reply-a", vec![]),
        ("xhelp-secret", vec![]),
        ("help+secret", vec![]),
        // It is part of other words.
        ("allsecret", vec![]),
        ("allsecret@example.com", vec!["secret"]),
        ("help-one-help-two", vec!["one-help-two"]),
        ("", vec![]),
        ("%", vec![]),
        ("%2", vec![]),
        ("%2é", vec![]),
    ] {
        let mut found = Vec::new();
        forms.keys_in(word, &mut found);
        found.dedup();
        assert_eq!(found, keys, "{word}");
    }
}
