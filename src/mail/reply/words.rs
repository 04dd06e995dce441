//! The words by which mail programs mark a quotation and a forwarded message, in the languages that they speak.
//!
//! All in lower case with one blank between words: what is looked up is written so first ([`super::lines::plain`]). A table is the
//! union of what Gmail, Outlook, Apple Mail, Thunderbird and telephones write. Whose word it is does not matter, because a
//! word alone decides nothing.

/// What stands before the date in "On DATE, NAME wrote:".
pub(super) const OPENINGS: &[&str] = &[
    "on", "at", "in message", "in article", // English
    "am", // German
    "le", // French
    "el", // Spanish, Catalan
    "il", "il giorno", "in data", // Italian
    "em", "a", "no dia", // Portuguese
    "op", // Dutch
    "dnia", "w dniu", // Polish
    "den", // Swedish, Danish, Norwegian
    "på", // Norwegian
    "dne", // Czech, Slovenian
    "dňa", // Slovak
    "στις", "την", // Greek
    "pe", "în", // Romanian
    "на", // Bulgarian
    "dana", // Croatian
    "vào", "vào lúc", // Vietnamese
    "pada", "pada tanggal", // Indonesian
    "בתאריך", // Hebrew
    "في", // Arabic
    "在", // Chinese
];

/// What says that somebody wrote.
pub(super) const VERBS: &[&str] = &[
    "wrote", "wrote the following", "writes", // English
    "schrieb", "schrieb folgendes", "schreibt", "schrieben sie", "geschrieben", // German
    "a écrit", "a ecrit", "nous a dit", // French
    "escribió", "escribió lo siguiente", "escribio", "ha escrito", // Spanish
    "va escriure", "ha escrit", // Catalan
    "ha scritto", "scrisse", // Italian
    "escreveu", "escribiu", // Portuguese, Galician
    "schreef", "schreef het volgende", "geschreven", // Dutch
    "napisał", "napisał(a)", "napisał/a", "napisała", "napisana przez", "pisze", // Polish
    "napsal", "napsal(a)", "napsal/a", "napsala", // Czech
    "napísal", "napísal(a)", "napísal/a", "napísala", // Slovak
    "skrev", "skreiv", "skrev följande", "skrev følgende", // Swedish, Danish, Norwegian
    "kirjoitti", "kirjoitti seuraavaa", // Finnish
    "kirjutas", // Estonian
    "rašė", "parašė", "rakstīja", // Lithuanian, Latvian
    "написал", "написал(а)", "написала", "пишет", "писал", "писал(а)", "писала", // Russian
    "написав", "написав(-ла)", "написав(ла)", "пише", "писав", // Ukrainian
    "написа", // Bulgarian
    "yazdı", // Turkish
    "írta", // Hungarian
    "a scris", // Romanian
    "έγραψε", // Greek
    "napisao", "napisala", "napisao/la", "napisal", "napisal(a)", "napisao je", "napisala je", "piše", // Croatian, Slovenian
    "viết", // Vietnamese
    "menulis", // Indonesian
    "כתב", "כתבה", "כתב/ה", // Hebrew
    "كتب", "كتب/ت", // Arabic
];

/// The same where it needs an opening word and a date, because it is said of much else.
pub(super) const VERBS_BEHIND_DATE: &[&str] = &["said", "says", "sent"];

/// The same in languages that put no blank between words.
pub(super) const VERBS_WITHOUT_BLANKS: &[&str] = &[
    "のメール", "書きました", "が書いた", // Japanese
    "写道", "寫道", "编写", "撰写", // Chinese
    "작성", "쓴", "쓴 글", "썼습니다", // Korean
    "เขียน", "เขียนว่า", // Thai
];

