//! What mail programs write in each language. The lines are those of Gmail, Outlook, Apple Mail and Thunderbird with names of ours.

use super::of_plain;

struct Language {
    name: &'static str,
    /// Lines that introduce a quotation.
    attributions: &'static [&'static str],
    /// The header that Outlook puts above an original message.
    header: &'static str,
    /// What stands between dashes above an original message.
    original: &'static [&'static str],
    /// What stands between dashes above a forwarded message; with a colon as it stands.
    forwarded: &'static [&'static str],
    /// What telephones and programs say of themselves.
    sent_from: &'static [&'static str],
}

const LANGUAGES: &[Language] = &[
    Language {
        name: "English",
        attributions: &[
            "On Tue, Jan 5, 2016 at 10:00 AM, Anna Berg <anna@example.org> wrote:",
            "On 5 Jan 2016, at 10:00, Anna Berg <anna@example.org> wrote:",
            "On 01/05/2016 10:00 AM, Anna Berg wrote:",
            "At 1/5/2016 10:00 AM, you wrote:",
            "In message <1@example.org> of 5 Jan 2016 10:00, Anna Berg writes:",
            "Anna Berg <anna@example.org> wrote:",
        ],
        header: "From: Anna Berg <anna@example.org>\nSent: Tuesday, January 5, 2016 10:00 AM\nTo: Desk\nSubject: The plan",
        original: &["Original Message", "Original message"],
        forwarded: &["Forwarded message", "Begin forwarded message:"],
        sent_from: &[
            "Sent from my iPhone",
            "Get Outlook for Android",
            "Sent via Samsung Galaxy",
            "Sent from Mail for Windows",
        ],
    },
    Language {
        name: "German",
        attributions: &[
            "Am Di., 5. Jan. 2016 um 10:00 Uhr schrieb Anna Berg <anna@example.org>:",
            "Am 05.01.2016 um 10:00 schrieb Anna Berg:",
            "Anna Berg <anna@example.org> schrieb am Di., 5. Jan. 2016 um 10:00 Uhr:",
        ],
        header: "Von: Anna Berg <anna@example.org>\nGesendet: Dienstag, 5. Januar 2016 10:00\nAn: Desk\nBetreff: Der Plan",
        original: &["Ursprüngliche Nachricht", "Originalnachricht"],
        forwarded: &["Weitergeleitete Nachricht", "Anfang der weitergeleiteten Nachricht:"],
        sent_from: &["Von meinem iPhone gesendet", "Gesendet von Outlook für Android", "Gesendet mit der GMX Mail App"],
    },
    Language {
        name: "French",
        attributions: &[
            "Le mar. 5 janv. 2016 à 10:00, Anna Berg <anna@example.org> a écrit\u{a0}:",
            "Le 05/01/2016 à 10:00, Anna Berg a écrit :",
        ],
        header: "De : Anna Berg <anna@example.org>\nEnvoyé : mardi 5 janvier 2016 10:00\nÀ : Desk\nObjet : Le plan",
        original: &["Message d'origine", "Message original"],
        forwarded: &["Message transféré", "Début du message réexpédié :"],
        sent_from: &["Envoyé de mon iPhone", "Envoyé depuis mon mobile", "Obtenir Outlook pour iOS"],
    },
    Language {
        name: "Spanish",
        attributions: &[
            "El mar, 5 ene 2016 a las 10:00, Anna Berg (<anna@example.org>) escribió:",
            "El 5/1/2016 a las 10:00, Anna Berg escribió:",
        ],
        header: "De: Anna Berg <anna@example.org>\nEnviado el: martes, 5 de enero de 2016 10:00\nPara: Desk\nAsunto: El plan",
        original: &["Mensaje original"],
        forwarded: &["Mensaje reenviado", "Inicio del mensaje reenviado:"],
        sent_from: &["Enviado desde mi iPhone", "Obtener Outlook para Android"],
    },
    Language {
        name: "Italian",
        attributions: &[
            "Il giorno mar 5 gen 2016 alle ore 10:00 Anna Berg <anna@example.org> ha scritto:",
            "Il 05/01/2016 10:00, Anna Berg ha scritto:",
        ],
        header: "Da: Anna Berg <anna@example.org>\nInviato: martedì 5 gennaio 2016 10:00\nA: Desk\nOggetto: Il piano",
        original: &["Messaggio originale"],
        forwarded: &["Messaggio inoltrato", "Inizio messaggio inoltrato:"],
        sent_from: &["Inviato da iPhone", "Inviato dal mio Galaxy", "Scarica Outlook per iOS"],
    },
    Language {
        name: "Portuguese",
        attributions: &[
            "Em ter., 5 de jan. de 2016 às 10:00, Anna Berg <anna@example.org> escreveu:",
            "Anna Berg <anna@example.org> escreveu (terça, 5/01/2016 à(s) 10:00):",
            "Em 05/01/2016 10:00, Anna Berg escreveu:",
        ],
        header: "De: Anna Berg <anna@example.org>\nEnviada em: terça-feira, 5 de janeiro de 2016 10:00\nPara: Desk\nAssunto: O plano",
        original: &["Mensagem original"],
        forwarded: &["Mensagem encaminhada", "Início da mensagem reencaminhada:"],
        sent_from: &["Enviado do meu iPhone", "Obter o Outlook para iOS"],
    },
    Language {
        name: "Dutch",
        attributions: &[
            "Op di 5 jan 2016 om 10:00 schreef Anna Berg <anna@example.org>:",
            "Op 5 jan. 2016, om 10:00 heeft Anna Berg <anna@example.org> het volgende geschreven:",
            "Op 5-1-2016 om 10:00 schreef Anna Berg:",
        ],
        header: "Van: Anna Berg <anna@example.org>\nVerzonden: dinsdag 5 januari 2016 10:00\nAan: Desk\nOnderwerp: Het plan",
        original: &["Oorspronkelijk bericht"],
        forwarded: &["Doorgestuurd bericht", "Begin doorgestuurd bericht:"],
        sent_from: &["Verstuurd vanaf mijn iPhone", "Verzonden met BlackBerry Work"],
    },
    Language {
        name: "Polish",
        attributions: &[
            "wt., 5 sty 2016 o 10:00 Anna Berg <anna@example.org> napisał(a):",
            "W dniu 5.01.2016 o 10:00, Anna Berg pisze:",
            "Wiadomość napisana przez Anna Berg <anna@example.org> w dniu 5 sty 2016, o godz. 10:00:",
            "Dnia 5 stycznia 2016 10:00 Anna Berg <anna@example.org> napisał(a):",
        ],
        header: "Od: Anna Berg <anna@example.org>\nWysłano: wtorek, 5 stycznia 2016 10:00\nDo: Desk\nTemat: Plan",
        original: &["Oryginalna wiadomość"],
        forwarded: &["Treść przekazanej wiadomości", "Początek przekazywanej wiadomości:"],
        sent_from: &["Wysłane z iPhone'a", "Wysłane z mojego telefonu"],
    },
    Language {
        name: "Swedish",
        attributions: &[
            "Den tis 5 jan. 2016 kl 10:00 skrev Anna Berg <anna@example.org>:",
            "5 jan. 2016 kl. 10:00 skrev Anna Berg <anna@example.org>:",
            "Den 2016-01-05 kl. 10:00, skrev Anna Berg:",
        ],
        header: "Från: Anna Berg <anna@example.org>\nSkickat: den 5 januari 2016 10:00\nTill: Desk\nÄmne: Planen",
        original: &["Ursprungligt meddelande"],
        forwarded: &["Vidarebefordrat meddelande", "Vidarebefordrat brev:"],
        sent_from: &["Skickat från min iPhone", "Hämta Outlook för Android"],
    },
    Language {
        name: "Danish",
        attributions: &[
            "Den tirs. 5. jan. 2016 kl. 10.00 skrev Anna Berg <anna@example.org>:",
            "Den 05-01-2016 kl. 10:00 skrev Anna Berg:",
        ],
        header: "Fra: Anna Berg <anna@example.org>\nSendt: 5. januar 2016 10:00\nTil: Desk\nEmne: Planen",
        original: &["Oprindelig meddelelse"],
        forwarded: &["Videresendt meddelelse", "Start på videresendt besked:"],
        sent_from: &["Sendt fra min iPhone", "Hent Outlook til iOS"],
    },
    Language {
        name: "Norwegian",
        attributions: &[
            "tir. 5. jan. 2016 kl. 10:00 skrev Anna Berg <anna@example.org>:",
            "På 5. januar 2016 på 10:00:18, Anna Berg (anna@example.org) skrev:",
        ],
        header: "Fra: Anna Berg <anna@example.org>\nDato: tirsdag 5. januar 2016 10:00\nTil: Desk\nEmne: Planen",
        original: &["Opprinnelig melding"],
        forwarded: &["Videresendt melding", "Start på videresendt melding:"],
        sent_from: &["Sendt fra min iPad", "Sendt fra min Samsung"],
    },
    Language {
        name: "Finnish",
        attributions: &[
            "ti 5. tammik. 2016 klo 10.00 Anna Berg (anna@example.org) kirjoitti:",
            "Anna Berg <anna@example.org> kirjoitti 5.1.2016 kello 10.00:",
            "Anna Berg kirjoitti 5.1.2016 klo 10.00:",
        ],
        header: "Lähettäjä: Anna Berg <anna@example.org>\nLähetetty: tiistai 5. tammikuuta 2016 10.00\nVastaanottaja: Desk\nAihe: Suunnitelma",
        original: &["Alkuperäinen viesti"],
        forwarded: &["Välitetty viesti", "Välitetty viesti alkaa:"],
        sent_from: &["Lähetetty iPhonesta", "Hanki Outlook for iOS"],
    },
    Language {
        name: "Czech",
        attributions: &[
            "út 5. 1. 2016 v 10:00 odesílatel Anna Berg <anna@example.org> napsal:",
            "Dne 05. 01. 16 v 10:00 Anna Berg napsal(a):",
            "5. 1. 2016 v 10:00, Anna Berg <anna@example.org>:",
        ],
        header: "Od: Anna Berg <anna@example.org>\nOdesláno: úterý 5. ledna 2016 10:00\nKomu: Desk\nPředmět: Plán",
        original: &["Původní zpráva"],
        forwarded: &["Přeposlaná zpráva", "Začátek přeposlané zprávy:"],
        sent_from: &["Odesláno z iPhonu", "Odesláno z mého telefonu"],
    },
    Language {
        name: "Slovak",
        attributions: &[
            "ut 5. 1. 2016 o 10:00 Anna Berg <anna@example.org> napísal(a):",
            "Dňa 5.1.2016 o 10:00 Anna Berg napísal(a):",
        ],
        header: "Od: Anna Berg <anna@example.org>\nOdoslané: utorok 5. januára 2016 10:00\nKomu: Desk\nPredmet: Plán",
        original: &["Pôvodná správa"],
        forwarded: &["Preposlaná správa"],
        sent_from: &["Odoslané z iPhonu"],
    },
    Language {
        name: "Russian",
        attributions: &[
            "вт, 5 янв. 2016 г. в 10:00, Anna Berg <anna@example.org>:",
            "5 янв. 2016 г., в 10:00, Anna Berg <anna@example.org> написал(а):",
            "05.01.2016 10:00, Anna Berg пишет:",
            "вторник, 5 января 2016 г. пользователь Anna Berg <anna@example.org> написал:",
            "Вторник, 5 января 2016, 10:00 +03:00 от Anna Berg <anna@example.org>:",
        ],
        header: "От: Anna Berg <anna@example.org>\nОтправлено: 5 января 2016 г. 10:00\nКому: Desk\nТема: План",
        original: &["Исходное сообщение"],
        forwarded: &["Перенаправленное сообщение", "Начало переадресованного сообщения:"],
        sent_from: &["Отправлено с iPhone", "Отправлено из мобильной Почты Mail.ru"],
    },
    Language {
        name: "Ukrainian",
        attributions: &[
            "вт, 5 січ. 2016 р. о 10:00 Anna Berg <anna@example.org> пише:",
            "5 січ. 2016 р. о 10:00 Anna Berg <anna@example.org> написав(-ла):",
        ],
        header: "Від: Anna Berg <anna@example.org>\nНадіслано: 5 січня 2016 р. 10:00\nКому: Desk\nТема: План",
        original: &["Вихідне повідомлення"],
        forwarded: &["Переслане повідомлення"],
        sent_from: &["Надіслано з iPhone"],
    },
    Language {
        name: "Turkish",
        attributions: &[
            "Anna Berg <anna@example.org>, 5 Oca 2016 Sal, 10:00 tarihinde şunu yazdı:",
            "Anna Berg <anna@example.org> şunları yazdı (5 Oca 2016 10:00):",
            "5.01.2016 10:00 tarihinde Anna Berg yazdı:",
        ],
        header: "Kimden: Anna Berg <anna@example.org>\nGönderildi: 5 Ocak 2016 Salı 10:00\nKime: Desk\nKonu: Plan",
        original: &["Orijinal Mesaj", "Özgün İleti"],
        forwarded: &["İletilmiş Mesaj", "Yönlendirilmiş İleti"],
        sent_from: &["iPhone'umdan gönderildi", "Samsung cihazımdan gönderildi"],
    },
    Language {
        name: "Hungarian",
        attributions: &[
            "Anna Berg <anna@example.org> ezt írta (időpont: 2016. jan. 5., K, 10:00):",
            "2016. jan. 5. dátummal, 10:00 időpontban Anna Berg <anna@example.org> írta:",
            "2016. 01. 05. 10:00 keltezéssel, Anna Berg írta:",
        ],
        header: "Feladó: Anna Berg <anna@example.org>\nElküldve: 2016. január 5. 10:00\nCímzett: Desk\nTárgy: A terv",
        original: &["Eredeti üzenet"],
        forwarded: &["Továbbított üzenet"],
        sent_from: &["Elküldve az iPhone-omról", "iPhone készülékről küldve"],
    },
    Language {
        name: "Japanese",
        attributions: &[
            "2016年1月5日(火) 10:00 Anna Berg <anna@example.org>:",
            "2016/01/05 10:00、Anna Berg <anna@example.org>のメール:",
        ],
        header: "差出人: Anna Berg <anna@example.org>\n送信日時: 2016年1月5日 10:00\n宛先: Desk\n件名: 計画",
        original: &["元のメッセージ"],
        forwarded: &["転送メッセージ", "転送されたメッセージ："],
        sent_from: &["iPhoneから送信", "Outlook for iOS を入手"],
    },
    Language {
        name: "Chinese",
        attributions: &[
            "Anna Berg <anna@example.org> 于2016年1月5日周二 10:00写道：",
            "在 2016年1月5日，上午10:00，Anna Berg <anna@example.org> 写道：",
            "Anna Berg <anna@example.org> 於 2016年1月5日 週二 上午10:00寫道：",
        ],
        header: "发件人: Anna Berg <anna@example.org>\n发送时间: 2016年1月5日 10:00\n收件人: Desk\n主题: 计划",
        original: &["原始邮件", "原始郵件"],
        forwarded: &["转发的消息", "轉寄郵件"],
        sent_from: &["发自我的 iPhone", "從我的 iPhone 傳送", "获取 Outlook for iOS"],
    },
    Language {
        name: "Korean",
        attributions: &[
            "2016년 1월 5일 (화) 오전 10:00, Anna Berg <anna@example.org>님이 작성:",
            "2016. 1. 5. 오전 10:00, Anna Berg <anna@example.org> 작성:",
            "2016-01-05 10:00에 Anna Berg 이(가) 쓴 글:",
        ],
        header: "보낸 사람: Anna Berg <anna@example.org>\n보낸 날짜: 2016년 1월 5일 화요일 오전 10:00\n받는 사람: Desk\n제목: 계획",
        original: &["원본 메시지"],
        forwarded: &["전달된 메시지"],
        sent_from: &["나의 iPhone에서 보냄", "내 iPhone에서 보냄", "Outlook for iOS 다운로드"],
    },
    Language {
        name: "Greek",
        attributions: &["Στις Τρί, 5 Ιαν 2016 στις 10:00 π.μ., ο/η Anna Berg <anna@example.org> έγραψε:"],
        header: "Από: Anna Berg <anna@example.org>\nΣτάλθηκε: Τρίτη, 5 Ιανουαρίου 2016 10:00\nΠρος: Desk\nΘέμα: Το σχέδιο",
        original: &["Αρχικό μήνυμα"],
        forwarded: &["Προωθημένο μήνυμα"],
        sent_from: &["Στάλθηκε από το iPhone μου"],
    },
    Language {
        name: "Romanian",
        attributions: &[
            "În mar., 5 ian. 2016 la 10:00, Anna Berg <anna@example.org> a scris:",
            "Pe 05.01.2016 10:00, Anna Berg a scris:",
        ],
        header: "De la: Anna Berg <anna@example.org>\nTrimis: marți, 5 ianuarie 2016 10:00\nCătre: Desk\nSubiect: Planul",
        original: &["Mesaj original"],
        forwarded: &["Mesaj redirecționat"],
        sent_from: &["Trimis de pe iPhone-ul meu"],
    },
    Language {
        name: "Bulgarian",
        attributions: &["На вт, 5.01.2016 г. в 10:00 ч. Anna Berg <anna@example.org> написа:"],
        header: "От: Anna Berg <anna@example.org>\nИзпратено: 5 януари 2016 г. 10:00\nДо: Desk\nОтносно: План",
        original: &["Оригинално съобщение"],
        forwarded: &["Препратено съобщение"],
        sent_from: &["Изпратено от моя iPhone"],
    },
    Language {
        name: "Croatian",
        attributions: &[
            "uto, 5. sij 2016. u 10:00 Anna Berg <anna@example.org> napisao je:",
            "Dana 5.1.2016 u 10:00, Anna Berg je napisao/la:",
        ],
        header: "Šalje: Anna Berg <anna@example.org>\nPoslano: 5. siječnja 2016. 10:00\nPrima: Desk\nPredmet: Plan",
        original: &["Izvorna poruka"],
        forwarded: &["Proslijeđena poruka"],
        sent_from: &["Poslano s mog iPhonea"],
    },
    Language {
        name: "Vietnamese",
        attributions: &["Vào Th 3, 5 thg 1, 2016 vào lúc 10:00 Anna Berg <anna@example.org> đã viết:"],
        header: "Từ: Anna Berg <anna@example.org>\nĐã gửi: 5 tháng 1, 2016 10:00\nĐến: Desk\nChủ đề: Kế hoạch",
        original: &["Thư gốc"],
        forwarded: &["Thư được chuyển tiếp"],
        sent_from: &["Đã gửi từ iPhone của tôi"],
    },
];

