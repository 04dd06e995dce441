//! The addresses of a mailbox's parts.

use url::Url;

/// A mailbox at an endpoint.
#[derive(Clone, Debug)]
pub struct Place {
    /// `…/v1.0/users/USER`
    user: Url,
}

impl Place {
    /// The mailbox of a user.
    pub fn new(endpoint: &Url, user: &str) -> Self {
        Self { user: below(endpoint, &["v1.0", "users", user]) }
    }

    /// A message, or a part of it.
    pub(super) fn message(&self, id: &str, part: &[&str]) -> Url {
        below(&self.user, &[&["messages", id], part].concat())
    }

    /// What is to be read of a folder to know its messages. `since` is a time as the service writes it.
    pub(super) fn delta(&self, folder: &str, since: Option<&str>) -> Url {
        let mut url = below(&self.user, &["mailFolders", folder, "messages", "delta"]);
        let filter = since.map(|since| format!("&$filter=receivedDateTime%20ge%20{since}")).unwrap_or_default();
        url.set_query(Some(&format!("changeType=created&$select=id,receivedDateTime,isDraft{filter}")));
        url
    }

    /// The messages of a folder that nobody has read.
    pub(super) fn unread(&self, folder: &str) -> Url {
        let mut url = below(&self.user, &["mailFolders", folder, "messages"]);
        url.set_query(Some("$filter=isRead%20eq%20false&$select=id&$top=100"));
        url
    }

    /// The folders of a name, in the mailbox or in another folder.
    pub(super) fn folders(&self, parent: Option<&str>, name: &str) -> Url {
        let mut url = match parent {
            None => below(&self.user, &["mailFolders"]),
            Some(parent) => below(&self.user, &["mailFolders", parent, "childFolders"]),
        };
        // In OData a quotation mark in a text is written twice.
        let name = format!("displayName eq '{}'", name.replace('\'', "''"));
        url.query_pairs_mut().append_pair("$select", "id").append_pair("$filter", &name);
        // The names of the options are read as they stand.
        let query = url.query().unwrap_or_default().replace("%24", "$");
        url.set_query(Some(&query));
        url
    }
}

fn below(url: &Url, segments: &[&str]) -> Url {
    let mut url = url.clone();
    // An https URL has a path.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_the_documentation_whatever_is_in_a_name() {
        let place = Place::new(&Url::parse("https://graph.microsoft.com").expect("a URL"), "in@example.com");
        let base = "https://graph.microsoft.com/v1.0/users/in@example.com";
        let rows: Vec<(Url, &str)> = vec![
            (place.message("AAMk=", &["$value"]), "/messages/AAMk=/$value"),
            (place.message("a/../b?c", &[]), "/messages/a%2F..%2Fb%3Fc"),
            (
                place.delta("inbox", None),
                "/mailFolders/inbox/messages/delta?changeType=created&$select=id,receivedDateTime,isDraft",
            ),
            (
                place.delta("inbox", Some("2026-11-24T00:00:00Z")),
                "/mailFolders/inbox/messages/delta?changeType=created&$select=id,receivedDateTime,isDraft\
                 &$filter=receivedDateTime%20ge%202026-11-24T00:00:00Z",
            ),
            (place.folders(None, "Jo's & co"), "/mailFolders?$select=id&$filter=displayName+eq+%27Jo%27%27s+%26+co%27"),
            (place.folders(Some("x"), "y"), "/mailFolders/x/childFolders?$select=id&$filter=displayName+eq+%27y%27"),
        ];
        for (url, expected) in rows {
            assert_eq!(url.as_str(), format!("{base}{expected}"));
        }
    }
}