/// The lone line between dashes above an original message.
pub(super) const ORIGINAL_MESSAGE: &[&str] = &[
    "original message", "reply message", "original email", "original e-mail",
    "ursprüngliche nachricht", "originalnachricht", "original-nachricht", "original nachricht", "antwort nachricht",
    "message d'origine", "message d’origine", "message original", "message initial",
    "mensaje original", "mensaje de origen", "missatge original",
    "messaggio originale", "messaggio originario",
    "mensagem original", "mensagem de origem", "mensaxe orixinal",
    "oorspronkelijk bericht", "origineel bericht",
    "oryginalna wiadomość", "wiadomość oryginalna", "wiadomość źródłowa", "treść oryginalnej wiadomości",
    "ursprungligt meddelande", "originalmeddelande",
    "oprindelig meddelelse", "oprindelig besked", "original meddelelse", "original besked",
    "opprinnelig melding", "opprinnelig e-post", "original melding",
    "alkuperäinen viesti",
    "původní zpráva", "původní e-mail", "pôvodná správa",
    "исходное сообщение", "оригинальное сообщение", "первоначальное сообщение", "исходное письмо",
    "вихідне повідомлення", "оригінальне повідомлення", "початкове повідомлення",
    "оригинално съобщение",
    "orijinal mesaj", "orijinal ileti", "özgün ileti", "özgün mesaj", "asıl mesaj", "asıl ileti",
    "eredeti üzenet", "eredeti levél",
    "元のメッセージ", "元のメール", "オリジナルメッセージ",
    "原始邮件", "原始郵件", "原邮件", "邮件原件", "原始信件", "原始訊息",
    "원본 메시지", "원본메시지", "원래 메시지", "원본 메일",
    "αρχικό μήνυμα", "mesaj original", "mesajul original", "izvorna poruka", "originalna poruka", "izvirno sporočilo",
    "thư gốc", "pesan asli",
];

/// The lone line above a forwarded message, between dashes or before a colon.
pub(super) const FORWARDED_MESSAGE: &[&str] = &[
    "forwarded message", "begin forwarded message", "start of forwarded message", "forwarded email", "forwarded e-mail",
    "weitergeleitete nachricht", "anfang der weitergeleiteten nachricht", "anfang der weitergeleiteten e-mail",
    "message transféré", "message réexpédié", "début du message transféré", "début du message réexpédié",
    "mensaje reenviado", "inicio del mensaje reenviado", "missatge reenviat",
    "messaggio inoltrato", "inizio messaggio inoltrato", "inizio del messaggio inoltrato",
    "mensagem encaminhada", "mensagem reencaminhada", "início da mensagem encaminhada", "início da mensagem reencaminhada",
    "doorgestuurd bericht", "doorgezonden bericht", "begin doorgestuurd bericht",
    "treść przekazanej wiadomości", "wiadomość przekazana dalej", "przekazana wiadomość", "początek przekazywanej wiadomości",
    "vidarebefordrat meddelande", "vidarebefordrat brev", "vidarebefordrat mejl",
    "videresendt meddelelse", "videresendt besked", "start på videresendt besked", "start på videresendt meddelelse",
    "videresendt melding", "videresendt e-post", "start på videresendt melding",
    "välitetty viesti", "edelleenlähetetty viesti", "välitetty viesti alkaa",
    "přeposlaná zpráva", "předaná zpráva", "začátek přeposlané zprávy", "preposlaná správa", "začiatok preposlanej správy",
    "перенаправленное сообщение", "переадресованное сообщение", "пересылаемое сообщение", "пересланное сообщение",
    "начало переадресованного сообщения", "начало пересылаемого сообщения",
    "переслане повідомлення", "перенаправлене повідомлення", "початок переадресованого повідомлення",
    "препратено съобщение",
    "iletilmiş mesaj", "iletilen mesaj", "iletilmiş ileti", "iletilen ileti", "yönlendirilmiş ileti", "yönlendirilen mesaj",
    "iletilmiş iletinin başlangıcı",
    "továbbított üzenet", "továbbított levél", "továbbított üzenet kezdete",
    "転送メッセージ", "転送されたメッセージ", "転送メール", "転送されたメール",
    "转发的消息", "转发邮件", "转发的邮件", "转发邮件信息", "开始转发的邮件", "下面是被转发的邮件",
    "轉寄的郵件", "轉寄郵件", "轉寄訊息", "以下是轉寄的郵件",
    "전달된 메시지", "전달된 메세지", "전달된 메일",
    "προωθημένο μήνυμα", "mesaj redirecționat", "proslijeđena poruka", "posredovano sporočilo",
    "thư được chuyển tiếp", "pesan terusan",
];

/// What begins the subject of a forwarded message, before a colon. What is a reply's in one language and a forward's in another
/// (VS) is left out.
pub(super) const FORWARDED_SUBJECT: &[&str] = &[
    "fw", "fwd", "wg", "tr", "rv", "i", "enc", "doorst", "vb", "vl", "pd", "пер", "ilt", "πρθ", "továbbítás", "転送", "转发", "轉寄", "전달",
];

/// What a field of the header above an original message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldRole {
    From,
    Date,
    To,
    Subject,
    /// Others that stand among them.
    Other,
}

