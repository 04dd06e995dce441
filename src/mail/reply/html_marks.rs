//! How mail programs mark a quotation, a forwarded message and a signature in HTML: by classes, ids and attributes that nobody
//! sees.

/// What an element is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// All in it is quoted.
    Quotation,
    /// It holds the line that introduces a quotation, then the quotation in `blockquote` elements. What stands between and
    /// behind those is a reply in between. Without such elements all of it is quoted.
    QuotationFrame,
    /// Its last line introduces a quotation that begins right below it. All else in such an element was typed into it.
    Introduction,
    /// From here on all is quoted, to the end of the message.
    QuotationFromHere,
    /// The header above an original message begins here; what follows says whether it does.
    HeaderFromHere,
    /// A forwarded message begins here.
    ForwardedMessage,
    /// It holds a signature.
    Signature,
}

/// The attributes that are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attribute {
    Class,
    DataMarker,
    Href,
    Id,
    Name,
    Style,
    Type,
}

impl Attribute {
    /// The one of this name, in lower case; `None` for those that say nothing.
    pub fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"class" => Self::Class,
            b"data-marker" => Self::DataMarker,
            b"href" => Self::Href,
            b"id" => Self::Id,
            b"name" => Self::Name,
            b"style" => Self::Style,
            b"type" => Self::Type,
            _ => return None,
        })
    }
}

/// What a value of an attribute says its element is for.
pub(super) fn purpose(attribute: Attribute, value: &str) -> Option<Purpose> {
    match attribute {
        Attribute::Class => value.split_ascii_whitespace().find_map(by_class),
        Attribute::DataMarker => match value {
            "__DIVIDER__" => Some(Purpose::QuotationFromHere), // Zimbra
            "__QUOTED_TEXT__" => Some(Purpose::Quotation),
            "__SIG_PRE__" | "__SIG_POST__" => Some(Purpose::Signature),
            _ => None,
        },
        Attribute::Id => by_id(value),
        Attribute::Name => match value {
            "quote" => Some(Purpose::Quotation),                    // GMX, WEB.DE
            "messageReplySection" => Some(Purpose::QuotationFrame), // Spark
            "messageSignatureSection" => Some(Purpose::Signature),
            _ => None,
        },
        Attribute::Style => is_header_style(value).then_some(Purpose::HeaderFromHere),
        Attribute::Type => value.eq_ignore_ascii_case("cite").then_some(Purpose::Quotation),
        Attribute::Href => None,
    }
}

fn by_class(class: &str) -> Option<Purpose> {
    Some(match class {
        // Gmail, and what imitates it.
        "gmail_quote" | "gmail_quote_container" => Purpose::QuotationFrame,
        "gmail_attr" => Purpose::Quotation,
        "gmail_signature" | "gmail_signature_prefix" => Purpose::Signature,
        // Proton Mail, Tuta.
        "protonmail_quote" => Purpose::QuotationFrame,
        "protonmail_signature_block" => Purpose::Signature,
        "tutanota_quote" => Purpose::Quotation,
        // Thunderbird.
        "moz-cite-prefix" => Purpose::Introduction,
        "moz-forward-container" => Purpose::ForwardedMessage,
        "moz-signature" => Purpose::Signature,
        // Yahoo Mail, which may put a prefix before its name; on iOS.
        "iosymail" => Purpose::Quotation,
        _ if class.ends_with("yahoo_quoted") => Purpose::Quotation,
        // Zoho, Front, K-9 Mail.
        "zmail_extra" | "front-blockquote" => Purpose::Quotation,
        "k9mail-signature" => Purpose::Signature,
        _ => return None,
    })
}

fn by_id(id: &str) -> Option<Purpose> {
    Some(match id {
        // Outlook on the web and on telephones; Hotmail.
        "appendonsend" | "divRplyFwdMsg" | "mail-editor-reference-message-container" | "stopSpelling" => {
            Purpose::QuotationFromHere
        }
        "Signature" | "ms-outlook-mobile-signature" => Purpose::Signature,
        // Outlook for the Mac.
        "OLK_SRC_BODY_SECTION" => Purpose::Quotation,
        // Zimbra, NetEase, 139.com, Roundcube.
        "zwchr" | "replySplit" => Purpose::QuotationFromHere,
        "isReplyContent" | "reply139content" => Purpose::Quotation,
        "replybody1" => Purpose::QuotationFrame,
        // Apple Mail, Samsung.
        "AppleMailSignature" | "composer_signature" => Purpose::Signature,
        _ if id.starts_with("yahoo_quoted") => Purpose::Quotation,
        _ => return None,
    })
}

/// The line that Outlook for Windows and Windows Mail draw above the header of the original message.
fn is_header_style(style: &str) -> bool {
    const LONGEST: usize = 400;
    if style.len() > LONGEST || !style.contains("border-top") {
        return false;
    }
    let style: String = style.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    (style.contains("border-top:solid") && style.contains("padding:3.0pt0"))
        || (style.contains("border-top-style:solid") && style.contains("padding-top:5px"))
}