/// Each line with the language's name, for a message that says what failed.
fn each(lines: fn(&Language) -> &'static [&'static str]) -> impl Iterator<Item = (&'static str, &'static str)> {
    LANGUAGES.iter().flat_map(move |language| lines(language).iter().map(|line| (language.name, *line)))
}

const TEXT: &str = "That suits me.\n\nAnna\n";

#[test]
fn an_attribution_introduces_a_quotation() {
    for (language, line) in each(|language| language.attributions) {
        for separator in ["\n", "\n\n"] {
            let message = format!("{TEXT}\n{line}{separator}> Does it suit you?\n");
            assert_eq!(of_plain(&message).text, TEXT, "{language}: {line}");
        }
    }
}

#[test]
fn an_attribution_with_date_and_time_needs_no_mark_below_it() {
    let mut without = Vec::new();
    for (language, line) in each(|language| language.attributions) {
        let message = format!("{TEXT}\n{line}\n\nDoes it suit you?\n");
        if of_plain(&message).text != TEXT {
            without.push((language, line));
        }
    }
    // It has no opening word and no address, so it may be a sentence.
    assert_eq!(without, [("Finnish", "Anna Berg kirjoitti 5.1.2016 klo 10.00:")]);
}

#[test]
fn an_attribution_may_be_folded_anywhere() {
    for (language, line) in each(|language| language.attributions) {
        // No program folds a line right behind its first words.
        for (place, _) in line.match_indices(' ').filter(|(place, _)| *place > 24) {
            let folded = format!("{}\n{}", &line[..place], &line[place + 1..]);
            let message = format!("{TEXT}\n{folded}\n\n> Does it suit you?\n");
            assert_eq!(of_plain(&message).text, TEXT, "{language}: {folded}");
        }
        let narrow = folded_at(line, 30);
        let message = format!("{TEXT}\n{narrow}\n> Does it suit you?\n");
        assert_eq!(of_plain(&message).text, TEXT, "{language}: {narrow}");
    }
}