/// The names of the fields in that header.
pub(super) const FIELDS: &[(FieldRole, &[&str])] = &[
    (FieldRole::From, &[
        "from", "von", "de", "da", "van", "od", "från", "fra", "lähettäjä", "saatja", "от", "від", "kimden", "gönderen", "feladó",
        "差出人", "送信元", "送信者", "发件人", "發件人", "寄件者", "寄件人", "보낸 사람", "보낸사람",
        "expéditeur", "remitente", "mittente", "remetente", "afzender", "nadawca", "avsändare", "afsender", "avsender", "odesílatel",
        "отправитель", "відправник", "από", "de la", "šalje", "từ", "dari", "מאת", "من",
    ]),
    (FieldRole::Date, &[
        "sent", "date", "sent on", "message du", "gesendet", "datum", "envoyé", "envoyé le", "le", "enviado", "enviado el", "enviado em", "enviada em", "enviada",
        "fecha", "enviat", "inviato", "data", "verzonden", "wysłano", "wysłane", "skickat", "sendt", "dato", "lähetetty", "päiväys",
        "päivämäärä", "saadetud", "odesláno", "odoslané", "dátum", "отправлено", "дата", "надіслано", "изпратено", "gönderildi",
        "gönderilme tarihi", "gönderme tarihi", "tarih", "elküldve", "küldve", "送信日時", "送信日", "日付", "日時",
        "发送时间", "发送日期", "日期", "时间", "寄件日期", "傳送時間", "發送時間", "보낸 날짜", "보낸날짜", "날짜",
        "στάλθηκε", "ημερομηνία", "trimis", "poslano", "đã gửi", "ngày", "dikirim", "tanggal", "נשלח", "תאריך", "تاريخ الإرسال", "التاريخ",
    ]),
    (FieldRole::To, &[
        "to", "an", "à", "a", "para", "per a", "aan", "do", "till", "til", "vastaanottaja", "komu", "кому", "kime", "alıcı", "címzett", "宛先",
        "收件人", "收件者", "받는 사람", "받는사람", "destinataire", "destinatario", "destinatário", "empfänger", "ontvanger", "adresat",
        "mottagare", "modtager", "mottaker", "получатель", "одержувач", "до", "προς", "către", "za", "prima", "đến", "kepada", "אל", "إلى",
    ]),
    (FieldRole::Subject, &[
        "subject", "betreff", "objet", "sujet", "asunto", "oggetto", "assunto", "onderwerp", "temat", "ämne", "emne", "aihe", "teema", "předmět",
        "predmet", "тема", "относно", "konu", "tárgy", "件名", "主题", "主題", "主旨", "标题", "제목", "θέμα", "subiect", "chủ đề", "subjek",
        "נושא", "الموضوع",
    ]),
    (FieldRole::Other, &[
        "cc", "bcc", "cci", "copie à", "en copie", "reply-to", "reply to", "importance", "priority", "attachments", "sender", "resent-from", "mailing list",
        "kopie", "kopie an", "copie", "copia", "cópia", "kopia", "kopi", "kopio", "копия", "копія", "bilgi", "másolatot kap", "抄送", "副本", "참조",
        "antwort an", "répondre à", "responder a", "risposta", "rispondi a", "beantwoorden - aan", "antwoord aan", "odpowiedz do", "svara till",
        "svar til", "wichtigkeit", "priorität", "anlagen", "pièces jointes", "datos adjuntos", "allegati", "anexos", "bijlagen", "załączniki",
        "bilagor", "вложения", "添付ファイル", "附件", "첨부",
    ]),
];

/// How a telephone or a mail program begins what it says of itself, with "my" in it.
pub(super) const SENT_FROM_MINE: &[&str] = &[
    "sent from my", // English
    "gesendet von meinem", "gesendet von meiner", // German
    "envoyé de mon", "envoyé depuis mon", "envoyé depuis ma", // French
    "enviado desde mi", "enviado de mi", "enviat des del meu", // Spanish, Catalan
    "inviato dal mio", // Italian
    "enviado do meu", "enviado a partir do meu", // Portuguese
    "verstuurd vanaf mijn", "verzonden vanaf mijn", // Dutch
    "wysłane z mojego", "wysłano z mojego", // Polish
    "skickat från min", "skickat från mitt", // Swedish
    "sendt fra min", "sendt fra mit", // Danish, Norwegian
    "odesláno z mého", "odoslané z môjho", // Czech, Slovak
    "отправлено с моего", // Russian
    "надіслано з мого", // Ukrainian
    "изпратено от моя", "изпратено от моето", // Bulgarian
    "poslano s mog", "poslano iz mojega", // Croatian, Slovenian
    "发自我的", "發自我的", "寄自我的", "從我的", "从我的", // Chinese
];

