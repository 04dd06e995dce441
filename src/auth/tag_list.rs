//! Tag lists, of which signatures and key records of DKIM are made (RFC 6376 section 3.2).
//!
//! Stricter than mail-auth 0.13.3, which takes the last of two tags with one name, reads on inside of a value that it does not
//! understand, and takes a number that it cannot read for 0. What both do not read alike must not be believed.

/// The tags in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TagList<'a>(Vec<(String, &'a str)>);

impl<'a> TagList<'a> {
    /// Reads a list; `None` if it is not one, or if a name stands twice in it, in whatever case.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut tags: Vec<(String, &str)> = Vec::new();
        for tag in text.split(';').map(trimmed).filter(|tag| !tag.is_empty()) {
            let (name, value) = tag.split_once('=')?;
            let name = trimmed(name).to_ascii_lowercase();
            let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !is_name || tags.iter().any(|(other, _)| *other == name) {
                return None;
            }
            tags.push((name, trimmed(value)));
        }
        Some(Self(tags))
    }

    /// The value of a tag.
    pub(super) fn value(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| *value)
    }

    /// The value as a number: `None` if there is no such tag, an error if there is one and it is not a number.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, ()> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let is_number = (1..=12).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
        if is_number { value.parse().map(Some).map_err(|_| ()) } else { Err(()) }
    }

    /// The words of a value between colons; `None` if there is no such tag.
    pub(super) fn words(&self, name: &str) -> Option<impl Iterator<Item = &'a str>> {
        self.value(name).map(|value| value.split(':').map(trimmed))
    }
}

/// Without blanks and line ends around it (FWS).
fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\r', '\n'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_rfc_6376_says() {
        let rows: &[(&str, &str, Option<&[(&str, &str)]>)] = &[
            ("plain", "v=1; a=x", Some(&[("v", "1"), ("a", "x")])),
            ("folded", " v = 1 ;\r\n\ta=x y\r\n ;", Some(&[("v", "1"), ("a", "x y")])),
            ("an equals sign in the value", "b=ab==;c=d", Some(&[("b", "ab=="), ("c", "d")])),
            ("empty value", "p=", Some(&[("p", "")])),
            ("nothing", "", Some(&[])),
            ("twice", "t=1; t=2", None),
            ("twice, in another case", "t=1; T=2", None),
            ("not a tag", "v=1; x", None),
            ("a name with a blank in it", "a b=1", None),
            ("a name that begins with a figure", "1=1", None),
        ];
        for (name, text, expected) in rows {
            let expected = expected.map(|tags| tags.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect());
            assert_eq!(TagList::read(text.as_bytes()).map(|list| list.0), expected, "{name}");
        }
        assert_eq!(TagList::read(b"v=\xff"), None);
    }

    #[test]
    fn numbers_are_numbers() {
        let number = |text: &str| TagList::read(text.as_bytes()).expect("a list").number("t");
        assert_eq!(number("t=12"), Ok(Some(12)));
        assert_eq!(number("x=12"), Ok(None));
        for text in ["t=", "t=-1", "t=1x", "t=1 2", "t=9999999999999", "t=0x1"] {
            assert_eq!(number(text), Err(()), "{text}");
        }
    }
}
