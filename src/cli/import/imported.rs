//! What was read from a file of GitLab or mail_room, before it is written as a `mailhatch.toml`.

/// What the file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    GitlabRb,
    GitlabYml,
    MailRoomYml,
}

/// Which of GitLab's two mailboxes; the names are those of its API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    IncomingEmail,
    ServiceDeskEmail,
}

impl Kind {
    pub(super) const ALL: [Self; 2] = [Self::IncomingEmail, Self::ServiceDeskEmail];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::IncomingEmail => "incoming_email",
            Self::ServiceDeskEmail => "service_desk_email",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A value as far as it can be read without running Ruby.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A literal.
    Text(String),
    /// What only Ruby or ERB could tell: the source text.
    Unread(String),
}

impl Value {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Unread(_) => None,
        }
    }

    pub(super) fn is_true(&self) -> bool {
        matches!(self.text(), Some("true" | "yes" | "on"))
    }
}

/// One setting, by GitLab's name for it and by the name that it has in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) key: String,
    pub(super) shown: String,
    pub(super) value: Value,
}

/// What the file says of one mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) kind: Kind,
    pub(super) settings: Vec<Setting>,
}

impl Section {
    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        self.settings.iter().rfind(|setting| setting.key == key).map(|setting| &setting.value)
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.value(key).and_then(Value::text).filter(|text| !text.is_empty())
    }
}

/// All that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Imported {
    pub(super) origin: Origin,
    pub(super) sections: Vec<Section>,
    /// Where GitLab is, as far as the file says it apart from the mailboxes.
    pub(super) gitlab_url: Option<String>,
    /// What was left out, and why.
    pub(super) notes: Vec<String>,
}

/// Why nothing is printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The file is none of the three.
    NotKnown(String),
    /// It is, but no mailbox comes of it.
    NothingToImport(String),
}