/// The same where what follows must be a device or a program that is known.
pub(super) const SENT_FROM: &[&str] = &[
    "sent from", "sent via", "sent with", "sent using", "sent by", "get outlook for", "download outlook for", // English
    "gesendet von", "gesendet mit", "gesendet aus", "diese nachricht wurde von", "diese nachricht wurde mit", "holen sie sich outlook", // German
    "envoyé de", "envoyé depuis", "envoyé à partir", "envoyé avec", "envoyé via", "obtenir outlook pour", "téléchargez outlook pour", // French
    "enviado desde", "enviado de", "enviado con", "enviado mediante", "obtener outlook para", "obtén outlook para", // Spanish
    "inviato da", "inviato dal", "inviato con", "inviato tramite", "scarica outlook per", "ottieni outlook per", // Italian
    "enviado do", "enviado da", "enviado a partir", "enviado com", "enviado pelo", "enviado via", "obter o outlook para", // Portuguese
    "verstuurd vanaf", "verzonden vanaf", "verstuurd met", "verzonden met", "verstuurd via", "verzonden via", // Dutch
    "wysłane z", "wysłano z", "wysłane przy użyciu", "pobierz outlook dla", "pobierz program outlook dla", // Polish
    "skickat från", "skickat med", "skickades från", "från min", "hämta outlook för", // Swedish
    "sendt fra", "sendt med", "sendt via", "hent outlook til", "hent outlook for", "få outlook for", // Danish, Norwegian
    "lähetetty", "hanki outlook for", // Finnish
    "saadetud", "siunčiama iš", "nosūtīts no", // Estonian, Lithuanian, Latvian
    "odesláno z", "odesláno pomocí", "odoslané z", "získat outlook pro", "získať outlook pre", // Czech, Slovak
    "отправлено с", "отправлено из", "отправлено через", "получить outlook для", "скачать outlook для", // Russian
    "надіслано з", "відправлено з", "отримати outlook для", // Ukrainian
    "изпратено от", // Bulgarian
    "elküldve", // Hungarian
    "trimis de pe", "trimis din", // Romanian
    "poslano s", "poslano iz", // Croatian, Slovenian
    "στάλθηκε από", // Greek
    "đã gửi từ", "được gửi từ", // Vietnamese
    "dikirim dari", // Indonesian
    "נשלח מ", // Hebrew
    "أرسلت من", "أُرسلت من", // Arabic
    "ส่งจาก", // Thai
    "获取 outlook for", "取得 outlook for", "下载 outlook for", // Chinese
];

/// How it begins and how it ends where the verb comes last; between them, or before the end, stands what is known.
pub(super) const SENT_FROM_AROUND: &[(&str, &str)] = &[
    ("", "from mobile"), // English
    ("von mein", "gesendet"), ("outlook für", "beziehen"), // German
    ("", "gönderildi"), ("", "gönderilmiştir"), ("outlook", "edinin"), // Turkish
    ("", "küldve"), // Hungarian
    ("", "から送信"), ("", "から送信されました"), ("outlook", "を入手"), // Japanese
    ("", "에서 보냄"), ("", "에서 보냈습니다"), ("outlook", "다운로드"), // Korean
];

/// How a word begins that names a device or a mail program.
pub(super) const DEVICES: &[&str] = &[
    "iphon", "ipad", "ipod", "ios", "macbook", "mac", "android", "blackberry", "samsung", "galaxy", "xiaomi", "redmi", "huawei", "honor",
    "oneplus", "nokia", "lumia", "motorola", "htc", "sony", "xperia", "oppo", "realme", "alcatel", "fairphone",
    "windows", "outlook", "hotmail", "gmail", "yahoo", "aol", "gmx", "web.de", "t-online", "mail.ru", "yandex", "proton", "tutanota", "tuta",
    "mailbox", "airmail", "spark", "bluemail", "aquamail", "fairemail", "k-9", "k9", "mailspring", "thunderbird", "superhuman", "zoho",
    "polymail", "mailbird",
    "phone", "smartphone", "cell", "mobile", "mobil", "handy", "tablet", "telefon", "téléphone", "teléfono", "telefone", "móvil", "celular", "cellulare",
    "device", "gerät", "appareil", "dispositivo", "apparaat", "toestel", "enhet", "enhed", "laite", "puhelime", "zařízení", "urządzeni",
    "телефон", "смартфон", "айфон", "устройств", "пристро", "мобільн", "мобильн", "手机", "手機", "휴대", "핸드폰", "스마트폰",
];