/// A line folded at blanks, so that none is longer than so many characters where that is possible.
fn folded_at(line: &str, width: usize) -> String {
    let mut folded = String::new();
    let mut length = 0;
    for word in line.split(' ') {
        let wants = word.chars().count();
        match length {
            0 => {}
            _ if length + 1 + wants > width => {
                folded.push('\n');
                length = 0;
            }
            _ => {
                folded.push(' ');
                length += 1;
            }
        }
        folded.push_str(word);
        length += wants;
    }
    folded
}

#[test]
fn a_header_stands_above_an_original_message() {
    for Language { name, header, .. } in LANGUAGES {
        for header in [(*header).to_owned(), bold(header), header.replace('\n', "\n\n")] {
            for above in ["\n", "\n________________________________\n", "\n ------------------------------\n\n"] {
                let message = format!("{TEXT}{above}{header}\n\nDoes it suit you?\n\nBob\n");
                let texts = of_plain(&message);
                assert_eq!(texts.text, TEXT, "{name}: {header}");
                assert_eq!(texts.text + &texts.quoted, message, "{name}");
            }
        }
    }
}

/// As Outlook's bold names of fields look in a text.
fn bold(header: &str) -> String {
    header.lines().map(|line| line.replacen(':', ":*", 1)).map(|line| format!("*{line}")).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_line_between_dashes_stands_above_an_original_message() {
    for (language, words) in each(|language| language.original) {
        for line in
            [format!("-----{words}-----"), format!("-------- {words} --------"), format!("*----- {words} -----*")]
        {
            let message = format!("{TEXT}\n{line}\nDoes it suit you?\n");
            assert_eq!(of_plain(&message).text, TEXT, "{language}: {line}");
        }
        let in_words = format!("{TEXT}\n{words}\nDoes it suit you?\n");
        assert_eq!(of_plain(&in_words).text, in_words, "{language}: {words}");
    }
}

#[test]
fn a_forwarded_message_is_not_a_quotation() {
    for Language { name, forwarded, header, attributions, .. } in LANGUAGES {
        for words in *forwarded {
            let line = if words.ends_with([':', '：']) {
                (*words).to_owned()
            } else {
                format!("---------- {words} ---------")
            };
            let inner = format!("{header}\n\nDoes it suit you?\n\n{}\n> No.\n", attributions[0]);
            let message = format!("{TEXT}\n{line}\n{inner}");
            assert_eq!(of_plain(&message).text, message, "{name}: {line}");
            // In a quotation it is quoted like the rest.
            let quoted = message.lines().map(|line| format!("> {line}\n")).collect::<String>();
            let message = format!("{TEXT}\n{}\n{quoted}", attributions[0]);
            assert_eq!(of_plain(&message).text, TEXT, "{name}: {line}");
        }
    }
}

#[test]
fn what_a_telephone_says_of_itself_is_a_signature() {
    for (language, line) in each(|language| language.sent_from) {
        let below = format!("{TEXT}\n{line}\n");
        assert_eq!(of_plain(&below).signature, format!("\n{line}\n"), "{language}: {line}");
        let above =
            format!("{TEXT}\n{line}\n\nOn 5 Jan 2016, at 10:00, Bob <bob@example.org> wrote:\n\n> Does it suit you?\n");
        let texts = of_plain(&above);
        assert_eq!((texts.text.as_str(), texts.signature), (TEXT, format!("\n{line}\n\n")), "{language}: {line}");
        // With more words below it, it is a sentence.
        let within = format!("{TEXT}\n{line}\n\nThat was a joke.\n");
        assert_eq!(of_plain(&within).text, within, "{language}: {line}");
    }
}
